//! Checkpoints on disk: each a file that is there whole or not at all, named after the journal's entry that follows it. Rows
//! that were in the checkpoint before are not written again: they are in files of parts, one of each checkpoint that had new ones.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Micros, Result, SqlState};
use durable::{Claim, PartsReader, PartsWriter, Place};
use engine::State;
use engine::parts::{NextParts, PartAt, PartFile, Parts};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::History;
use super::savepoints::{self, Wanted};

/// Checkpoints that are kept: when the newest is damaged, the one before it is taken.
const KEPT: usize = 2;
/// Bytes that are made and written in a microsecond.
const BYTES_A_MICRO: u64 = 80;
/// How names of files end.
pub(super) const SUFFIX: &str = ".state";
/// How names of files of parts end.
const PARTS: &str = ".parts";

/// What a checkpoint holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The statements that made the catalog, with the times at which they were given.
    pub(super) statements: Vec<(String, Micros)>,
    pub(super) state: State,
    /// Tells the state from all others: what sinks write is under this name.
    #[serde(default)]
    pub(super) identity: String,
    /// The format of everything in it.
    #[serde(default)]
    pub(super) format: u32,
}

/// A checkpoint that is whole.
struct Kept {
    number: u64,
    /// The files of parts that it needs; not known of one that another process has written.
    files: Option<BTreeSet<u64>>,
}

/// A checkpoint that has just been written.
struct Written {
    took: Micros,
    files: BTreeSet<u64>,
}

/// The checkpoints of a folder.
pub(super) struct Checkpoints {
    folder: Place,
    /// Those that are whole, oldest first.
    kept: Vec<Kept>,
    writing: Option<(u64, JoinHandle<Result<Written>>)>,
    /// The parts of the newest that this process has written.
    parts: Arc<Mutex<Parts>>,
    /// How long the newest took to write, in microseconds.
    took: Micros,
    history: Arc<History>,
    claim: Claim,
}

impl Checkpoints {
    /// The checkpoints in a folder, which is made if it is missing.
    pub(super) fn open(folder: &Place, history: &Arc<History>, claim: Claim) -> Result<Self> {
        folder.make_folder()?;
        folder.remove_unfinished()?;
        let found = list(folder, SUFFIX)?;
        let bytes = found.last().map_or(0, |(_, bytes)| *bytes);
        let kept = found.into_iter();
        let kept: Vec<Kept> = kept
            .map(|(number, _)| Kept {
                number,
                files: None,
            })
            .collect();
        Ok(Self {
            folder: folder.clone(),
            kept,
            writing: None,
            parts: Arc::default(),
            // Until one was written: about as long as so many bytes take elsewhere.
            took: Micros::try_from(bytes / BYTES_A_MICRO).unwrap_or(Micros::MAX),
            history: Arc::clone(history),
            claim,
        })
    }

    /// The newest checkpoint that is whole and that the journal, whose oldest entry is `first`, goes on from. Damaged ones
    /// are told of, and forgotten.
    pub(super) fn newest(&mut self, first: u64) -> Result<Option<(u64, Checkpoint)>> {
        let newest = |kept: &[Kept]| kept.last().map(|kept| kept.number);
        while let Some(number) = newest(&self.kept).filter(|number| *number >= first) {
            let path = path(&self.folder, number);
            let told = |error: &Error| {
                tracing::warn!(%error, "a checkpoint cannot be used; the one before it is taken");
            };
            match decode(&path) {
                Ok(None) => {}
                Ok(Some(mut checkpoint)) => match fetch(&mut checkpoint, &self.folder) {
                    Ok(files) => {
                        if let Some(kept) = self.kept.last_mut() {
                            kept.files = Some(files);
                        }
                        return Ok(Some((number, checkpoint)));
                    }
                    // It is as good as its parts, which may come back.
                    Err(error) if error.state() == SqlState::DATA_CORRUPTED => told(&error),
                    Err(error) => return Err(error),
                },
                Err(error) if error.state() == SqlState::DATA_CORRUPTED => {
                    told(&error);
                    set_aside(&path, number);
                }
                Err(error) => return Err(error),
            }
            self.kept.pop();
        }
        Ok(None)
    }

    /// Whether one is being written.
    pub(super) fn is_busy(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether the newest one is followed by the journal's entry `number`.
    pub(super) fn is_newest(&self, number: u64) -> bool {
        self.writing.is_none() && self.kept.last().is_some_and(|kept| kept.number == number)
    }

    /// Keeps the newest checkpoint under names, if it is followed by the journal's entry `number` and has no parts; gives back what
    /// is still wanted.
    pub(super) fn keep_newest(&self, number: u64, wanted: Vec<Wanted>) -> Vec<Wanted> {
        let files = self.kept.last().and_then(|kept| kept.files.as_ref());
        let is_whole = files.is_some_and(BTreeSet::is_empty);
        match self.history.savepoints() {
            Some(savepoints) if self.is_newest(number) && is_whole => {
                savepoints.keep(&path(&self.folder, number), wanted);
                Vec::new()
            }
            _ => wanted,
        }
    }

    /// Begins to write a checkpoint beside what goes on; `wait` for its end. It is kept under the names that are `wanted`, and then
    /// holds everything itself.
    pub(super) fn begin(
        &mut self,
        number: u64,
        mut checkpoint: Checkpoint,
        wait: bool,
        wanted: Vec<Wanted>,
    ) {
        if let Some((before, thread)) = self.writing.take() {
            self.end(before, thread);
            if self.is_newest(number) && wanted.is_empty() {
                return;
            }
        }
        let own_parts = parts_path(&self.folder, number);
        let path = path(&self.folder, number);
        let parts = Arc::clone(&self.parts);
        let history = Arc::clone(&self.history);
        let claim = self.claim.clone();
        let write = move || {
            let begun = Instant::now();
            let mut parts = parts.lock();
            let made = match wanted.is_empty() {
                true => with_parts(&mut checkpoint, number, &own_parts, &parts, &claim),
                false => whole(&mut checkpoint),
            };
            // What changes meanwhile need not be copied any more.
            drop(checkpoint);
            let written = made.and_then(|made| {
                let written = path.write_if(&made.bytes, || claim.check());
                if written.is_err() && made.in_parts > 0 && claim.check().is_ok() {
                    // They may hold the last room on the disk.
                    let _ = path.remove();
                    let _ = own_parts.remove();
                }
                written?;
                let files = made.parts.as_ref().map(Parts::files).unwrap_or_default();
                if let Some(new) = made.parts {
                    *parts = new;
                }
                Ok((made.bytes.len() as u64 + made.in_parts, files))
            });
            let took = Micros::try_from(begun.elapsed().as_micros()).unwrap_or(Micros::MAX);
            match (&written, history.savepoints()) {
                (Ok(_), Some(savepoints)) => savepoints.keep(&path, wanted),
                (Err(error), _) => savepoints::refuse(wanted, error),
                (Ok(_), None) => {}
            }
            let told = written.as_ref().map(|(bytes, _)| *bytes);
            history.end(number, took, told.map_err(ToString::to_string));
            written.map(|(_, files)| Written { took, files })
        };
        let started = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(write);
        match started {
            Ok(thread) if wait => self.end(number, thread),
            Ok(thread) => self.writing = Some((number, thread)),
            Err(error) => tracing::warn!(%error, "a checkpoint failed"),
        }
    }

    /// The journal's entry before which none is needed any more, once a checkpoint has been written.
    pub(super) fn finished(&mut self) -> Option<u64> {
        let mut ends = false;
        if let Some((number, thread)) = self.writing.take() {
            if !thread.is_finished() {
                self.writing = Some((number, thread));
                return None;
            }
            self.end(number, thread);
            ends = true;
        }
        while self.kept.len() > KEPT {
            let path = path(&self.folder, self.kept[0].number);
            if let Err(error) = path.remove() {
                tracing::warn!(%error, "a checkpoint that is not needed any more stays");
            }
            self.kept.remove(0);
            failpoint::reached(Failpoint::CheckpointForgotten);
        }
        if ends && let Err(error) = self.forget_parts() {
            tracing::warn!(%error, "parts of checkpoints that are not needed any more stay");
        }
        // With one checkpoint only, everything is still needed if it turns out damaged.
        (self.kept.len() == KEPT).then(|| self.kept[0].number)
    }

    /// Removes files of parts that no checkpoint needs.
    fn forget_parts(&mut self) -> Result<()> {
        // The next checkpoint may need what the newest ones, being whole, do not.
        let mut needed = self.parts.lock().files();
        for kept in &mut self.kept {
            if kept.files.is_none() {
                // Of one that another process has written.
                let checkpoint = decode(&path(&self.folder, kept.number))?;
                kept.files = Some(checkpoint.map(files_of).transpose()?.unwrap_or_default());
            }
            needed.extend(kept.files.iter().flatten());
        }
        self.claim.check()?;
        // Later ones would be another owner's.
        let newest = self.kept.last().map_or(0, |kept| kept.number);
        for (number, _) in list(&self.folder, PARTS)? {
            if number <= newest && !needed.contains(&number) {
                parts_path(&self.folder, number).remove()?;
                failpoint::reached(Failpoint::PartsForgotten);
            }
        }
        Ok(())
    }

    /// How long the newest took to write, in microseconds.
    pub(super) fn took(&self) -> Micros {
        self.took
    }

    fn end(&mut self, number: u64, thread: JoinHandle<Result<Written>>) {
        let ended = thread.join();
        let ended = ended.unwrap_or_else(|_| Err(Error::internal("its thread panicked")));
        match ended {
            Ok(Written { took, files }) => {
                self.took = took;
                self.kept.retain(|kept| kept.number != number);
                self.kept.push(Kept {
                    number,
                    files: Some(files),
                });
            }
            Err(error) => tracing::warn!(%error, "a checkpoint failed"),
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        // The folder is owned until nothing is written there any more.
        if let Some((number, thread)) = self.writing.take() {
            self.end(number, thread);
        }
    }
}

/// A checkpoint as bytes.
struct Made {
    bytes: Vec<u8>,
    /// Its parts, when it has some.
    parts: Option<Parts>,
    /// Bytes that were written to its own file of parts.
    in_parts: u64,
}

/// Makes a checkpoint that has what does not change in files of parts, its own at `path`; those are there when this returns.
fn with_parts(
    checkpoint: &mut Checkpoint,
    number: u64,
    path: &Place,
    before: &Parts,
    claim: &Claim,
) -> Result<Made> {
    let mut file = PartsFile(PartsWriter::new(path));
    let mut next = before.next(number, &mut file);
    checkpoint.state.resolve(&mut next)?;
    let parts = next.finish();
    let in_parts = file.0.finish(|| claim.check())?;
    failpoint::reached(Failpoint::PartsWritten);
    Ok(Made {
        bytes: bytes_of(checkpoint)?,
        parts: Some(parts),
        in_parts,
    })
}

/// Makes a checkpoint that holds everything itself.
fn whole(checkpoint: &mut Checkpoint) -> Result<Made> {
    checkpoint.state.resolve(&mut NextParts::none())?;
    Ok(Made {
        bytes: bytes_of(checkpoint)?,
        parts: None,
        in_parts: 0,
    })
}

fn bytes_of(checkpoint: &Checkpoint) -> Result<Vec<u8>> {
    let bytes = rmp_serde::to_vec(checkpoint);
    bytes.map_err(|e| Error::internal(format!("state has no bytes: {e}")))
}

/// Where new parts go.
struct PartsFile(PartsWriter);

impl PartFile for PartsFile {
    fn put(&mut self, bytes: &[u8]) -> Result<(u64, u32)> {
        self.0.put(bytes)
    }
}

/// Keeps a damaged file for whoever wants to look at it, under a name that is not looked for.
fn set_aside(path: &Place, number: u64) {
    if let Err(error) = path.rename(&format!("{number:020}.damaged")) {
        tracing::warn!(%error, "a damaged checkpoint stays where it is");
    }
}

/// The numbers of the checkpoints in a folder, oldest first.
pub(super) fn numbers(folder: &Place) -> Result<Vec<u64>> {
    let found = list(folder, SUFFIX)?.into_iter();
    Ok(found.map(|(number, _)| number).collect())
}

/// The numbers of files whose names end so, in order, with their bytes.
pub(super) fn list(folder: &Place, suffix: &str) -> Result<Vec<(u64, u64)>> {
    let mut kept = Vec::new();
    for found in folder.list()? {
        let name = found.name.strip_suffix(suffix);
        let number = name.and_then(|name| name.parse::<u64>().ok());
        kept.extend(number.map(|number| (number, found.bytes)));
    }
    kept.sort_unstable();
    Ok(kept)
}

pub(super) fn path(folder: &Place, number: u64) -> Place {
    folder.join(&format!("{number:020}{SUFFIX}"))
}

fn parts_path(folder: &Place, number: u64) -> Place {
    folder.join(&format!("{number:020}{PARTS}"))
}

/// Reads a checkpoint in a file, with its parts, which are in the folder; `None` when it is not there.
pub(super) fn read(folder: &Place, file: &Place) -> Result<Option<Checkpoint>> {
    let Some(mut checkpoint) = decode(file)? else {
        return Ok(None);
    };
    fetch(&mut checkpoint, folder)?;
    Ok(Some(checkpoint))
}

/// Reads a checkpoint without its parts.
fn decode(path: &Place) -> Result<Option<Checkpoint>> {
    let bytes = path.read()?;
    bytes.map(|bytes| of_bytes(path, &bytes)).transpose()
}

/// The checkpoint that a file holds, without its parts.
pub(super) fn of_bytes(path: &Place, bytes: &[u8]) -> Result<Checkpoint> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        let message = format!("{path} is no checkpoint: {error}");
        Error::new(SqlState::DATA_CORRUPTED, message)
    })
}

/// The files of parts of a checkpoint.
fn files_of(mut checkpoint: Checkpoint) -> Result<BTreeSet<u64>> {
    let mut files = BTreeSet::new();
    checkpoint.state.fetch(&mut |at: PartAt| {
        files.insert(at.file);
        Ok(Vec::new())
    })?;
    Ok(files)
}

/// Reads the parts of a checkpoint, which are in a folder; gives their files.
fn fetch(checkpoint: &mut Checkpoint, folder: &Place) -> Result<BTreeSet<u64>> {
    let mut files = BTreeSet::new();
    let mut reader = PartsReader::default();
    checkpoint.state.fetch(&mut |at: PartAt| {
        files.insert(at.file);
        reader.read(&parts_path(folder, at.file), (at.at, at.checksum))
    })?;
    Ok(files)
}
