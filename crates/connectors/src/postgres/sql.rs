//! The statements that are sent to PostgreSQL.

use arrow::datatypes::{DataType, Schema};

/// A column of the sink, and how its table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// The type that values have which come as text.
    pub(super) given: String,
    /// The type of the table's column, without its lengths.
    pub(super) stored: String,
}

/// PostgreSQL's type for the values of a column; `None` when it has none for them.
pub(super) fn type_of(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "int2",
        DataType::UInt16 | DataType::Int32 => "int4",
        DataType::UInt32 | DataType::Int64 => "int8",
        DataType::UInt64 | DataType::Decimal128(..) => "numeric",
        DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Date32 => "date",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        _ => return None,
    })
}

/// A name in quotes.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Adds rows, which are given as an array of text for each column. With a key, rows take the place of those that have the
/// same key; no two of the given rows may have the same.
pub(super) fn insert(table: &str, columns: &[Column], key: Option<&[usize]>) -> String {
    let names = list(columns.iter().map(|column| quote(&column.name)));
    let arrays = arrays(columns);
    let statement = format!("INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays})");
    let Some(key) = key else {
        return statement;
    };
    let keys = list(key.iter().map(|at| quote(&columns[*at].name)));
    let others = (0..columns.len()).filter(|at| !key.contains(at));
    let sets = list(others.map(|at| {
        let name = quote(&columns[at].name);
        format!("{name} = excluded.{name}")
    }));
    let action = if sets.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {sets}")
    };
    format!("{statement} ON CONFLICT ({keys}) DO {action}")
}

/// Removes the rows of keys, which are given as an array of text for each column of the key.
pub(super) fn delete(table: &str, key: &[Column]) -> String {
    let names = list((0..key.len()).map(|at| format!("k{at}")));
    let arrays = arrays(key);
    let same: Vec<String> = key
        .iter()
        .enumerate()
        .map(|(at, column)| {
            // Of the column's own type, so that its index is used.
            format!("t.{} = k.k{at}::{}", quote(&column.name), column.stored)
        })
        .collect();
    let same = same.join(" AND ");
    format!("DELETE FROM {table} AS t USING unnest({arrays}) AS k({names}) WHERE {same}")
}

/// A statement that makes a table for a sink.
pub(super) fn create_table(table: &str, schema: &Schema, key: Option<&[usize]>) -> String {
    let fields = schema.fields().iter();
    let mut parts: Vec<String> = fields
        .map(|field| {
            let name = quote(field.name());
            let data_type = type_of(field.data_type()).unwrap_or("text");
            format!("{name} {data_type}")
        })
        .collect();
    if let Some(key) = key {
        let names = key.iter().map(|at| quote(schema.field(*at).name()));
        parts.push(format!("PRIMARY KEY ({})", list(names)));
    }
    format!("CREATE TABLE {table} ({})", parts.join(", "))
}

fn arrays(columns: &[Column]) -> String {
    let numbered = columns.iter().zip(1..);
    list(numbered.map(|(column, number)| format!("${number}::text[]::{}[]", column.given)))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
