//! A partition's batches on disk, so that they outlive the process; after a loss of power the newest may be missing, as with
//! Kafka by default.

use std::collections::VecDeque;
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
    claim: Claim,
    /// Number of the first batch of each file.
    files: VecDeque<u64>,
    record: Vec<u8>,
}

impl Disk {
    /// Opens the files in a folder, which is made if it is missing, and gives what they hold, oldest first.
    pub(crate) fn open(folder: &Path, claim: &Claim) -> Result<(Self, Vec<Kept>)> {
        let (log, cut) = Log::take_over_unsynced(folder, &|| claim.check())?;
        if cut > 0 {
            tracing::warn!(folder = %folder.display(), cut, "the embedded broker's newest batches were not written whole");
        }
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
            files: log.files()?.into(),
            log,
            claim: claim.clone(),
            record: Vec::new(),
        };
        Ok((disk, kept))
    }

    /// Writes a batch; gives its number.
    pub(crate) fn append(&mut self, batch: &[u8], arrived: Micros) -> Result<u64> {
        self.claim.check()?;
        let number = self.log.next();
        self.record.clear();
        self.record.extend_from_slice(&arrived.to_le_bytes());
        self.record.extend_from_slice(batch);
        self.log.append(&self.record)?;
        if self.log.length() >= FILE_BYTES {
            // The batch is there, whatever comes of this.
            match self.log.rotate() {
                Ok(()) => self.files.push_back(self.log.next()),
                Err(error) => {
                    tracing::warn!(%error, "the embedded broker goes on in a large file");
                }
            }
        }
        Ok(number)
    }

    /// Removes files that hold only batches before `oldest`. The newest batch stays: it says where the partition ends.
    pub(crate) fn forget(&mut self, oldest: u64) -> Result<()> {
        let oldest = oldest.min(self.log.next().saturating_sub(1));
        let before = self.files.len();
        while self.files.get(1).is_some_and(|next| *next <= oldest) {
            self.files.pop_front();
        }
        if self.files.len() == before {
            return Ok(());
        }
        self.claim.check()?;
        self.log.forget(oldest)
    }
}

pub(crate) fn damaged(folder: &Path) -> Error {
    let message = format!("{} holds what is not a batch", folder.display());
    Error::new(SqlState::DATA_CORRUPTED, message)
}
