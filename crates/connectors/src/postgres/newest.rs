//! What is left of each key after the changes of one version.

use arrow::array::{Array, ArrayRef};
use arrow::row::{RowConverter, Rows, SortField};
use dataflow::upsert::{self, Change};
use dataflow::{DeltaBatch, Error, Result, SqlState};

/// A row: its batch and its place there.
pub(super) type Place = (usize, usize);

/// The rows that count, in the order in which their keys came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Newest {
    /// The row of each key that has one.
    pub(super) upserts: Vec<Place>,
    /// A row of each key that has none any more.
    pub(super) deletes: Vec<Place>,
}

/// Finds the row that every key has in the end; a key without one is deleted.
///
/// # Errors
/// `23502` for NULL in a key.
pub(super) fn newest(batches: &[DeltaBatch], key: &[usize]) -> Result<Newest> {
    let Some(first) = batches.first() else {
        return Ok(Newest::default());
    };
    for column in key {
        if batches
            .iter()
            .any(|b| b.rows.column(*column).null_count() > 0)
        {
            return Err(null_in_key(first.schema().field(*column).name()));
        }
    }
    let all: Vec<usize> = (0..first.rows.num_columns()).collect();
    let (keys, rows) = (bytes(batches, key)?, bytes(batches, &all)?);
    let mut changes = Vec::new();
    for (at, batch) in batches.iter().enumerate() {
        for row in 0..batch.len() {
            changes.push(Change {
                key: keys[at].row(row),
                row: rows[at].row(row),
                place: (at, row),
                weight: batch.weights.get(row),
            });
        }
    }
    let mut newest = Newest::default();
    for (place, is_there) in upsert::newest(changes.into_iter()) {
        let list = if is_there {
            &mut newest.upserts
        } else {
            &mut newest.deletes
        };
        list.push(place);
    }
    Ok(newest)
}

/// Some columns of each batch as bytes that are equal when the values are.
fn bytes(batches: &[DeltaBatch], columns: &[usize]) -> Result<Vec<Rows>> {
    let Some(first) = batches.first() else {
        return Ok(Vec::new());
    };
    let schema = first.schema();
    let fields = columns
        .iter()
        .map(|at| SortField::new(schema.field(*at).data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let convert = |batch: &DeltaBatch| {
        let columns = columns.iter();
        let columns: Vec<ArrayRef> = columns
            .map(|at| ArrayRef::clone(batch.rows.column(*at)))
            .collect();
        Ok(converter.convert_columns(&columns)?)
    };
    batches.iter().map(convert).collect()
}

fn null_in_key(column: &str) -> Error {
    Error::new(
        SqlState::NOT_NULL_VIOLATION,
        format!("column \"{column}\" of the sink's key is NULL"),
    )
    .hint("to PostgreSQL two NULL keys are two keys: leave such rows out with WHERE, or name them with COALESCE")
}
