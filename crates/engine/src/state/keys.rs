//! Keys of any types as `arrow-row` bytes, each mapped to an entry that the operator owns.

use std::hash::BuildHasher;

use dataflow::{Error, Result};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::bytes::{ByteBlocks, Span};
use super::cow::CowVec;

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
    /// Numbers of entries.
    table: HashTable<u32>,
    entries: Entries<T>,
    free: Vec<u32>,
    /// Bytes of the keys that are there.
    live: usize,
    hasher: FixedState,
}

/// The entries of a map; a clone costs next to nothing and stays as it is.
#[derive(Clone)]
pub struct Entries<T> {
    entries: CowVec<Entry<T>>,
    bytes: ByteBlocks,
}

#[derive(Clone)]
struct Entry<T> {
    key: Span,
    /// Nothing where the entry is free.
    value: Option<T>,
}

impl<T> Entries<T> {
    fn key(&self, at: u32) -> &[u8] {
        self.bytes.get(self.entries.get(at as usize).key)
    }

    /// All keys and entries, in no order.
    pub fn all(&self) -> Vec<(&[u8], &T)> {
        let entries = self.entries.iter();
        entries
            .filter_map(|entry| {
                let value = entry.value.as_ref()?;
                Some((self.bytes.get(entry.key), value))
            })
            .collect()
    }

    /// All keys and entries, in the order of the keys.
    pub fn sorted(&self) -> Vec<(&[u8], &T)> {
        let mut all = self.all();
        all.sort_unstable_by_key(|(key, _)| *key);
        all
    }
}

impl<T> Default for KeyMap<T> {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            entries: Entries {
                entries: CowVec::default(),
                bytes: ByteBlocks::default(),
            },
            free: Vec::new(),
            live: 0,
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

    fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        let found = self.table.find(hash, |at| self.entries.key(*at) == key);
        found.copied()
    }

    /// The entry of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&T> {
        let at = self.find(key, self.hasher.hash_one(key))?;
        self.entries.entries.get(at as usize).value.as_ref()
    }

    /// All keys and entries, in the order of the keys.
    pub fn sorted(&self) -> Vec<(&[u8], &T)> {
        self.entries.sorted()
    }
}

impl<T: Clone> KeyMap<T> {
    /// Makes room for so many more keys.
    pub fn reserve(&mut self, more: usize) {
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash = |at: &u32| hasher.hash_one(entries.key(*at));
        self.table.reserve(more, hash);
    }

    /// Puts keys into a map that has none, each of them once.
    pub fn fill<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        values: impl Iterator<Item = T>,
    ) {
        debug_assert!(self.is_empty() && self.entries.entries.is_empty());
        let mut table = HashTable::with_capacity(keys.len());
        let (bytes, live, hasher) = (&mut self.entries.bytes, &mut self.live, &self.hasher);
        let entries = (0..).zip(keys).zip(values).map(|((at, key), value)| {
            // There is room: nothing is hashed again.
            table.insert_unique(hasher.hash_one(key), at, |_| 0);
            *live += key.len();
            Entry {
                key: bytes.add(key),
                value: Some(value),
            }
        });
        self.entries.entries = entries.collect();
        self.table = table;
    }

    /// Puts a key that is not there.
    pub fn insert_new(&mut self, key: &[u8], value: T) {
        let hash = self.hasher.hash_one(key);
        self.insert(key, hash, value);
    }

    /// The entry of `key`, made by `make` when new.
    pub fn entry(&mut self, key: &[u8], make: impl FnOnce() -> T) -> &mut T {
        let hash = self.hasher.hash_one(key);
        let at = match self.find(key, hash) {
            Some(at) => at,
            None => self.insert(key, hash, make()),
        };
        let entry = self.entries.entries.get_mut(at as usize);
        entry
            .value
            .as_mut()
            .expect("an entry in the table has a value")
    }

    fn insert(&mut self, key: &[u8], hash: u64, value: T) -> u32 {
        let entry = Entry {
            key: self.entries.bytes.add(key),
            value: Some(value),
        };
        let at = if let Some(at) = self.free.pop() {
            *self.entries.entries.get_mut(at as usize) = entry;
            at
        } else {
            let at = self.entries.entries.len();
            self.entries.entries.push(entry);
            u32::try_from(at).expect("fewer than 2^32 keys of state")
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        let again = |at: &u32| hasher.hash_one(entries.key(*at));
        self.table.insert_unique(hash, at, again);
        self.live += key.len();
        self.tidy();
        at
    }

    /// The entry of `key` for change.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        let at = self.find(key, self.hasher.hash_one(key))?;
        self.entries.entries.get_mut(at as usize).value.as_mut()
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: &[u8]) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        let entries = &self.entries;
        let found = self.table.find_entry(hash, |at| entries.key(*at) == key);
        let (at, _) = found.ok()?.remove();
        let value = self.entries.entries.get_mut(at as usize).value.take();
        self.free.push(at);
        self.live -= key.len();
        if self.table.is_empty() {
            *self = Self::default();
        } else {
            self.tidy();
        }
        value
    }

    /// Leaves out the bytes of keys that are gone, once they are more than those that are there: each byte is copied once for
    /// one that went.
    fn tidy(&mut self) {
        const WORTH_IT: usize = 1 << 20;
        let gone = self.entries.bytes.total() - self.live;
        if gone < WORTH_IT || gone < self.live {
            return;
        }
        let mut bytes = ByteBlocks::default();
        for at in 0..self.entries.entries.len() {
            let entry = self.entries.entries.get(at);
            if entry.value.is_some() {
                let key = bytes.add(self.entries.bytes.get(entry.key));
                self.entries.entries.get_mut(at).key = key;
            }
        }
        self.entries.bytes = bytes;
    }

    /// The entries as they are.
    pub fn freeze(&self) -> Entries<T> {
        self.entries.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_and_go_and_what_was_frozen_stays() {
        let mut map: KeyMap<usize> = KeyMap::default();
        let key = |n: usize| format!("key {n} of some length, so that blocks fill").into_bytes();
        for n in 0..50_000 {
            assert_eq!(*map.entry(&key(n), || n), n);
        }
        let frozen = map.freeze();
        for n in 0..49_990 {
            assert_eq!(map.remove(&key(n)), Some(n));
            assert_eq!(map.remove(&key(n)), None);
        }
        assert_eq!(map.len(), 10);
        for n in 0..20 {
            *map.entry(&key(n), || 0) += n;
        }
        *map.get_mut(&key(49_995)).unwrap() = 7;
        let mut expected: Vec<(Vec<u8>, usize)> = (0..20).map(|n| (key(n), n)).collect();
        expected.extend((49_990..50_000).map(|n| (key(n), if n == 49_995 { 7 } else { n })));
        expected.sort();
        let found = map.sorted().into_iter().map(|(k, v)| (k.to_vec(), *v));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(frozen.sorted().len(), 50_000);
        assert!(frozen.sorted().iter().all(|(k, v)| **k == key(**v)));
        // The bytes of keys that are gone are gone, too.
        assert!(map.entries.bytes.total() < 2 << 20);
    }

    #[test]
    fn a_map_that_was_filled_is_like_any_other() {
        let keys: Vec<Vec<u8>> = (0..10_000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut map: KeyMap<u32> = KeyMap::default();
        map.fill(keys.iter().map(Vec::as_slice), 0..);
        map.insert_new(b"one more", 10_000);
        assert_eq!(map.len(), 10_001);
        for (n, key) in (0..).zip(&keys) {
            assert_eq!(map.get(key), Some(&n));
            assert_eq!(*map.entry(key, || 77), n);
        }
        assert_eq!(map.remove(&keys[7]), Some(7));
        assert_eq!(*map.entry(&keys[7], || 77), 77);
        assert_eq!(map.get(b"one more"), Some(&10_000));
    }

    #[test]
    fn keys_that_take_the_place_of_others_take_no_more_room() {
        let mut map: KeyMap<u32> = KeyMap::default();
        let key = |n: u32| format!("the row of {} at version {n}", n % 1000).into_bytes();
        for n in 0..200_000 {
            if n >= 1000 {
                assert_eq!(map.remove(&key(n - 1000)), Some(n - 1000));
            }
            map.entry(&key(n), || n);
            assert!(map.entries.bytes.total() < 3 << 20, "{n}");
        }
        assert_eq!(map.len(), 1000);
        assert!(map.entries.entries.len() <= 1001);
    }
}
