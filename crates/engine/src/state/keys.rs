//! Keys of any types as `arrow-row` bytes, each mapped to an entry that the operator owns.

use std::hash::BuildHasher;

use dataflow::{Error, Result};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Turns key columns into rows of bytes.
pub struct KeyEncoder {
    converter: RowConverter,
    columns: usize,
}

impl KeyEncoder {
    /// For keys of these types.
    pub fn new(fields: &[FieldRef]) -> Result<Self> {
        let sort = fields
            .iter()
            .map(|f| SortField::new(f.data_type().clone()))
            .collect();
        Ok(Self {
            converter: RowConverter::new(sort)?,
            columns: fields.len(),
        })
    }

    /// The rows of key columns; without columns, all rows are equal and `None` is given.
    pub fn encode(&mut self, keys: &[ArrayRef]) -> Result<Option<Rows>> {
        if self.columns == 0 {
            return Ok(None);
        }
        self.converter
            .convert_columns(keys)
            .map(Some)
            .map_err(Error::from)
    }

    /// The key columns of encoded rows.
    pub fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>> {
        if self.columns == 0 {
            return Ok(Vec::new());
        }
        let parser = self.converter.parser();
        Ok(self
            .converter
            .convert_rows(rows.into_iter().map(|r| parser.parse(r)))?)
    }
}

/// A map from key bytes to `T`. Iteration order is not defined: operators sort what they give.
pub struct KeyMap<T> {
    table: HashTable<(Box<[u8]>, T)>,
    hasher: FixedState,
}

impl<T> Default for KeyMap<T> {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            hasher: FixedState::default(),
        }
    }
}

impl<T> KeyMap<T> {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The entry of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&T> {
        self.table
            .find(self.hasher.hash_one(key), |(k, _)| k.as_ref() == key)
            .map(|(_, v)| v)
    }

    /// The entry of `key`, made by `make` when new.
    pub fn entry(&mut self, key: &[u8], make: impl FnOnce() -> T) -> &mut T {
        let hash = self.hasher.hash_one(key);
        let hasher = &self.hasher;
        let entry = self.table.entry(
            hash,
            |(k, _)| k.as_ref() == key,
            |(k, _)| hasher.hash_one(k.as_ref()),
        );
        &mut entry.or_insert_with(|| (key.into(), make())).into_mut().1
    }

    /// The entry of `key` for change.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        self.table
            .find_mut(self.hasher.hash_one(key), |(k, _)| k.as_ref() == key)
            .map(|(_, v)| v)
    }

    /// All keys and entries, in the order of the keys.
    pub fn sorted(&self) -> Vec<(&[u8], &T)> {
        let mut all: Vec<(&[u8], &T)> = self.table.iter().map(|(k, v)| (k.as_ref(), v)).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: &[u8]) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        self.table
            .find_entry(hash, |(k, _)| k.as_ref() == key)
            .ok()
            .map(|e| e.remove().0.1)
    }
}
