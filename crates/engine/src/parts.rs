//! Rows that do not change between two checkpoints: written once, and later checkpoints say where they are.
//!
//! Arrow's buffers are never changed once they are shared, so rows are the same when their buffers are. A batch that a
//! checkpoint has is held until the next one: as long as it is, no other can be at its addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use dataflow::Result;
use datafusion::arrow::array::{Array, ArrayData, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::journal::to_ipc;

/// Rows of fewer bytes stand with the rest of the checkpoint.
const LEAST: usize = 4 << 10;
/// Rows of more bytes do, too: a part has a length of 32 bits.
const MOST: usize = 1 << 29;
/// With more files than these, the smallest are written again, together.
const FILES: usize = 16;
/// So many of them.
const MERGED: usize = 8;

/// Where the rows of a part are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartAt {
    /// The file, by the number of the checkpoint that has written it.
    pub file: u64,
    /// The place in it.
    pub at: u64,
    /// Of the bytes there: a file may have been replaced by one that is as good.
    pub checksum: u32,
}

/// The file of the parts that a checkpoint is the first to have.
pub trait PartFile {
    /// Writes the bytes of a part; gives their place and their checksum.
    ///
    /// # Errors
    /// When they cannot be written.
    fn put(&mut self, bytes: &[u8]) -> Result<(u64, u32)>;
}

/// The parts of the newest checkpoint.
#[derive(Debug)]
pub struct Parts {
    /// Rows of fewer bytes are no part.
    least: usize,
    parts: HashMap<Identity, Part>,
    /// Bytes of each file when it was written.
    written: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Part {
    at: PartAt,
    bytes: u64,
    /// Held, so that nothing else gets its addresses.
    _rows: RecordBatch,
}

/// What tells rows from all others that are there at the same time. Relations share buffers, under other names and as other types.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    schema: SchemaRef,
    places: Vec<usize>,
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.places.hash(state);
    }
}

/// The parts of a checkpoint that is being made.
pub struct NextParts<'a> {
    before: Option<&'a Parts>,
    file: Option<&'a mut dyn PartFile>,
    number: u64,
    /// Files of which nothing is used any more.
    left: BTreeSet<u64>,
    next: Parts,
}

impl Default for Parts {
    /// None, and rows of 4 KiB become parts.
    fn default() -> Self {
        Self::of(LEAST)
    }
}

impl Parts {
    /// None, and rows of so many bytes become parts.
    pub fn of(least: usize) -> Self {
        Self {
            least,
            parts: HashMap::new(),
            written: BTreeMap::new(),
        }
    }

    /// Begins the parts of checkpoint `number`, which go to `file` where they are new.
    pub fn next<'a>(&'a self, number: u64, file: &'a mut dyn PartFile) -> NextParts<'a> {
        NextParts {
            before: Some(self),
            file: Some(file),
            number,
            left: self.to_leave(),
            next: Self::of(self.least),
        }
    }

    /// Files that the checkpoint needs.
    pub fn files(&self) -> BTreeSet<u64> {
        self.parts.values().map(|part| part.at.file).collect()
    }

    /// Bytes of each file that are of the checkpoint.
    fn used(&self) -> BTreeMap<u64, u64> {
        let mut used = BTreeMap::new();
        for part in self.parts.values() {
            *used.entry(part.at.file).or_default() += part.bytes;
        }
        used
    }

    /// Files whose parts are written again: those that are mostly of no use, and the smallest when there are many.
    fn to_leave(&self) -> BTreeSet<u64> {
        let used = self.used();
        let is_sparse = |(file, used): &(&u64, &u64)| {
            self.written.get(*file).is_some_and(|all| **used * 2 < *all)
        };
        let mut left: BTreeSet<u64> = used.iter().filter(is_sparse).map(|(f, _)| *f).collect();
        if used.len() > FILES {
            let mut sizes: Vec<(u64, u64)> = used.iter().map(|(file, n)| (*n, *file)).collect();
            sizes.sort_unstable();
            left.extend(sizes.iter().take(MERGED).map(|(_, file)| *file));
        }
        left
    }
}

impl NextParts<'_> {
    /// For a checkpoint that holds everything itself.
    pub fn none() -> Self {
        Self {
            before: None,
            file: None,
            number: 0,
            left: BTreeSet::new(),
            next: Parts::default(),
        }
    }

    /// Where rows are, once they are written; `None` when they stand with the rest.
    pub(crate) fn put(&mut self, rows: &RecordBatch) -> Result<Option<PartAt>> {
        let size = rows.get_array_memory_size();
        let is_part = (self.next.least..=MOST).contains(&size);
        let Some(file) = self.file.as_mut().filter(|_| is_part) else {
            return Ok(None);
        };
        let identity = Identity::of(rows);
        if let Some(part) = self.next.parts.get(&identity) {
            return Ok(Some(part.at));
        }
        let known = self.before.and_then(|before| before.parts.get(&identity));
        let known = known.filter(|part| !self.left.contains(&part.at.file));
        let (at, bytes) = match known {
            Some(part) => (part.at, part.bytes),
            None => {
                let bytes = to_ipc(rows)?;
                let (at, checksum) = file.put(&bytes)?;
                let at = PartAt {
                    file: self.number,
                    at,
                    checksum,
                };
                (at, bytes.len() as u64)
            }
        };
        let part = Part {
            at,
            bytes,
            _rows: rows.clone(),
        };
        self.next.parts.insert(identity, part);
        Ok(Some(at))
    }

    /// The parts of the checkpoint, which is there now.
    pub fn finish(mut self) -> Parts {
        let used = self.next.used();
        let written = |(file, used): (u64, u64)| {
            let before = self.before.and_then(|before| before.written.get(&file));
            (file, before.copied().unwrap_or(used))
        };
        self.next.written = used.into_iter().map(written).collect();
        self.next
    }
}

impl Identity {
    fn of(rows: &RecordBatch) -> Self {
        let mut found = vec![rows.num_rows()];
        for column in rows.columns() {
            add(&column.to_data(), &mut found);
        }
        Self {
            schema: rows.schema(),
            places: found,
        }
    }
}

fn add(data: &ArrayData, found: &mut Vec<usize>) {
    found.extend([data.len(), data.offset()]);
    for buffer in data.buffers() {
        found.extend([buffer.as_ptr().addr(), buffer.len()]);
    }
    if let Some(nulls) = data.nulls() {
        found.extend([nulls.buffer().as_ptr().addr(), nulls.offset()]);
    }
    data.child_data().iter().for_each(|child| add(child, found));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, StringArray};

    use super::*;

    #[derive(Default)]
    struct Memory(Vec<Vec<u8>>);

    impl PartFile for Memory {
        fn put(&mut self, bytes: &[u8]) -> Result<(u64, u32)> {
            self.0.push(bytes.to_vec());
            Ok((self.0.len() as u64 - 1, 0))
        }
    }

    fn rows(from: i64, count: i64) -> RecordBatch {
        let numbers: Int64Array = (from..from + count).collect();
        let texts: StringArray = (from..from + count)
            .map(|n| Some(format!("t{n}")))
            .collect();
        let columns: [(&str, Arc<dyn Array>); 2] =
            [("n", Arc::new(numbers)), ("t", Arc::new(texts))];
        RecordBatch::try_from_iter(columns).expect("columns are of one length")
    }

    fn made(before: &Parts, number: u64, all: &[RecordBatch]) -> (Parts, Vec<PartAt>, usize) {
        let mut file = Memory::default();
        let mut next = before.next(number, &mut file);
        let places = all.iter().map(|rows| {
            let at = next.put(rows).expect("memory takes everything");
            at.expect("the rows are not small")
        });
        let places = places.collect();
        (next.finish(), places, file.0.len())
    }

    #[test]
    fn the_same_rows_are_written_once() {
        let (a, b) = (rows(0, 1_000), rows(0, 1_000));
        let (first, at, new) = made(&Parts::default(), 1, &[a.clone(), b.clone(), a.clone()]);
        // Equal rows that are not the same are two.
        assert_eq!((at[0] == at[2], at[0] == at[1], new), (true, false, 2));
        let columns = a.columns().to_vec();
        let renamed = RecordBatch::try_from_iter(["m", "u"].into_iter().zip(columns));
        let renamed = renamed.expect("columns are of one length");
        let (_, places, _) = made(&first, 2, &[a.clone(), renamed]);
        assert_ne!(places[0], places[1], "what has other names is another");
        let other = a.slice(0, 500);
        let (second, again, new) = made(&first, 2, &[b, a, other]);
        assert_eq!(
            (again[0], again[1], again[2].file, new),
            (at[1], at[0], 2, 1)
        );
        assert_eq!(second.files(), BTreeSet::from([1, 2]));
        let mut file = Memory::default();
        let small = second.next(3, &mut file).put(&rows(0, 3));
        assert_eq!(small.expect("nothing is written"), None);
        let whole = NextParts::none().put(&rows(0, 1_000));
        assert_eq!(whole.expect("nothing is written"), None);
    }

    #[test]
    fn files_of_little_use_and_small_ones_are_left() {
        let all: Vec<RecordBatch> = (0..40).map(|n| rows(n * 1_000, 1_000)).collect();
        let (first, _, _) = made(&Parts::default(), 1, &all[..10]);
        // Of ten parts four are used: the next checkpoint writes them again.
        let (second, at, new) = made(&first, 2, &all[..4]);
        assert_eq!((at[0].file, new), (1, 0));
        let (third, at, new) = made(&second, 3, &all[..4]);
        assert_eq!((at[0].file, new), (3, 4));
        let mut parts = third;
        let mut most = 0;
        for count in 5..=40 {
            let (next, places, new) = made(&parts, count as u64, &all[..count]);
            assert_eq!(places.len(), count);
            assert!(new <= 10, "{new} parts are written at once");
            most = most.max(next.files().len());
            parts = next;
        }
        assert!(most <= FILES + 1, "{most} files");
    }
}
