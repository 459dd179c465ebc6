//! Files of Parquet: each row is a record, and its number the offset.

use std::collections::HashSet;
use std::fs::File;

use arrow::array::RecordBatch;
use dataflow::connector::PollLimits;
use dataflow::schema::SourceSchema;
use dataflow::{Error, Result, Slab, Span, SqlState};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::{Contents, Found, no_access};

/// The rows of one file, with the columns of the first level that are declared.
pub(super) struct Rows {
    file: Found,
    /// Names of these columns.
    names: HashSet<String>,
    /// What the end of the file says, once it was read.
    footer: Option<ArrowReaderMetadata>,
    /// Rows read.
    rows: i64,
    reading: Option<Reading>,
}

/// What is kept while a group of rows is read.
struct Reading {
    batches: ParquetRecordBatchReader,
    /// Rows read from the file and not handed over.
    left: Option<RecordBatch>,
}

impl Reading {
    fn next(&mut self) -> Option<Result<RecordBatch, ParquetError>> {
        if let Some(left) = self.left.take() {
            return Some(Ok(left));
        }
        let next = self.batches.next()?;
        Some(next.map_err(ParquetError::from))
    }
}

impl Rows {
    /// The rows of a file, with the columns that `schema` takes something of.
    pub(super) fn new(file: Found, schema: &SourceSchema) -> Self {
        Self {
            file,
            names: schema.read_fields().map(str::to_owned).collect(),
            footer: None,
            rows: 0,
            reading: None,
        }
    }

    /// Reads the end of the file. Types are those of Parquet, whatever the program that wrote it noted beside.
    fn read_footer(&mut self) -> Result<&ArrowReaderMetadata> {
        if self.footer.is_none() {
            let file = self.open()?;
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let footer = ArrowReaderMetadata::load(&file, options);
            self.footer = Some(footer.map_err(|error| self.refused(&error))?);
        }
        let footer = self.footer.as_ref();
        footer.ok_or_else(|| Error::internal("a Parquet file without a footer"))
    }

    fn open(&self) -> Result<File> {
        File::open(&self.file.path).map_err(|error| no_access(&self.file.path, &error))
    }

    /// Begins to read the group of row `self.rows`, there.
    fn begin(&mut self, limits: PollLimits) -> Result<Reading> {
        let footer = self.read_footer()?.clone();
        let names = &self.names;
        let fields = footer.parquet_schema().root_schema().get_fields();
        let roots = (0..fields.len()).filter(|at| names.contains(fields[*at].name()));
        let mask = ProjectionMask::roots(footer.parquet_schema(), roots);
        let size = rows_at_once(footer.metadata(), &mask, limits);
        let (group, offset) = place(footer.metadata(), self.rows);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.open()?, footer)
            .with_projection(mask)
            .with_batch_size(size)
            .with_row_groups(vec![group])
            .with_offset(offset);
        let batches = builder.build().map_err(|error| self.refused(&error))?;
        Ok(Reading {
            batches,
            left: None,
        })
    }

    fn refused(&self, error: &ParquetError) -> Error {
        let path = self.file.path.display();
        let message = format!("cannot read {path} as Parquet: {}", told(error));
        Error::new(SqlState::IO_ERROR, message)
    }

    fn total(&self) -> Option<i64> {
        let footer = self.footer.as_ref()?;
        Some(footer.metadata().file_metadata().num_rows())
    }
}

impl Contents for Rows {
    fn fill(&mut self, slab: &mut Slab, from: i64, limits: PollLimits) -> Result<()> {
        self.read_footer()?;
        if from > self.rows {
            self.rows = from.min(self.total().unwrap_or(from));
            self.reading = None;
        }
        if self.is_read() {
            return Ok(());
        }
        let mut going_on = self.reading.take();
        let next = going_on.as_mut().and_then(Reading::next);
        let (mut reading, next) = match (going_on, next) {
            (Some(reading), Some(next)) => (reading, next),
            _ => {
                let mut reading = self.begin(limits)?;
                let next = reading.next().unwrap_or_else(|| {
                    let message = "it ends before its last row".to_owned();
                    Err(ParquetError::General(message))
                });
                (reading, next)
            }
        };
        let mut rows = next.map_err(|error| self.refused(&error))?;
        if rows.num_rows() > limits.max_records {
            let rest = rows.num_rows() - limits.max_records;
            reading.left = Some(rows.slice(limits.max_records, rest));
            rows = rows.slice(0, limits.max_records);
        }
        let count = rows.num_rows();
        let first = self.rows;
        self.rows += i64::try_from(count).map_err(|_| Error::internal("too many rows"))?;
        slab.values.resize(count, Span { start: 0, end: 0 });
        slab.offsets.extend(first..self.rows);
        slab.timestamps.resize(count, self.file.modified);
        slab.rows = Some(rows);
        self.reading = Some(reading);
        Ok(())
    }

    fn passed(&self) -> i64 {
        self.rows
    }

    fn is_read(&self) -> bool {
        self.total().is_some_and(|total| self.rows >= total)
    }

    /// Within a group of rows, those before must be passed over again.
    fn is_apart(&self) -> bool {
        let Some(footer) = &self.footer else {
            return true;
        };
        self.is_read() || place(footer.metadata(), self.rows).1 == 0
    }

    fn close(&mut self) {
        self.reading = None;
    }
}

/// The group that row `row`, which is one of the file, is in, and how many rows of it are before that row.
fn place(metadata: &ParquetMetaData, row: i64) -> (usize, usize) {
    let mut before = 0;
    for (at, group) in metadata.row_groups().iter().enumerate() {
        if before + group.num_rows() > row {
            return (at, usize::try_from(row - before).unwrap_or_default());
        }
        before += group.num_rows();
    }
    (metadata.num_row_groups().saturating_sub(1), 0)
}

/// How many rows may be read at a time, so that they stay near the bytes of one poll.
fn rows_at_once(metadata: &ParquetMetaData, mask: &ProjectionMask, limits: PollLimits) -> usize {
    let bytes = |column: &ColumnChunkMetaData| {
        // A text that is written once may stand in many rows.
        let texts = column.unencoded_byte_array_data_bytes().unwrap_or(0);
        column.uncompressed_size().max(texts).max(0)
    };
    let groups = metadata.row_groups().iter();
    let largest = groups.map(|group| {
        let columns = group.columns().iter().enumerate();
        let read = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
        let total = read.fold(0_i64, |sum, (_, column)| sum.saturating_add(bytes(column)));
        total / group.num_rows().max(1)
    });
    let row = usize::try_from(largest.max().unwrap_or(0)).unwrap_or(usize::MAX);
    (limits.max_bytes / row.max(1)).clamp(1, limits.max_records.max(1))
}

/// What is wrong, without the kind that Parquet's reader begins its messages with.
fn told(error: &ParquetError) -> String {
    match error {
        ParquetError::General(text)
        | ParquetError::NYI(text)
        | ParquetError::EOF(text)
        | ParquetError::ArrowError(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
