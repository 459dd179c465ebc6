//! Checkpoints: each a file that is there whole or not at all, named after the journal's entry that follows it and its writer. Rows
//! that were in the checkpoint before are not written again: they are in files of parts, one of each checkpoint that had new ones.

mod clearing;
mod names;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Micros, Result, SqlState};
use durable::{Claim, Log, PartsReader, PartsWriter, Place};
use engine::State;
use engine::parts::{NextParts, PartAt, PartFile, Parts};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::History;
use super::savepoints::{self, Wanted};
use clearing::Clearing;
use names::parts_path;
pub(super) use names::{Id, SUFFIX, are_in, list, path};

/// How long an end waits for an object store.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// Checkpoints that are kept: when the newest is damaged, the one before it is taken.
const KEPT: usize = 2;
/// Bytes that are made and written in a microsecond.
const BYTES_A_MICRO: u64 = 80;

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
#[derive(Clone)]
struct Kept {
    id: Id,
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
    writing: Option<(Id, JoinHandle<Result<Written>>)>,
    /// One has been written, and what is not needed any more is still there.
    is_full: bool,
    /// Removes that.
    clearing: Option<JoinHandle<()>>,
    generation: u64,
    /// The parts of the newest that this process has written.
    parts: Arc<Mutex<Parts>>,
    /// How long the newest took to write, in microseconds.
    took: Micros,
    history: Arc<History>,
    claim: Claim,
}

impl Checkpoints {
    /// The checkpoints in a folder, which is made if it is missing.
    pub(super) fn open(
        folder: &Place,
        history: &Arc<History>,
        claim: Claim,
        generation: u64,
    ) -> Result<Self> {
        folder.make_folder()?;
        folder.remove_unfinished()?;
        let found = list(folder, SUFFIX)?;
        let bytes = found.last().map_or(0, |(_, bytes)| *bytes);
        let kept = found.into_iter();
        let kept: Vec<Kept> = kept.map(|(id, _)| Kept { id, files: None }).collect();
        Ok(Self {
            folder: folder.clone(),
            kept,
            writing: None,
            is_full: false,
            clearing: None,
            generation,
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
        let newest = |kept: &[Kept]| kept.last().map(|kept| kept.id);
        while let Some(id) = newest(&self.kept).filter(|id| id.number >= first) {
            let path = path(&self.folder, id);
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
                        return Ok(Some((id.number, checkpoint)));
                    }
                    // It is as good as its parts, which may come back.
                    Err(error) if error.state() == SqlState::DATA_CORRUPTED => told(&error),
                    Err(error) => return Err(error),
                },
                Err(error) if error.state() == SqlState::DATA_CORRUPTED => {
                    told(&error);
                    set_aside(&path, id);
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
        self.writing.is_none()
            && self
                .kept
                .last()
                .is_some_and(|kept| kept.id.number == number)
    }

    /// Keeps the newest checkpoint under names, if it is followed by the journal's entry `number` and has no parts; gives back what
    /// is still wanted.
    pub(super) fn keep_newest(&self, number: u64, wanted: Vec<Wanted>) -> Vec<Wanted> {
        // In an object store that takes a while: there it is written again, beside what goes on.
        let is_quick = self.folder.on_disk().is_some();
        let newest = self.kept.last();
        let newest = newest.filter(|_| is_quick && self.is_newest(number));
        let is_whole = |kept: &&Kept| kept.files.as_ref().is_some_and(BTreeSet::is_empty);
        match (self.history.savepoints(), newest.filter(is_whole)) {
            (Some(savepoints), Some(kept)) => {
                savepoints.keep(&path(&self.folder, kept.id), wanted);
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
        let id = Id::new(number, self.generation);
        let own_parts = parts_path(&self.folder, id.file());
        let path = path(&self.folder, id);
        let parts = Arc::clone(&self.parts);
        let history = Arc::clone(&self.history);
        let claim = self.claim.clone();
        let write = move || {
            let begun = Instant::now();
            let mut parts = parts.lock();
            let made = match wanted.is_empty() {
                true => with_parts(&mut checkpoint, id.file(), &own_parts, &parts, &claim),
                false => whole(&mut checkpoint),
            };
            // What changes meanwhile need not be copied any more.
            drop(checkpoint);
            let written = made.and_then(|made| {
                let written = path.write_if(&made.bytes, || claim.ask());
                if written.is_err() && made.in_parts > 0 && claim.ask().is_ok() {
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
            Ok(thread) if wait => self.end(id, thread),
            Ok(thread) => self.writing = Some((id, thread)),
            Err(error) => tracing::warn!(%error, "a checkpoint failed"),
        }
    }

    /// Notes that a checkpoint has been written, and has what is not needed any more be removed beside what goes on: other
    /// checkpoints, their parts, and the journal's files before `log`'s entries that are needed. `wait` until that is done.
    pub(super) fn finished(&mut self, log: &Log, wait: bool) {
        if let Some((id, thread)) = self.writing.take() {
            if !thread.is_finished() {
                self.writing = Some((id, thread));
                return;
            }
            self.end(id, thread);
        }
        if self.is_full {
            self.clear(log);
        }
        if wait {
            self.wait_for_clearing();
        }
    }

    fn wait_for_clearing(&mut self) {
        if let Some(thread) = self.clearing.take() {
            // It has told of its own failures.
            let _ = thread.join();
        }
    }

    fn clear(&mut self, log: &Log) {
        if is_running(self.clearing.as_ref()) {
            return;
        }
        self.is_full = false;
        let surplus = self.kept.len().saturating_sub(KEPT);
        let clearing = Clearing {
            folder: self.folder.clone(),
            surplus: self.kept.drain(..surplus).map(|kept| kept.id).collect(),
            kept: self.kept.clone(),
            // The next checkpoint may need what the newest ones, being whole, do not.
            needed: self.parts.lock().files(),
            claim: self.claim.clone(),
            // With one checkpoint only, everything is still needed if it turns out damaged.
            log: (self.kept.len() == KEPT).then(|| (log.forgetter(), self.kept[0].id.number)),
        };
        let clear = move || {
            if let Err(error) = clearing.run() {
                tracing::warn!(%error, "what is not needed any more stays");
            }
        };
        let started = std::thread::Builder::new()
            .name("clearing".to_owned())
            .spawn(clear);
        match started {
            Ok(thread) => self.clearing = Some(thread),
            Err(error) => tracing::warn!(%error, "what is not needed any more stays"),
        }
    }

    /// How long the newest took to write, in microseconds.
    pub(super) fn took(&self) -> Micros {
        self.took
    }

    /// Notes that a checkpoint has been written.
    fn end(&mut self, id: Id, thread: JoinHandle<Result<Written>>) {
        let ended = thread.join();
        let ended = ended.unwrap_or_else(|_| Err(Error::internal("its thread panicked")));
        match ended {
            Ok(Written { took, files }) => {
                self.took = took;
                self.kept.retain(|kept| kept.id != id);
                self.kept.push(Kept {
                    id,
                    files: Some(files),
                });
                self.is_full = true;
            }
            Err(error) => tracing::warn!(%error, "a checkpoint failed"),
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        let writing = self.writing.take();
        if self.folder.on_disk().is_none() {
            // A store that is away is not waited for: what is under way there is under names of its own.
            let until = Instant::now() + LAST_WAIT;
            let writes = writing.as_ref().map(|(_, thread)| thread);
            while is_running(writes) || is_running(self.clearing.as_ref()) {
                if Instant::now() >= until {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // The folder is owned until nothing is written there any more.
        if let Some((id, thread)) = writing {
            self.end(id, thread);
        }
        self.wait_for_clearing();
    }
}

fn is_running<T>(thread: Option<&JoinHandle<T>>) -> bool {
    thread.is_some_and(|thread| !thread.is_finished())
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
    let in_parts = file.0.finish(|| claim.ask())?;
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
fn set_aside(path: &Place, id: Id) {
    if let Err(error) = path.rename(&id.name(".damaged")) {
        tracing::warn!(%error, "a damaged checkpoint stays where it is");
    }
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
