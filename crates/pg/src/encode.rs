//! Arrow batches to PostgreSQL values: column by column into cells, then row by row into messages.

pub(crate) mod array;
pub(crate) mod binary;
pub(crate) mod float;
pub(crate) mod numeric;
pub(crate) mod text;
pub(crate) mod time;

use datafusion::arrow::array::{Array, ArrayAccessor, RecordBatch};
use datafusion::arrow::datatypes::Schema;

use dataflow::{Error, Result, SqlState};

use crate::types::{PgType, is_list, pg_type, vector_element};
pub use time::Zone;

/// Rows that are encoded at once: few enough for the first row to leave early, enough to be columnar.
const CHUNK_ROWS: usize = 512;
/// Columns of a result, at most, as in PostgreSQL.
const MAX_COLUMNS: usize = 1664;
/// Bytes that a chunk should not exceed by much.
const CHUNK_BYTES: usize = 1 << 20;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As psql shows it.
    Text,
    /// As PostgreSQL's `typsend` functions write it.
    Binary,
}

/// Settings of the session that values depend on.
#[derive(Clone, Debug)]
pub struct EncodeOptions {
    /// `timezone`.
    pub zone: Zone,
    /// `extra_float_digits`: above 0 is the shortest text that reads back the same.
    pub extra_float_digits: i32,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            zone: Zone::Utc,
            extra_float_digits: 1,
        }
    }
}

/// The encoded values of one column: bytes one after another, and where each ends.
#[derive(Default)]
pub struct Cells {
    pub(crate) bytes: Vec<u8>,
    ends: Vec<usize>,
    nulls: Vec<bool>,
}

impl Cells {
    /// The value of a row; `None` is NULL.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        if self.nulls[row] {
            None
        } else {
            Some(&self.bytes[start..self.ends[row]])
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.nulls.clear();
    }

    fn end(&mut self, null: bool) {
        self.ends.push(self.bytes.len());
        self.nulls.push(null);
    }

    /// Appends every value of `array` with `write`.
    fn each<A: ArrayAccessor>(
        &mut self,
        array: A,
        mut write: impl FnMut(A::Item, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        for row in 0..array.len() {
            let null = array.is_null(row);
            if !null {
                write(array.value(row), &mut self.bytes)?;
            }
            self.end(null);
        }
        Ok(())
    }

    /// Appends `rows` values by row number; `write` says whether there was a value.
    fn rows(
        &mut self,
        rows: usize,
        mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<bool>,
    ) -> Result<()> {
        for row in 0..rows {
            let some = write(row, &mut self.bytes)?;
            self.end(!some);
        }
        Ok(())
    }
}

/// One column of a result: name, announced type and format.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name in RowDescription.
    pub name: String,
    /// Announced type.
    pub pg_type: PgType,
    /// Format of its values.
    pub format: Format,
}

/// The columns of `schema` in the given formats: none (all text), one for all, or one each.
pub fn columns(schema: &Schema, formats: &[Format]) -> Result<Vec<Column>> {
    if schema.fields().len() > MAX_COLUMNS {
        let message = format!("target lists can have at most {MAX_COLUMNS} entries");
        return Err(Error::new(SqlState("54011"), message));
    }
    let format = |index: usize| match formats {
        [] => Format::Text,
        [one] => *one,
        many => many.get(index).copied().unwrap_or(Format::Text),
    };
    let column = |(index, field): (usize, &std::sync::Arc<datafusion::arrow::datatypes::Field>)| {
        Ok(Column {
            name: field.name().clone(),
            pg_type: pg_type(field)?,
            format: format(index),
        })
    };
    schema.fields().iter().enumerate().map(column).collect()
}

/// Encodes the rows of one batch after another, a chunk at a time.
pub struct RowEncoder {
    columns: Vec<Column>,
    options: EncodeOptions,
    batch: Option<RecordBatch>,
    /// Rows of `batch` that are encoded.
    encoded: usize,
    cells: Vec<Cells>,
    /// Rows in `cells`, and the next one to give.
    chunk: usize,
    next: usize,
}

impl RowEncoder {
    /// An encoder without rows.
    pub fn new(columns: Vec<Column>, options: EncodeOptions) -> Self {
        let cells = columns.iter().map(|_| Cells::default()).collect();
        Self {
            columns,
            options,
            batch: None,
            encoded: 0,
            cells,
            chunk: 0,
            next: 0,
        }
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Takes the next batch, after all rows of the last one were given.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::internal("a batch has other columns than its result"));
        }
        debug_assert!(
            self.batch.is_none() && self.next == self.chunk,
            "rows of the last batch are left"
        );
        self.encoded = 0;
        self.batch = Some(batch);
        Ok(())
    }

    /// The next row, as the columns' cells and a row number in them; `None` when a batch is needed.
    pub fn next_row(&mut self) -> Result<Option<(&[Cells], usize)>> {
        if self.next == self.chunk && !self.next_chunk()? {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some((&self.cells, self.next - 1)))
    }

    fn next_chunk(&mut self) -> Result<bool> {
        let Some(batch) = &self.batch else {
            return Ok(false);
        };
        let left = batch.num_rows() - self.encoded;
        (self.chunk, self.next) = (0, 0);
        if left == 0 {
            self.batch = None;
            return Ok(false);
        }
        let row_bytes = (batch.get_array_memory_size() / batch.num_rows()).max(1);
        let rows = left.min((CHUNK_BYTES / row_bytes).clamp(16, CHUNK_ROWS));
        for (index, (column, cells)) in self.columns.iter().zip(&mut self.cells).enumerate() {
            cells.clear();
            let array = batch.column(index).slice(self.encoded, rows);
            encode(&array, column, &self.options, cells)?;
            if cells.len() != rows {
                return Err(Error::internal(format!(
                    "column {} was not encoded whole",
                    column.name
                )));
            }
        }
        self.encoded += rows;
        self.chunk = rows;
        Ok(true)
    }
}

fn encode(
    array: &dyn Array,
    column: &Column,
    options: &EncodeOptions,
    cells: &mut Cells,
) -> Result<()> {
    match column.format {
        Format::Text
            if vector_element(column.pg_type.oid).is_some() && is_list(array.data_type()) =>
        {
            array::vectors_as_text(array, options, cells)
        }
        Format::Text => text::column(array, options, cells),
        Format::Binary => binary::column(array, &column.pg_type, cells),
    }
}

#[cfg(test)]
mod tests;
