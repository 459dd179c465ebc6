//! A partition's batches on disk, so that they outlive the process; after a loss of power the newest may be missing, as with
//! Kafka by default.

use std::path::Path;

use bytes::Bytes;
use dataflow::{Error, Micros, Result, SqlState};
use durable::{Claim, Log};

/// Bytes after which a file is followed by the next.
const FILE_BYTES: u64 = 16 << 20;
/// Bytes of the time at which a batch arrived, which stands before it.
const TIME_BYTES: usize = 8;

/// A batch as it was written.
pub(crate) struct Kept {
    /// Its number in the partition, from the first that was ever written.
    pub(crate) number: u64,
    pub(crate) arrived: Micros,
    pub(crate) bytes: Bytes,
}

/// The files of one partition.
pub(crate) struct Disk {
    log: Log,
    /// Bytes in the newest file since this process goes on in it.
    written: u64,
    record: Vec<u8>,
}

impl Disk {
    /// Opens the files in a folder, which is made if it is missing, and gives what they hold, oldest first.
    pub(crate) fn open(folder: &Path, claim: &Claim) -> Result<(Self, Vec<Kept>)> {
        let log = Log::take_over(folder, &|| claim.check())?;
        let mut reading = log.read(log.first()?)?;
        let mut kept = Vec::new();
        loop {
            let number = reading.number();
            let Some(record) = reading.next()? else {
                break;
            };
            let (time, batch) = record
                .split_first_chunk::<TIME_BYTES>()
                .ok_or_else(|| damaged(folder))?;
            kept.push(Kept {
                number,
                arrived: Micros::from_le_bytes(*time),
                bytes: Bytes::copy_from_slice(batch),
            });
        }
        let disk = Self {
            log,
            written: 0,
            record: Vec::new(),
        };
        Ok((disk, kept))
    }

    /// Writes a batch; gives its number.
    pub(crate) fn append(&mut self, batch: &[u8], arrived: Micros) -> Result<u64> {
        let number = self.log.next();
        self.record.clear();
        self.record.extend_from_slice(&arrived.to_le_bytes());
        self.record.extend_from_slice(batch);
        self.log.append(&self.record)?;
        self.written += self.record.len() as u64;
        Ok(number)
    }

    /// Goes on in a new file when it is time; `oldest` is the number of the oldest batch that is still wanted.
    pub(crate) fn roll(&mut self, oldest: u64) -> Result<()> {
        if self.written < FILE_BYTES {
            return Ok(());
        }
        self.log.rotate()?;
        self.written = 0;
        // The newest batch says where the partition ends.
        self.log
            .forget(oldest.min(self.log.next().saturating_sub(1)))
    }
}

pub(crate) fn damaged(folder: &Path) -> Error {
    let message = format!("{} holds what is not a batch", folder.display());
    Error::new(SqlState::DATA_CORRUPTED, message)
}
