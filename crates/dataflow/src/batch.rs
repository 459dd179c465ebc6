//! Rows in flight: an Arrow batch and a signed weight a row (a Z-set), so that retraction is addition of -1.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

/// The weights of a batch's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Every row is inserted once.
    Ones,
    /// One weight a row: +1 inserts it, -1 takes it back.
    Each(Arc<[i8]>),
}

impl Weights {
    /// The weight of row `row`.
    pub fn get(&self, row: usize) -> i8 {
        match self {
            Self::Ones => 1,
            Self::Each(weights) => weights[row],
        }
    }
}

/// A batch of changes.
#[derive(Clone, Debug)]
pub struct DeltaBatch {
    /// The rows.
    pub rows: RecordBatch,
    /// Their weights.
    pub weights: Weights,
}

impl DeltaBatch {
    /// Rows that are all inserted.
    pub fn inserts(rows: RecordBatch) -> Self {
        Self {
            rows,
            weights: Weights::Ones,
        }
    }

    /// Rows with a weight each; `weights` has as many entries as `rows` has rows.
    pub fn new(rows: RecordBatch, weights: Vec<i8>) -> Self {
        debug_assert_eq!(rows.num_rows(), weights.len());
        if weights.iter().all(|w| *w == 1) {
            return Self::inserts(rows);
        }
        Self {
            rows,
            weights: Weights::Each(weights.into()),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether the batch has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows' schema.
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// The same weights over other columns; `rows` has as many rows.
    #[must_use]
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        debug_assert_eq!(rows.num_rows(), self.len());
        Self {
            rows,
            weights: self.weights.clone(),
        }
    }

    /// Some rows behind each other.
    #[must_use]
    pub fn slice(&self, from: usize, length: usize) -> Self {
        Self {
            rows: self.rows.slice(from, length),
            weights: match &self.weights {
                Weights::Ones => Weights::Ones,
                Weights::Each(weights) => Weights::Each(weights[from..from + length].into()),
            },
        }
    }

    /// The rows where `keep` is true (NULL counts as false).
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self, arrow::error::ArrowError> {
        let rows = filter_record_batch(&self.rows, keep)?;
        let weights = match &self.weights {
            Weights::Ones => Weights::Ones,
            Weights::Each(weights) => {
                let kept = |(i, w): (usize, &i8)| (keep.is_valid(i) && keep.value(i)).then_some(*w);
                Weights::Each(weights.iter().enumerate().filter_map(kept).collect())
            }
        };
        Ok(Self { rows, weights })
    }
}
