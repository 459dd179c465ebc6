//! How a source's columns are declared: type, where in the record they come from, and which one is the event time.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

use crate::time::Micros;

/// Timestamps with time zone, as clickmill holds them.
pub fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Timestamps without time zone.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnOrigin {
    /// A field of the record, by path: `["user", "id"]`.
    Field(Vec<String>),
    /// The record's key, as text.
    Key,
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The record's offset.
    Offset,
    /// The broker's timestamp of the record.
    Timestamp,
    /// The record's headers as JSON text.
    Headers,
    /// The fields of the record that no column reads, as the text of one JSON object.
    Rest,
    /// `PROCTIME()`: the wall clock of the tick that read the record.
    Proctime,
}

/// How a timestamp is written in the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampFormat {
    /// A number is milliseconds since 1970-01-01 UTC; a string is ISO 8601.
    #[default]
    Auto,
    /// Numbers only: seconds since 1970-01-01 UTC, with a fraction allowed.
    EpochSeconds,
    /// Numbers only: milliseconds.
    EpochMillis,
    /// Numbers only: microseconds.
    EpochMicros,
    /// Strings only: ISO 8601 / RFC 3339; without a zone it is UTC.
    Iso8601,
}

/// How a record is written: `ENCODE …`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// One JSON object.
    #[default]
    Json,
    /// One line of fields.
    Csv(CsvOptions),
    /// A row of a Parquet file.
    Parquet,
}

impl Encoding {
    /// Its name behind ENCODE.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv(_) => "CSV",
            Self::Parquet => "PARQUET",
        }
    }
}

/// How fields of CSV are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CsvOptions {
    /// Stands between fields; an ASCII character.
    pub delimiter: u8,
    /// Stands around fields that hold delimiters, quotes or ends of lines, and twice for itself within them; an ASCII character.
    /// Without it no character has a meaning but the delimiter.
    pub quote: Option<u8>,
    /// What a field without quotes holds that is NULL.
    pub null: String,
    /// Fields are known by the names in the first line of what is read, otherwise by their order.
    pub header: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            null: String::new(),
            header: false,
        }
    }
}

/// One declared column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Name, folded as Postgres folds identifiers.
    pub name: String,
    /// Arrow type of the column.
    pub data_type: DataType,
    /// NULL is allowed; otherwise a record without the value is a bad record.
    pub nullable: bool,
    /// Where the value comes from.
    pub origin: ColumnOrigin,
}

/// `WATERMARK FOR column AS column - delay`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatermarkDecl {
    /// Index of the event-time column.
    pub column: usize,
    /// How far rows may lag behind the highest time seen, in microseconds.
    pub delay: Micros,
}

/// The columns of a source or table, and its event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceSchema {
    /// Columns in their declared order.
    pub columns: Vec<Column>,
    /// The watermark, if one is declared.
    pub watermark: Option<WatermarkDecl>,
    /// How timestamps are written in records.
    pub timestamps: TimestampFormat,
    /// How records are written.
    pub encoding: Encoding,
}

impl SourceSchema {
    /// The Arrow schema of all columns. The event-time column is never NULL: rows without it are bad records.
    pub fn arrow(&self) -> SchemaRef {
        let time = self.watermark.as_ref().map(|w| w.column);
        let field = |(i, c): (usize, &Column)| {
            Field::new(&c.name, c.data_type.clone(), c.nullable && Some(i) != time)
        };
        Arc::new(Schema::new(
            self.columns
                .iter()
                .enumerate()
                .map(field)
                .collect::<Vec<_>>(),
        ))
    }

    /// Whether the source's time is the wall clock: `PROCTIME()`, and no event time.
    pub fn is_processing_time(&self) -> bool {
        let time = self
            .watermark
            .as_ref()
            .map(|w| &self.columns[w.column].origin);
        time == Some(&ColumnOrigin::Proctime)
    }

    /// The first steps of the paths of all columns: the fields of a record that are not in [`ColumnOrigin::Rest`].
    pub fn read_fields(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .filter_map(|column| match &column.origin {
                ColumnOrigin::Field(path) => path.first().map(String::as_str),
                _ => None,
            })
    }

    /// Index of the column called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}
