//! The log of one partition: batches as received, bounded by bytes and by age, the oldest dropped first. All of it is in memory,
//! and on disk, too, when the broker lasts.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use dataflow::Micros;
use durable::Claim;
use kafka_protocol::ResponseError;

use crate::batch::{self, Header};
use crate::disk::{self, Disk, Kept};
use crate::producers::Producers;

/// What a batch costs beside its own bytes: its place in the log and its allocation.
const BATCH_OVERHEAD: u64 = 128;

/// The bounds of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) age: Micros,
}

impl Limits {
    pub(crate) fn new(bytes: u64, age: Duration) -> Self {
        Self {
            bytes,
            age: Micros::try_from(age.as_micros()).unwrap_or(Micros::MAX),
        }
    }
}

/// One partition.
pub(crate) struct Log {
    limits: Limits,
    batches: VecDeque<Stored>,
    bytes: u64,
    end: i64,
    producers: Producers,
    /// The same on disk.
    disk: Option<Disk>,
}

struct Stored {
    /// On disk.
    number: u64,
    base: i64,
    last: i64,
    max_timestamp: i64,
    arrived: Micros,
    bytes: Bytes,
}

/// Where a batch has been stored, and whether it was there before.
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    pub(crate) repeated: bool,
}

/// The batch in which a time is first reached.
pub(crate) struct Reached {
    pub(crate) base_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) bytes: Bytes,
}

impl Log {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            batches: VecDeque::new(),
            bytes: 0,
            end: 0,
            producers: Producers::default(),
            disk: None,
        }
    }

    /// A log that goes on with what is in a folder.
    pub(crate) fn open(limits: Limits, folder: &Path, claim: &Claim) -> dataflow::Result<Self> {
        let (disk, kept) = Disk::open(folder, claim)?;
        let mut log = Self::new(limits);
        for Kept {
            number,
            arrived,
            bytes,
        } in kept
        {
            let header = batch::check(&bytes).map_err(|_| disk::damaged(folder))?;
            log.end = batch::base_offset(&bytes);
            log.store(bytes, &header, arrived, number);
        }
        log.disk = Some(disk);
        Ok(log)
    }

    /// Takes a batch that begins at the end.
    fn store(&mut self, bytes: Bytes, header: &Header, arrived: Micros, number: u64) {
        let base = self.end;
        let last = base + i64::from(header.records) - 1;
        self.bytes += cost(&bytes);
        self.end = last + 1;
        self.producers.stored(header, base);
        self.batches.push_back(Stored {
            number,
            base,
            last,
            max_timestamp: header.max_timestamp,
            arrived,
            bytes,
        });
    }

    /// The offset of the oldest record kept, or of the next one.
    pub(crate) fn start(&self) -> i64 {
        self.batches.front().map_or(self.end, |batch| batch.base)
    }

    /// The offset of the next record.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Stores a checked batch that arrived at `now`, and drops the oldest ones that have no room any more.
    pub(crate) fn append(
        &mut self,
        batch: &[u8],
        header: &Header,
        now: Micros,
    ) -> Result<Appended, ResponseError> {
        if header.producer_id >= 0
            && let Some(base_offset) = self.producers.repeated(header)?
        {
            return Ok(Appended {
                base_offset,
                repeated: true,
            });
        }
        if cost(batch) > self.limits.bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        let base = self.end;
        let bytes = batch::stored(batch, base);
        let written = self.disk.as_mut().map(|disk| disk.append(&bytes, now));
        let number = written.transpose().map_err(|error| no_room(&error))?;
        self.store(bytes, header, now, number.unwrap_or(0));
        self.expire(now);
        Ok(Appended {
            base_offset: base,
            repeated: false,
        })
    }

    /// Drops the oldest batches when the log is too large, an eighth at a time, or when they are too old. In between, a
    /// reader that begins at the first record is not overtaken.
    pub(crate) fn expire(&mut self, now: Micros) {
        let oldest = now.saturating_sub(self.limits.age);
        let most = match self.bytes > self.limits.bytes {
            true => self.limits.bytes - self.limits.bytes / 8,
            false => self.limits.bytes,
        };
        let mut has_less = false;
        while let Some(batch) = self.batches.front()
            && (self.bytes > most || batch.arrived < oldest)
        {
            self.bytes -= cost(&batch.bytes);
            self.batches.pop_front();
            has_less = true;
        }
        let oldest = self.batches.front().map_or(u64::MAX, |batch| batch.number);
        if has_less && let Some(Err(error)) = self.disk.as_mut().map(|disk| disk.forget(oldest)) {
            tracing::warn!(%error, "files of the embedded broker that are not needed any more stay");
        }
    }

    /// Whole batches from the one with `offset` on, of at most `max_bytes` together; with `at_least_one`, the first
    /// one however large it is.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ResponseError> {
        if offset < self.start() || offset > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let first = self.batches.partition_point(|batch| batch.last < offset);
        let mut taken = Vec::new();
        let mut size = 0;
        for batch in self.batches.range(first..) {
            size += batch.bytes.len();
            if size > max_bytes && !(at_least_one && taken.is_empty()) {
                break;
            }
            taken.push(batch.bytes.clone());
        }
        Ok(taken)
    }

    /// The first batch with a record of at least `timestamp`, in milliseconds.
    pub(crate) fn reached(&self, timestamp: i64) -> Option<Reached> {
        let batch = self
            .batches
            .iter()
            .find(|batch| batch.max_timestamp >= timestamp)?;
        let Stored {
            base: base_offset,
            max_timestamp,
            ..
        } = *batch;
        Some(Reached {
            base_offset,
            max_timestamp,
            bytes: batch.bytes.clone(),
        })
    }
}

/// What a producer is told when its batch cannot be written.
fn no_room(error: &dataflow::Error) -> ResponseError {
    tracing::warn!(%error, "the embedded broker takes no records");
    ResponseError::KafkaStorageError
}

fn cost(batch: &[u8]) -> u64 {
    batch.len() as u64 + BATCH_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::HEADER_BYTES;

    fn append(log: &mut Log, records: i32, max_timestamp: i64, now: Micros) -> i64 {
        let header = Header {
            records,
            max_timestamp,
            producer_id: -1,
            producer_epoch: -1,
            first_sequence: -1,
        };
        log.append(&[0; HEADER_BYTES + 11], &header, now)
            .expect("there is room")
            .base_offset
    }

    #[test]
    fn bytes_and_age_drop_the_oldest() {
        let mut log = Log::new(Limits {
            bytes: 1_000,
            age: 50,
        });
        let bases: Vec<i64> = (0..8).map(|n| append(&mut log, 3, n, n)).collect();
        assert_eq!(bases, [0, 3, 6, 9, 12, 15, 18, 21]);
        assert_eq!((log.start(), log.end(), log.bytes), (12, 24, 800));
        log.expire(55);
        assert_eq!(log.start(), 15);
        log.expire(1_000);
        assert_eq!((log.start(), log.end(), log.bytes), (24, 24, 0));
        assert_eq!(append(&mut log, 1, 0, 1_000), 24);
    }

    #[test]
    fn reads_begin_with_the_batch_of_the_offset() {
        let mut log = Log::new(Limits {
            bytes: 10_000,
            age: Micros::MAX,
        });
        for n in 0..4 {
            append(&mut log, 3, n * 10, 0);
        }
        let first = |offset, max, one| {
            log.read(offset, max, one).map(|taken| {
                (
                    taken.len(),
                    taken
                        .first()
                        .map(|batch| i64::from_be_bytes(batch[..8].try_into().expect("8 bytes"))),
                )
            })
        };
        assert_eq!(first(4, usize::MAX, false), Ok((3, Some(3))));
        assert_eq!(first(4, 150, false), Ok((2, Some(3))));
        assert_eq!(first(4, 1, false), Ok((0, None)));
        assert_eq!(first(4, 1, true), Ok((1, Some(3))));
        assert_eq!(first(12, 100, true), Ok((0, None)));
        assert_eq!(first(13, 100, true), Err(ResponseError::OffsetOutOfRange));
        assert_eq!(log.reached(11).map(|at| at.base_offset), Some(6));
        assert!(log.reached(31).is_none());
    }

    #[test]
    fn a_batch_larger_than_the_log_is_refused() {
        let mut log = Log::new(Limits {
            bytes: 150,
            age: Micros::MAX,
        });
        let header = Header {
            records: 1,
            max_timestamp: 0,
            producer_id: -1,
            producer_epoch: -1,
            first_sequence: -1,
        };
        let refused = log.append(&[0; HEADER_BYTES], &header, 0).err();
        assert_eq!(refused, Some(ResponseError::MessageTooLarge));
    }
}
