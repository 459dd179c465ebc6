//! Rows of two batches with equal keys, for joins. NULL equals nothing.

use dataflow::Result;
use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::row::Rows;

use crate::state::keys::{KeyEncoder, KeyMap};

/// The rows of one side by key.
pub struct Index(KeyMap<Vec<u32>>);

impl Index {
    /// Of `rows` rows with these keys.
    pub fn new(encoder: &mut KeyEncoder, keys: &[ArrayRef], rows: usize) -> Result<Self> {
        let mut by_key: KeyMap<Vec<u32>> = KeyMap::default();
        let keys = Keys::new(encoder, keys)?;
        for row in 0..rows {
            if let Some(key) = keys.of(row) {
                by_key.entry(key, Vec::new).push(number(row));
            }
        }
        Ok(Self(by_key))
    }

    /// The rows with a key.
    pub fn rows(&self, key: Option<&[u8]>) -> &[u32] {
        let rows = key.and_then(|key| self.0.get(key));
        rows.map_or(&[], Vec::as_slice)
    }
}

/// Keys of the rows of a batch.
pub struct Keys<'a> {
    arrays: &'a [ArrayRef],
    encoded: Option<Rows>,
}

impl<'a> Keys<'a> {
    /// Encodes keys; without any, all rows have the same.
    pub fn new(encoder: &mut KeyEncoder, arrays: &'a [ArrayRef]) -> Result<Self> {
        Ok(Self {
            arrays,
            encoded: encoder.encode(arrays)?,
        })
    }

    /// The key of a row; `None` when some column of it is NULL.
    pub fn of(&self, row: usize) -> Option<&[u8]> {
        let known = self.arrays.iter().all(|k| k.is_valid(row));
        known.then(|| self.encoded.as_ref().map_or(&[][..], |e| e.row(row).data()))
    }
}

/// A row number as indexes have it.
pub fn number(row: usize) -> u32 {
    u32::try_from(row).expect("a batch has fewer than 2^32 rows")
}
