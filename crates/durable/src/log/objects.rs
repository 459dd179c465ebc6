//! A log in an object store: an object for each time that its records are made durable.
//!
//! Objects are made and never changed. A name has the number of the object's first record and a serial number. Whoever begins to own
//! the log makes an object without records, under the name that the next one would have: an owner before, who stood still, finds
//! that name taken and appends nothing, whatever it believes. These are kept when the log is cut off at its beginning, the newest of them, for it may
//! stand still for long.

use bytes::Bytes;
use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Result, SqlState};

use super::{Reading, SUFFIX};
use crate::bucket::Creating;
use crate::damaged;
use crate::frame::{self, Found, HEADER};
use crate::place::{Place, StorePlace};

/// Bytes before the records of an object: the generation of who made it, as a record.
pub(super) const PREFACE: usize = HEADER + 8;
/// How often to look for the end while another owner still appends.
const TRIES: usize = 100;
/// Objects without records that are kept.
const FENCES: usize = 16;

/// The end of a log.
#[derive(Debug)]
pub(super) struct Objects {
    folder: StorePlace,
    generation: u64,
    serial: u64,
    /// Number of the first record that is not durable.
    first: u64,
    buffer: Vec<u8>,
    /// What nobody has answered to yet: it is not sent again.
    pending: Option<Creating>,
}

/// An object of a log.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) first: u64,
    serial: u64,
    place: StorePlace,
    pub(super) has_records: bool,
}

impl Objects {
    /// Finds the end, and keeps owners before this `generation` from appending to it. Gives the number of the next record, too.
    pub(super) fn open(folder: &StorePlace, generation: u64) -> Result<(Self, u64)> {
        for _ in 0..TRIES {
            let (first, serial) = match list(folder)?.pop() {
                None => (0, 0),
                Some(last) => {
                    let serial = last.serial + 1;
                    let (newest, next) = last.read()?;
                    if newest > generation {
                        // It has begun, and this one was slow.
                        return Err(taken_over(folder));
                    }
                    (next, serial)
                }
            };
            let mut end = Self {
                folder: folder.clone(),
                generation,
                serial,
                first,
                buffer: Vec::new(),
                pending: None,
            };
            end.begin();
            if end.make()? {
                end.serial += 1;
                return Ok((end, first));
            }
        }
        let message = format!("another clickmill appends to {}", folder.url());
        Err(Error::new(SqlState::OBJECT_IN_USE, message))
    }

    /// Takes a record in its frame, which is not durable.
    pub(super) fn append(&mut self, framed: &[u8]) {
        self.buffer.extend_from_slice(framed);
    }

    /// Makes an object of what was taken. After an error nothing was taken; it may be there all the same, and is then found when the
    /// same records are taken again.
    pub(super) fn sync(&mut self, next: u64) -> Result<()> {
        if self.buffer.len() == PREFACE {
            return Ok(());
        }
        failpoint::reached(Failpoint::JournalWritten);
        match self.make() {
            Ok(true) => {
                self.first = next;
                self.serial += 1;
                self.begin();
                Ok(())
            }
            Ok(false) => Err(taken_over(&self.folder)),
            Err(error) => {
                self.begin();
                Err(error)
            }
        }
    }

    /// Number of the first record that is not durable.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    fn begin(&mut self) {
        self.buffer.clear();
        frame::put(&self.generation.to_le_bytes(), &mut self.buffer);
    }

    /// Makes the next object; `false` when another one has its name.
    fn make(&mut self) -> Result<bool> {
        let name = format!("{:020}-{:010}{SUFFIX}", self.first, self.serial);
        let StorePlace { bucket, key } = self.folder.join(&name);
        let pending = self.pending.take();
        let creating = match pending.filter(|pending| pending.is(&key, &self.buffer)) {
            Some(pending) => pending,
            None => bucket.begin_create(&key, &Bytes::copy_from_slice(&self.buffer)),
        };
        bucket.created(creating).map_err(|(error, pending)| {
            self.pending = pending;
            error
        })
    }
}

/// Removes objects that hold only records below `number`.
pub(super) fn forget(folder: &StorePlace, number: u64) -> Result<()> {
    let objects = list(folder)?;
    let fences = objects.iter().filter(|object| !object.has_records).count();
    let mut spare = fences.saturating_sub(FENCES);
    for pair in objects
        .windows(2)
        .take_while(|pair| pair[1].first <= number)
    {
        let object = &pair[0];
        if !object.has_records {
            if spare == 0 {
                continue;
            }
            spare -= 1;
        }
        object.place.bucket.delete(&object.place.key)?;
        failpoint::reached(Failpoint::JournalForgetting);
    }
    Ok(())
}

fn taken_over(folder: &StorePlace) -> Error {
    let message = format!("another clickmill has taken over {}", folder.url());
    Error::new(SqlState::OBJECT_IN_USE, message)
        .detail("the journal goes on with what another process has written")
}

impl Object {
    pub(super) fn place(self) -> (u64, Place) {
        (self.first, Place::Store(self.place))
    }

    /// The generation of who made it, and the number of the record that follows its own.
    fn read(self) -> Result<(u64, u64)> {
        let bytes = self.place.raw()?.unwrap_or_default();
        let (first, place) = self.place();
        records_at(&place, &bytes)?;
        let generation = bytes[HEADER..].first_chunk().copied().unwrap_or_default();
        let mut reading = Reading::of(vec![(first, place)]);
        reading.ready.push_back(bytes);
        while reading.next()?.is_some() {}
        Ok((u64::from_le_bytes(generation), reading.number()))
    }
}

/// The objects of a log, in the order in which they were made.
pub(super) fn list(folder: &StorePlace) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for found in folder.bucket.list(&folder.key)? {
        let numbers = found.name.strip_suffix(SUFFIX);
        let numbers = numbers.and_then(|name| name.split_once('-'));
        let parsed = numbers.and_then(|(first, serial)| {
            let first = first.parse().ok()?;
            Some((first, serial.parse().ok()?))
        });
        if let Some((first, serial)) = parsed {
            objects.push(Object {
                first,
                serial,
                place: folder.join(&found.name),
                has_records: found.bytes > PREFACE as u64,
            });
        }
    }
    objects.sort_unstable_by_key(|object| (object.first, object.serial));
    Ok(objects)
}

/// The objects of a log that follow each other without a gap, up to the newest. What is before them is not of the log any more: objects
/// without records that are kept, or one that somebody has made again who did not know that it had been removed.
pub(super) fn joined(folder: &StorePlace) -> Result<Vec<Object>> {
    let mut objects = list(folder)?;
    let gap = |pair: &[Object]| pair[0].serial + 1 != pair[1].serial;
    let begin = objects
        .windows(2)
        .rposition(gap)
        .map_or(0, |before| before + 1);
    objects.drain(..begin);
    Ok(objects)
}

/// Where the records of an object begin.
pub(super) fn records_at(place: &Place, bytes: &[u8]) -> Result<usize> {
    match bytes.is_empty() {
        false if matches!(frame::take(bytes), Found::Record(generation) if generation.len() == 8) => {
            Ok(PREFACE)
        }
        _ => Err(damaged(place, "its beginning was changed")),
    }
}
