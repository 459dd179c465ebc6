//! Which PostgreSQL type each Arrow type is shown as, and which Arrow type stands for each PostgreSQL type.

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use dataflow::schema::{timestamp, timestamptz};
use dataflow::{Error, Result};

/// Key in a field's metadata that names another oid than its Arrow type implies, as decimal text: a catalog's `oid`
/// (26) held as UInt32, say. The type must be of the same kind: integers for oid-like types, strings for text-like ones.
/// The system catalog marks its columns with it.
pub const OID_KEY: &str = "pg_type";

/// Object ids of PostgreSQL's built-in types, `pg_type.oid`.
#[expect(missing_docs, reason = "the names are PostgreSQL's own")]
pub mod oid {
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT2VECTOR: u32 = 22;
    pub const INT4: u32 = 23;
    pub const REGPROC: u32 = 24;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const XID: u32 = 28;
    pub const CID: u32 = 29;
    pub const OIDVECTOR: u32 = 30;
    pub const JSON: u32 = 114;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const UNKNOWN: u32 = 705;
    pub const ACLITEM: u32 = 1033;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIME: u32 = 1083;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const INTERVAL: u32 = 1186;
    pub const NUMERIC: u32 = 1700;
    pub const REGCLASS: u32 = 2205;
    pub const REGTYPE: u32 = 2206;
    pub const RECORD: u32 = 2249;
    pub const RECORD_ARRAY: u32 = 2287;
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
    pub const REGNAMESPACE: u32 = 4089;
    pub const REGROLE: u32 = 4096;
}

/// How a column is announced in RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgType {
    /// `pg_type.oid`.
    pub oid: u32,
    /// `pg_type.typlen`: bytes, or -1 for types of variable length.
    pub len: i16,
    /// `pg_attribute.atttypmod`, -1 when there is none.
    pub modifier: i32,
}

impl PgType {
    pub(crate) fn new(oid: u32) -> Self {
        Self {
            oid,
            len: type_len(oid),
            modifier: -1,
        }
    }
}

/// The type that a column is announced as. A type that PostgreSQL has nothing for is refused with `0A000`.
pub fn pg_type(field: &Field) -> Result<PgType> {
    if let Some(named) = field.metadata().get(OID_KEY) {
        let oid = named
            .parse()
            .map_err(|_| Error::internal(format!("{OID_KEY} of {} is no number", field.name())))?;
        return Ok(PgType::new(oid));
    }
    let extension = field
        .metadata()
        .get("ARROW:extension:name")
        .map(String::as_str);
    if extension == Some("arrow.json") {
        return Ok(PgType::new(oid::JSON));
    }
    of_data_type(field.data_type()).ok_or_else(|| {
        Error::unsupported(format_args!(
            "a result column of type {}",
            field.data_type()
        ))
    })
}

fn of_data_type(data_type: &DataType) -> Option<PgType> {
    let oid = match data_type {
        DataType::Boolean => oid::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => oid::INT2,
        DataType::Int32 | DataType::UInt16 => oid::INT4,
        DataType::Int64 | DataType::UInt32 => oid::INT8,
        DataType::UInt64 => oid::NUMERIC,
        DataType::Float16 | DataType::Float32 => oid::FLOAT4,
        DataType::Float64 => oid::FLOAT8,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            return Some(PgType {
                modifier: numeric_modifier(*p, *s),
                ..PgType::new(oid::NUMERIC)
            });
        }
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => oid::TEXT,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => oid::BYTEA,
        DataType::Date32 | DataType::Date64 => oid::DATE,
        DataType::Time32(_) | DataType::Time64(_) => oid::TIME,
        DataType::Timestamp(_, None) => oid::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => oid::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => oid::INTERVAL,
        DataType::List(child)
        | DataType::LargeList(child)
        | DataType::FixedSizeList(child, _)
        | DataType::ListView(child)
        | DataType::LargeListView(child)
        | DataType::Map(child, _) => {
            let element = pg_type(child).ok()?;
            // An array of arrays has the same type as an array, in PostgreSQL.
            let oid = if is_list(child.data_type()) {
                element.oid
            } else {
                array_of(element.oid)?
            };
            return Some(PgType {
                modifier: element.modifier,
                ..PgType::new(oid)
            });
        }
        DataType::Struct(_) => oid::RECORD,
        DataType::Dictionary(_, value) => return of_data_type(value),
        DataType::RunEndEncoded(_, value) => return pg_type(value).ok(),
        DataType::Union(..) => return None,
    };
    Some(PgType::new(oid))
}

/// Whether values of the type are shown as arrays.
pub(crate) fn is_list(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::Map(..)
    )
}

/// `numeric(p, s)` as a type modifier.
fn numeric_modifier(precision: u8, scale: i8) -> i32 {
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
}

fn type_len(oid: u32) -> i16 {
    match oid {
        oid::BOOL | oid::CHAR => 1,
        oid::INT2 => 2,
        oid::INT4 | oid::FLOAT4 | oid::DATE => 4,
        other if is_oid(other) => 4,
        oid::ACLITEM => 12,
        oid::INT8 | oid::FLOAT8 | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIME => 8,
        oid::INTERVAL | oid::UUID => 16,
        oid::NAME => 64,
        _ => -1,
    }
}

/// Whether values of the type are object ids or the like: unsigned, of four bytes.
pub(crate) fn is_oid(oid: u32) -> bool {
    const ALIASES: [u32; 8] = [
        oid::OID,
        oid::XID,
        oid::CID,
        oid::REGPROC,
        oid::REGCLASS,
        oid::REGTYPE,
        oid::REGNAMESPACE,
        oid::REGROLE,
    ];
    ALIASES.contains(&oid)
}

/// Element types and the types of their arrays.
const ARRAYS: [(u32, u32); 29] = [
    (oid::BOOL, 1000),
    (oid::BYTEA, 1001),
    (oid::CHAR, 1002),
    (oid::NAME, 1003),
    (oid::INT2, 1005),
    (oid::INT4, 1007),
    (oid::REGPROC, 1008),
    (oid::TEXT, 1009),
    (oid::BPCHAR, 1014),
    (oid::VARCHAR, 1015),
    (oid::INT8, 1016),
    (oid::FLOAT4, 1021),
    (oid::FLOAT8, 1022),
    (oid::OID, 1028),
    (oid::XID, 1011),
    (oid::CID, 1012),
    (oid::REGCLASS, 2210),
    (oid::REGTYPE, 2211),
    (oid::ACLITEM, 1034),
    (oid::TIMESTAMP, 1115),
    (oid::DATE, 1182),
    (oid::TIME, 1183),
    (oid::TIMESTAMPTZ, 1185),
    (oid::INTERVAL, 1187),
    (oid::NUMERIC, 1231),
    (oid::JSON, 199),
    (oid::RECORD, oid::RECORD_ARRAY),
    (oid::UUID, 2951),
    (oid::JSONB, 3807),
];

/// The array type of an element type.
pub fn array_of(element: u32) -> Option<u32> {
    ARRAYS
        .iter()
        .find(|(one, _)| *one == element)
        .map(|(_, array)| *array)
}

/// The element type of an array type.
pub fn element_of(array: u32) -> Option<u32> {
    if let Some(element) = vector_element(array) {
        return Some(element);
    }
    ARRAYS
        .iter()
        .find(|(_, many)| *many == array)
        .map(|(element, _)| *element)
}

/// The element type of a vector: an array of the catalog that is shown as `1 2 3`.
pub(crate) fn vector_element(vector: u32) -> Option<u32> {
    match vector {
        oid::INT2VECTOR => Some(oid::INT2),
        oid::OIDVECTOR => Some(oid::OID),
        _ => None,
    }
}

/// Precision and scale of a `numeric` parameter.
pub const NUMERIC_PARAMETER: (u8, i8) = (38, 12);

/// The Arrow type of a parameter that a client declared. `None` for `unknown` and types that clickmill has not.
pub fn parameter_type(oid: u32) -> Option<DataType> {
    Some(match oid {
        oid::BOOL => DataType::Boolean,
        oid::BYTEA => DataType::Binary,
        oid::INT2 => DataType::Int16,
        oid::INT4 => DataType::Int32,
        oid::INT8 => DataType::Int64,
        other if is_oid(other) => DataType::Int64,
        oid::FLOAT4 => DataType::Float32,
        oid::FLOAT8 => DataType::Float64,
        oid::NUMERIC => DataType::Decimal128(NUMERIC_PARAMETER.0, NUMERIC_PARAMETER.1),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CHAR => DataType::Utf8,
        oid::JSON | oid::JSONB | oid::UUID => DataType::Utf8,
        oid::DATE => DataType::Date32,
        oid::TIME => DataType::Time64(TimeUnit::Microsecond),
        oid::TIMESTAMP => timestamp(),
        oid::TIMESTAMPTZ => timestamptz(),
        oid::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        vector if vector_element(vector).is_some() => return None,
        array => DataType::new_list(parameter_type(element_of(array)?)?, true),
    })
}

/// PostgreSQL's name of a type, for messages.
pub(crate) fn name_of(oid: u32) -> &'static str {
    match oid {
        oid::BOOL => "boolean",
        oid::BYTEA => "bytea",
        oid::INT2 => "smallint",
        oid::INT4 => "integer",
        oid::INT8 => "bigint",
        other if is_oid(other) => "oid",
        oid::FLOAT4 => "real",
        oid::FLOAT8 => "double precision",
        oid::NUMERIC => "numeric",
        oid::DATE => "date",
        oid::TIME => "time",
        oid::TIMESTAMP => "timestamp",
        oid::TIMESTAMPTZ => "timestamp with time zone",
        oid::INTERVAL => "interval",
        oid::UUID => "uuid",
        oid::JSON | oid::JSONB => "json",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid_of(data_type: DataType) -> u32 {
        pg_type(&Field::new("c", data_type, true)).unwrap().oid
    }

    #[test]
    fn unsigned_integers_widen() {
        assert_eq!(oid_of(DataType::UInt8), oid::INT2);
        assert_eq!(oid_of(DataType::UInt32), oid::INT8);
        assert_eq!(oid_of(DataType::UInt64), oid::NUMERIC);
    }

    #[test]
    fn nested_arrays_have_the_array_type_of_their_elements() {
        let inner = DataType::new_list(DataType::Int32, true);
        assert_eq!(oid_of(inner.clone()), 1007);
        assert_eq!(oid_of(DataType::new_list(inner, true)), 1007);
    }

    #[test]
    fn numeric_carries_precision_and_scale() {
        let found = pg_type(&Field::new("c", DataType::Decimal128(10, 2), true)).unwrap();
        assert_eq!((found.oid, found.modifier), (oid::NUMERIC, 655_366));
    }

    /// What `\d` shows of a view's columns is what RowDescription says of them.
    #[test]
    fn the_system_catalog_agrees() {
        use DataType as T;
        let list = |element: T| T::new_list(element, true);
        let us = TimeUnit::Microsecond;
        for data_type in [
            T::Boolean,
            T::Int8,
            T::Int16,
            T::Int32,
            T::Int64,
            T::UInt8,
            T::UInt16,
            T::UInt32,
            T::UInt64,
            T::Float16,
            T::Float32,
            T::Float64,
            T::Utf8,
            T::LargeUtf8,
            T::Utf8View,
            T::Binary,
            T::BinaryView,
            T::Null,
            T::Date32,
            T::Date64,
            T::Time64(us),
            T::Timestamp(us, None),
            timestamptz(),
            T::Duration(us),
            T::Interval(IntervalUnit::MonthDayNano),
            T::Decimal128(10, 2),
            T::Decimal128(5, -2),
            list(T::Int32),
            list(list(T::Utf8)),
            list(T::Decimal128(10, 2)),
            T::Struct([].into()),
            list(T::Struct([].into())),
            T::Dictionary(Box::new(T::Int32), Box::new(T::Utf8)),
        ] {
            let field = Field::new("c", data_type, true);
            let (ours, theirs) = (pg_type(&field).unwrap(), pgcatalog::field_type(&field));
            assert_eq!(
                (ours.oid, ours.modifier),
                (theirs.oid, theirs.typmod),
                "{field}"
            );
        }
        assert_eq!(OID_KEY, pgcatalog::PG_TYPE_KEY);
    }

    #[test]
    fn metadata_names_catalog_types() {
        let field = Field::new("oid", DataType::UInt32, false)
            .with_metadata([(OID_KEY.to_owned(), "26".to_owned())].into());
        assert_eq!(
            pg_type(&field).unwrap(),
            PgType {
                oid: oid::OID,
                len: 4,
                modifier: -1
            }
        );
    }
}
