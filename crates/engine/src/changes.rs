//! Corrections: old rows taken back and new rows inserted, without those that did not change.

use dataflow::{DeltaBatch, Result};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, make_comparator};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::kernels::cmp::not_distinct;
use datafusion::arrow::compute::{SortOptions, and, concat_batches, filter_record_batch};

use crate::faults::{self, Fault};

/// Which rows of two equally long batches are equal (NULLs equal each other). Columns that cannot be compared count as
/// different; lists can be.
pub fn equal_rows(old: &RecordBatch, new: &RecordBatch) -> Result<BooleanArray> {
    let mut equal = BooleanArray::new(BooleanBuffer::new_set(old.num_rows()), None);
    for (a, b) in old.columns().iter().zip(new.columns()) {
        let same = match not_distinct(a, b) {
            Ok(same) => same,
            Err(_) => same_values(a, b),
        };
        equal = and(&equal, &same)?;
    }
    Ok(equal)
}

/// Equality of values that have no kernel for it.
fn same_values(a: &ArrayRef, b: &ArrayRef) -> BooleanArray {
    let same = match make_comparator(a, b, SortOptions::default()) {
        Ok(compare) => BooleanBuffer::collect_bool(a.len(), |row| compare(row, row).is_eq()),
        Err(_) => BooleanBuffer::new_unset(a.len()),
    };
    BooleanArray::new(same, None)
}

/// The change from `old` to `new`, rows that pair up in order; equal pairs are left out. `None` when nothing changed.
pub fn correction(old: &RecordBatch, new: &RecordBatch) -> Result<Option<DeltaBatch>> {
    let changed = datafusion::arrow::compute::not(&equal_rows(old, new)?)?;
    if changed.true_count() == 0 {
        return Ok(None);
    }
    let old = filter_record_batch(old, &changed)?;
    let new = filter_record_batch(new, &changed)?;
    concat_changes(&old, &new).map(Some)
}

/// The rows with true in column `complete`.
pub fn complete_rows(rows: &RecordBatch, complete: usize) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    columns[complete] = crate::window::complete(rows.num_rows(), true);
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

/// `old` taken back, then `new` inserted.
pub fn concat_changes(old: &RecordBatch, new: &RecordBatch) -> Result<DeltaBatch> {
    let lost = usize::from(faults::on(Fault::RetractionLost)).min(old.num_rows());
    let old = &old.slice(lost, old.num_rows() - lost);
    let rows = concat_batches(&new.schema(), [old, new])?;
    let mut weights = vec![-1_i8; old.num_rows()];
    weights.resize(rows.num_rows(), 1);
    Ok(DeltaBatch::new(rows, weights))
}
