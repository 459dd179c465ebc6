//! Postgres types: which Arrow type stands for which, their names, and the built-in types of PostgreSQL 15.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

/// Key of the field metadata that holds the Postgres type of a system column or function, as its decimal oid.
pub const PG_TYPE_KEY: &str = "pg_type";

/// A Postgres type as clients are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgType {
    /// Oid in `pg_type`.
    pub oid: u32,
    /// Modifier such as precision and scale of `numeric`; -1 for none.
    pub typmod: i32,
}

/// A row of `pg_type`, as far as other places need it.
#[derive(Clone, Debug)]
pub(crate) struct BuiltIn {
    pub(crate) oid: u32,
    pub(crate) name: &'static str,
    pub(crate) len: i16,
    pub(crate) by_value: bool,
    pub(crate) category: char,
    pub(crate) element: u32,
    pub(crate) array: u32,
    pub(crate) align: char,
    pub(crate) storage: char,
    pub(crate) collation: u32,
}

pub(crate) const TEXT: u32 = 25;
pub(crate) const NAME: u32 = 19;
pub(crate) const OID: u32 = 26;
pub(crate) const BOOL: u32 = 16;
pub(crate) const INT4: u32 = 23;
pub(crate) const INT8: u32 = 20;
pub(crate) const TEXT_ARRAY: u32 = 1009;
pub(crate) const NAME_ARRAY: u32 = 1003;
const NUMERIC: u32 = 1700;

/// The type by which clients see values of an Arrow type in a user's relation.
///
/// Lists become arrays of the element's type, structs `record`, durations and intervals `interval`; what Postgres has no
/// type for is sent as `text`.
pub fn pg_type_of(data_type: &DataType) -> PgType {
    let plain = |oid| PgType { oid, typmod: -1 };
    match data_type {
        DataType::Boolean => plain(BOOL),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => plain(21),
        DataType::Int32 | DataType::UInt16 => plain(INT4),
        DataType::Int64 | DataType::UInt32 => plain(INT8),
        DataType::UInt64 => plain(NUMERIC),
        DataType::Float16 | DataType::Float32 => plain(700),
        DataType::Float64 => plain(701),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let typmod = ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4;
            PgType {
                oid: NUMERIC,
                typmod,
            }
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => plain(17),
        DataType::Date32 | DataType::Date64 => plain(1082),
        DataType::Time32(_) | DataType::Time64(_) => plain(1083),
        DataType::Timestamp(_, None) => plain(1114),
        DataType::Timestamp(_, Some(_)) => plain(1184),
        DataType::Interval(_) | DataType::Duration(_) => plain(1186),
        DataType::Struct(_) => plain(2249),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => {
            let element = pg_type_of(field.data_type());
            match built_in(element.oid) {
                // An array of arrays is an array of more dimensions.
                Some(built_in) if built_in.category == 'A' => element,
                Some(built_in) if built_in.array != 0 => PgType {
                    oid: built_in.array,
                    typmod: element.typmod,
                },
                _ => plain(TEXT_ARRAY),
            }
        }
        DataType::Dictionary(_, values) => pg_type_of(values),
        _ => plain(TEXT),
    }
}

/// The type by which clients see a result column: that of the system column or function it comes from, else that of its
/// values.
pub fn field_type(field: &Field) -> PgType {
    let known = field
        .metadata()
        .get(PG_TYPE_KEY)
        .and_then(|oid| oid.parse().ok());
    known.map_or_else(
        || pg_type_of(field.data_type()),
        |oid| PgType { oid, typmod: -1 },
    )
}

/// The Arrow type that holds a Postgres type in system relations: oids and their aliases are `UInt32`.
pub(crate) fn arrow_of(type_oid: u32) -> DataType {
    match type_oid {
        BOOL => DataType::Boolean,
        INT8 => DataType::Int64,
        21 => DataType::Int16,
        INT4 => DataType::Int32,
        700 => DataType::Float32,
        701 => DataType::Float64,
        17 => DataType::Binary,
        1184 => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        // oid, regproc, xid, cid, regclass, regtype, regnamespace, regrole
        OID | 24 | 28 | 29 | 2205 | 2206 | 4089 | 4096 => DataType::UInt32,
        // int2vector, int2[]
        22 | 1005 => list_of(DataType::Int16),
        // oidvector, oid[], regtype[]
        30 | 1028 | 2211 => list_of(DataType::UInt32),
        1007 => list_of(DataType::Int32),
        1021 => list_of(DataType::Float32),
        // char[], name[], text[], aclitem[]
        1002 | NAME_ARRAY | TEXT_ARRAY | 1034 => list_of(DataType::Utf8),
        _ => DataType::Utf8,
    }
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// The names of a type as SQL writes it, as PostgreSQL's function of this name does: `None` is a NULL modifier.
pub fn format_type(oid: u32, typmod: Option<i32>) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(built_in) = built_in(oid) else {
        return "???".to_owned();
    };
    // int2vector and oidvector have an element, but are no arrays.
    if built_in.element != 0
        && built_in.category == 'A'
        && built_in.len == -1
        && built_in.name.starts_with('_')
    {
        return format!("{}[]", format_type(built_in.element, typmod));
    }
    let given = typmod.filter(|typmod| *typmod >= 0);
    match (built_in.name, given) {
        ("numeric", Some(typmod)) => {
            let packed = typmod - 4;
            let scale = ((packed & 0x7ff) ^ 1024) - 1024;
            format!("numeric({},{scale})", (packed >> 16) & 0xffff)
        }
        ("bpchar", None) if typmod.is_some() => "bpchar".to_owned(),
        ("bpchar" | "varchar", Some(typmod)) => {
            format!("{}({})", sql_name(built_in.name), typmod - 4)
        }
        ("bit" | "varbit", Some(typmod)) => format!("{}({typmod})", sql_name(built_in.name)),
        ("time" | "timetz" | "timestamp" | "timestamptz", Some(typmod)) => {
            let (first, rest) = sql_name(built_in.name)
                .split_once(' ')
                .expect("names of times have several words");
            format!("{first}({typmod}) {rest}")
        }
        (name, _) => sql_name(name).to_owned(),
    }
}

fn sql_name(name: &'static str) -> &'static str {
    SQL_NAMES
        .iter()
        .find(|(short, _)| *short == name)
        .map_or(name, |(_, long)| long)
}

const SQL_NAMES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("bpchar", "character"),
    ("varchar", "character varying"),
    ("varbit", "bit varying"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("char", "\"char\""),
];

/// The type that a text names, as `regtype` reads it: `int4`, `integer`, `numeric(10,2)`, `pg_catalog.text[]`.
pub(crate) fn named(text: &str) -> Option<u32> {
    let text = text.trim();
    if let Some(element) = text.strip_suffix("[]") {
        return named(element)
            .and_then(built_in)
            .map(|element| element.array)
            .filter(|array| *array != 0);
    }
    let text = text.strip_prefix("pg_catalog.").unwrap_or(text);
    if let Some(quoted) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return by_name(quoted);
    }
    let lower = text.to_ascii_lowercase();
    let bare = match (lower.find('('), lower.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", lower[..open].trim_end(), &lower[close + 1..])
        }
        _ => lower,
    };
    let words = bare.split_whitespace().collect::<Vec<_>>().join(" ");
    let short = match words.as_str() {
        "int" => "int4",
        "decimal" | "dec" => "numeric",
        "float" => "float8",
        "char" => "bpchar",
        words => SQL_NAMES
            .iter()
            .find(|(_, long)| *long == words)
            .map_or(words, |(short, _)| short),
    };
    by_name(short)
}

fn by_name(name: &str) -> Option<u32> {
    BUILT_IN
        .values()
        .find(|built_in| built_in.name == name)
        .map(|built_in| built_in.oid)
}

pub(crate) fn built_in(oid: u32) -> Option<&'static BuiltIn> {
    BUILT_IN.get(&oid)
}

static BUILT_IN: LazyLock<HashMap<u32, BuiltIn>> = LazyLock::new(|| {
    let mut lines = include_str!("data/pg_type.tsv").lines();
    let header: Vec<&str> = lines
        .next()
        .expect("pg_type.tsv has a header")
        .split('\t')
        .collect();
    let place = |name: &str| {
        header
            .iter()
            .position(|column| *column == name)
            .expect("pg_type.tsv has every column")
    };
    let places = [
        "oid",
        "typname",
        "typlen",
        "typbyval",
        "typcategory",
        "typelem",
        "typarray",
        "typalign",
        "typstorage",
    ]
    .map(place);
    let collation = place("typcollation");
    lines
        .map(|line| read_built_in(line, places, collation))
        .map(|built_in| (built_in.oid, built_in))
        .collect()
});

fn read_built_in(line: &'static str, places: [usize; 9], collation: usize) -> BuiltIn {
    let cells: Vec<&'static str> = line.split('\t').collect();
    let [
        oid,
        name,
        len,
        by_value,
        category,
        element,
        array,
        align,
        storage,
    ] = places.map(|place| cells[place]);
    let number = |cell: &str| {
        cell.parse::<u32>()
            .expect("pg_type.tsv has oids in its places for oids")
    };
    let letter = |cell: &str| {
        cell.chars()
            .next()
            .expect("a letter of pg_type.tsv is not empty")
    };
    BuiltIn {
        oid: number(oid),
        name,
        len: len.parse().expect("typlen is a small number"),
        by_value: by_value == "t",
        category: letter(category),
        element: number(element),
        array: number(array),
        align: letter(align),
        storage: letter(storage),
        collation: number(cells[collation]),
    }
}

#[cfg(test)]
mod tests {
    use super::{PgType, format_type, named, pg_type_of};
    use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
    use std::sync::Arc;

    #[test]
    fn types_have_the_names_of_postgres() {
        for (oid, typmod, name) in [
            (1700, Some(655366), "numeric(10,2)"),
            (1700, Some(-1), "numeric"),
            (1231, Some(655366), "numeric(10,2)[]"),
            (1043, Some(14), "character varying(10)"),
            (1184, Some(3), "timestamp(3) with time zone"),
            (18, None, "\"char\""),
            (22, None, "int2vector"),
            (1009, None, "text[]"),
            (1042, Some(-1), "bpchar"),
            (1042, None, "character"),
            (0, None, "-"),
            (99999, None, "???"),
        ] {
            assert_eq!(format_type(oid, typmod), name);
        }
    }

    #[test]
    fn type_names_are_read() {
        for (text, oid) in [
            ("int4", Some(23)),
            ("INTEGER", Some(23)),
            ("pg_catalog.text[]", Some(1009)),
            ("numeric(10, 2)", Some(1700)),
            ("timestamp(3) with time zone", Some(1184)),
            ("\"char\"", Some(18)),
            ("char", Some(1042)),
            ("nothing", None),
        ] {
            assert_eq!(named(text), oid, "{text}");
        }
    }

    #[test]
    fn arrow_types_have_postgres_types() {
        let list = |element| DataType::List(Arc::new(Field::new_list_field(element, true)));
        let typed = |data_type: &DataType| pg_type_of(data_type);
        assert_eq!(
            typed(&DataType::Decimal128(10, 2)),
            PgType {
                oid: 1700,
                typmod: 655366
            }
        );
        assert_eq!(
            typed(&list(DataType::Utf8)),
            PgType {
                oid: 1009,
                typmod: -1
            }
        );
        assert_eq!(
            typed(&list(list(DataType::Int64))),
            PgType {
                oid: 1016,
                typmod: -1
            }
        );
        assert_eq!(
            typed(&DataType::Timestamp(
                TimeUnit::Nanosecond,
                Some("UTC".into())
            ))
            .oid,
            1184
        );
    }
}
