//! State on its way to a checkpoint and back: what an operator holds, item by item, in an order that it knows.

use std::collections::VecDeque;
use std::fmt;

use dataflow::{Error, Micros, Result, SqlState, Watermark};
use datafusion::arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::journal::{Bytes, from_ipc, to_ipc};
use crate::parts::{NextParts, PartAt};

/// Items of state, in the order in which they were put.
///
/// Putting costs next to nothing: rows are shared, and what takes time is put [`Saved::later`]. [`Saved::resolve`] does the
/// work, wherever and whenever that is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    items: VecDeque<Item>,
}

#[derive(Serialize, Deserialize)]
enum Item {
    Number(i64),
    Numbers(Vec<i64>),
    Keys(Keys),
    Rows(Bytes),
    #[serde(skip)]
    Batch(RecordBatch),
    #[serde(skip)]
    Later(Box<Work>),
    Part(PartAt),
}

/// Keys behind each other.
#[derive(Default, Serialize, Deserialize)]
pub struct Keys {
    bytes: Bytes,
    /// The length of each, as four bytes, little-endian.
    lengths: Bytes,
}

impl Keys {
    /// The keys in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut rest = self.bytes.0.as_slice();
        let (lengths, _) = self.lengths.0.as_chunks::<4>();
        lengths.iter().map(move |length| {
            let length = u32::from_le_bytes(*length) as usize;
            let (key, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            key
        })
    }

    /// The keys in order, each on its own.
    pub fn boxed(&self) -> impl ExactSizeIterator<Item = Box<[u8]>> {
        self.iter().map(Box::from)
    }
}

/// Puts items in place of itself.
type Work = dyn FnOnce(&mut Saved) -> Result<()> + Send;

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "number {number}"),
            Self::Numbers(numbers) => write!(f, "{} numbers", numbers.len()),
            Self::Keys(keys) => write!(f, "{} keys", keys.iter().len()),
            Self::Rows(bytes) => write!(f, "rows of {} bytes", bytes.0.len()),
            Self::Batch(rows) => write!(f, "{} rows", rows.num_rows()),
            Self::Later(_) => f.write_str("something that is put later"),
            Self::Part(at) => write!(f, "rows at {} of file {}", at.at, at.file),
        }
    }
}

impl Saved {
    /// Puts a number.
    pub fn number(&mut self, number: i64) {
        self.items.push_back(Item::Number(number));
    }

    /// Puts a count.
    pub fn count(&mut self, count: usize) {
        self.number(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Puts a counter.
    pub fn counter(&mut self, counter: u64) {
        self.number(counter.cast_signed());
    }

    /// Puts a time that may not be there.
    pub fn time(&mut self, time: Option<Micros>) {
        self.numbers(time.into_iter());
    }

    /// Puts numbers.
    pub fn numbers(&mut self, numbers: impl Iterator<Item = i64>) {
        self.items.push_back(Item::Numbers(numbers.collect()));
    }

    /// Puts keys.
    pub fn keys<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) {
        let mut put = Keys::default();
        for key in keys {
            put.bytes.0.extend_from_slice(key);
            let length = u32::try_from(key.len()).expect("keys are smaller than 4 GiB");
            put.lengths.0.extend_from_slice(&length.to_le_bytes());
        }
        self.items.push_back(Item::Keys(put));
    }

    /// Puts rows, which are shared.
    pub fn rows(&mut self, rows: &RecordBatch) {
        self.items.push_back(Item::Batch(rows.clone()));
    }

    /// Puts what `work` puts, which is done when it is asked for: it must hold what it needs as it is now.
    pub fn later(&mut self, work: impl FnOnce(&mut Self) -> Result<()> + Send + 'static) {
        self.items.push_back(Item::Later(Box::new(work)));
    }

    /// Does what was put off, so that there are bytes for everything. Rows that others share go to `parts`.
    ///
    /// # Errors
    /// When Arrow has no bytes for rows, and those of `parts`.
    pub fn resolve(&mut self, parts: &mut NextParts<'_>) -> Result<()> {
        for item in std::mem::take(&mut self.items) {
            match item {
                Item::Later(work) => {
                    let mut put = Self::default();
                    work(&mut put)?;
                    // Its rows were made for this checkpoint alone.
                    put.resolve(&mut NextParts::none())?;
                    self.items.append(&mut put.items);
                }
                Item::Batch(rows) => self.items.push_back(match parts.put(&rows)? {
                    Some(at) => Item::Part(at),
                    None => Item::Rows(Bytes(to_ipc(&rows)?)),
                }),
                item => self.items.push_back(item),
            }
        }
        Ok(())
    }

    /// Reads the parts, so that everything can be taken.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fetch(&mut self, read: &mut dyn FnMut(PartAt) -> Result<Vec<u8>>) -> Result<()> {
        for item in &mut self.items {
            if let Item::Part(at) = item {
                *item = Item::Rows(Bytes(read(*at)?));
            }
        }
        Ok(())
    }

    /// Takes a number.
    ///
    /// # Errors
    /// Here and below: `XX001` when something else was put.
    pub fn take_number(&mut self) -> Result<i64> {
        match self.items.pop_front() {
            Some(Item::Number(number)) => Ok(number),
            other => Err(wrong("a number", other.as_ref())),
        }
    }

    /// Takes a count.
    pub fn take_count(&mut self) -> Result<usize> {
        usize::try_from(self.take_number()?).map_err(|_| wrong("a count", None::<()>))
    }

    /// Takes a counter.
    pub fn take_counter(&mut self) -> Result<u64> {
        Ok(self.take_number()?.cast_unsigned())
    }

    /// Takes a watermark, which was put as a number.
    pub fn take_watermark(&mut self) -> Result<Watermark> {
        self.take_number().map(Watermark)
    }

    /// Takes a time that may not be there.
    pub fn take_time(&mut self) -> Result<Option<Micros>> {
        Ok(self.take_numbers()?.first().copied())
    }

    /// Takes numbers.
    pub fn take_numbers(&mut self) -> Result<Vec<i64>> {
        match self.items.pop_front() {
            Some(Item::Numbers(numbers)) => Ok(numbers),
            other => Err(wrong("numbers", other.as_ref())),
        }
    }

    /// Takes numbers that were put two by two.
    pub fn take_pairs(&mut self) -> Result<Vec<(i64, i64)>> {
        let numbers = self.take_numbers()?;
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(wrong("pairs", None::<()>));
        }
        Ok(pairs.iter().map(|[a, b]| (*a, *b)).collect())
    }

    /// Takes keys.
    pub fn take_keys(&mut self) -> Result<Keys> {
        match self.items.pop_front() {
            Some(Item::Keys(keys)) => Ok(keys),
            other => Err(wrong("keys", other.as_ref())),
        }
    }

    /// Takes rows.
    pub fn take_rows(&mut self) -> Result<RecordBatch> {
        match self.items.pop_front() {
            Some(Item::Rows(bytes)) => from_ipc(&bytes.0),
            other => Err(wrong("rows", other.as_ref())),
        }
    }

    /// About how many bytes there are.
    pub fn bytes(&self) -> usize {
        let each = self.items.iter().map(|item| match item {
            Item::Number(_) => 8,
            Item::Numbers(numbers) => 8 * numbers.len(),
            Item::Keys(keys) => keys.bytes.0.len(),
            Item::Rows(rows) => rows.0.len(),
            Item::Batch(rows) => rows.get_array_memory_size(),
            Item::Later(_) | Item::Part(_) => 0,
        });
        each.sum()
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// State that is not of the operator that takes it.
pub(crate) fn wrong(expected: &str, found: Option<impl fmt::Debug>) -> Error {
    let found = found.map_or_else(
        || "nothing".to_owned(),
        |found| {
            let mut found = format!("{found:?}");
            found.truncate(found.floor_char_boundary(80));
            found
        },
    );
    let message =
        format!("the state is not that of its view: it has {found} in place of {expected}");
    Error::new(SqlState::DATA_CORRUPTED, message)
}
