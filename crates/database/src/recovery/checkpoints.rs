//! Checkpoints on disk: each a file that is there whole or not at all, named after the journal's entry that follows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Micros, Result, SqlState};
use durable::{Claim, is_unfinished, make_folder, read_file, remove_file, write_file_if};
use engine::State;
use serde::{Deserialize, Serialize};

use super::History;
use super::savepoints::{self, Wanted};

/// Checkpoints that are kept: when the newest is damaged, the one before it is taken.
const KEPT: usize = 2;
/// Bytes that are made and written in a microsecond.
const BYTES_A_MICRO: u64 = 80;
/// How names of files end.
const SUFFIX: &str = ".state";

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

/// The checkpoints of a folder.
pub(super) struct Checkpoints {
    folder: PathBuf,
    /// Those that are whole, oldest first.
    kept: Vec<u64>,
    writing: Option<(u64, JoinHandle<Result<Micros>>)>,
    /// How long the newest took to write, in microseconds.
    took: Micros,
    history: Arc<History>,
    claim: Claim,
}

impl Checkpoints {
    /// The checkpoints in a folder, which is made if it is missing.
    pub(super) fn open(folder: &Path, history: &Arc<History>, claim: Claim) -> Result<Self> {
        make_folder(folder)?;
        let kept = list(folder)?;
        remove_unfinished(folder)?;
        let newest = kept.last().map(|number| path(folder, *number));
        let bytes = newest.and_then(|path| fs::metadata(path).ok());
        let bytes = bytes.map_or(0, |metadata| metadata.len());
        Ok(Self {
            folder: folder.to_owned(),
            kept,
            writing: None,
            // Until one was written: about as long as so many bytes take elsewhere.
            took: Micros::try_from(bytes / BYTES_A_MICRO).unwrap_or(Micros::MAX),
            history: Arc::clone(history),
            claim,
        })
    }

    /// The newest checkpoint that is whole and that the journal, whose oldest entry is `first`, goes on from. Damaged ones
    /// are told of, and forgotten.
    pub(super) fn newest(&mut self, first: u64) -> Result<Option<(u64, Checkpoint)>> {
        while let Some(number) = self.kept.last().copied().filter(|number| *number >= first) {
            let path = path(&self.folder, number);
            match read(&path) {
                Ok(Some(checkpoint)) => return Ok(Some((number, checkpoint))),
                Ok(None) => {}
                Err(error) if error.state() == SqlState::DATA_CORRUPTED => {
                    tracing::warn!(%error, "a checkpoint cannot be used; the one before it is taken");
                    set_aside(&path);
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
        self.writing.is_none() && self.kept.last() == Some(&number)
    }

    /// Keeps the newest checkpoint under names, if it is followed by the journal's entry `number`.
    pub(super) fn keep_newest(&self, number: u64, wanted: Vec<Wanted>) -> Vec<Wanted> {
        match self.history.savepoints() {
            Some(savepoints) if self.is_newest(number) => {
                savepoints.keep(&path(&self.folder, number), wanted);
                Vec::new()
            }
            _ => wanted,
        }
    }

    /// Begins to write a checkpoint beside what goes on; `wait` for its end. It is kept under the names that are `wanted`.
    pub(super) fn begin(
        &mut self,
        number: u64,
        mut checkpoint: Checkpoint,
        wait: bool,
        wanted: Vec<Wanted>,
    ) {
        if let Some((before, thread)) = self.writing.take() {
            self.end(before, thread);
            if self.kept.last() == Some(&number) {
                self.keep_newest(number, wanted);
                return;
            }
        }
        let path = path(&self.folder, number);
        let history = Arc::clone(&self.history);
        let claim = self.claim.clone();
        let write = move || {
            let begun = Instant::now();
            let resolved = checkpoint.state.resolve();
            let bytes = resolved.and_then(|()| {
                rmp_serde::to_vec(&checkpoint)
                    .map_err(|e| Error::internal(format!("state has no bytes: {e}")))
            });
            // What changes meanwhile need not be copied any more.
            drop(checkpoint);
            let written = bytes.and_then(|bytes| {
                write_file_if(&path, &bytes, || claim.check())?;
                Ok(bytes.len() as u64)
            });
            let took = Micros::try_from(begun.elapsed().as_micros()).unwrap_or(Micros::MAX);
            match (&written, history.savepoints()) {
                (Ok(_), Some(savepoints)) => savepoints.keep(&path, wanted),
                (Err(error), _) => savepoints::refuse(wanted, error),
                (Ok(_), None) => {}
            }
            let told = written.as_ref().copied().map_err(ToString::to_string);
            history.end(number, took, told);
            written.map(|_| took)
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
        if let Some((number, thread)) = self.writing.take() {
            if !thread.is_finished() {
                self.writing = Some((number, thread));
                return None;
            }
            self.end(number, thread);
        }
        while self.kept.len() > KEPT {
            let path = path(&self.folder, self.kept[0]);
            if let Err(error) = remove_file(&path) {
                tracing::warn!(%error, "a checkpoint that is not needed any more stays");
            }
            self.kept.remove(0);
            failpoint::reached(Failpoint::CheckpointForgotten);
        }
        // With one checkpoint only, everything is still needed if it turns out damaged.
        (self.kept.len() == KEPT).then(|| self.kept[0])
    }

    /// How long the newest took to write, in microseconds.
    pub(super) fn took(&self) -> Micros {
        self.took
    }

    fn end(&mut self, number: u64, thread: JoinHandle<Result<Micros>>) {
        let ended = thread.join();
        let ended = ended.unwrap_or_else(|_| Err(Error::internal("its thread panicked")));
        match ended {
            Ok(took) => {
                self.took = took;
                self.kept.push(number);
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

/// Keeps a damaged file for whoever wants to look at it, under a name that is not looked for.
fn set_aside(path: &Path) {
    if let Err(error) = fs::rename(path, path.with_extension("damaged")) {
        tracing::warn!(%error, "a damaged checkpoint stays where it is");
    }
}

/// Removes what was being written when everything ended.
fn remove_unfinished(folder: &Path) -> Result<()> {
    let files = fs::read_dir(folder).map_err(|error| no_list(folder, &error))?;
    for file in files.flatten().filter(|file| is_unfinished(&file.path())) {
        remove_file(&file.path())?;
    }
    Ok(())
}

/// The numbers of the checkpoints in a folder, oldest first.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>> {
    let list = || {
        let mut kept = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            kept.extend(name.and_then(|name| name.parse::<u64>().ok()));
        }
        kept.sort_unstable();
        Ok(kept)
    };
    list().map_err(|error| no_list(folder, &error))
}

fn no_list(folder: &Path, error: &std::io::Error) -> Error {
    let message = format!("cannot list {}: {error}", folder.display());
    Error::new(SqlState::IO_ERROR, message)
}

pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SUFFIX}"))
}

/// Reads a checkpoint; `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Checkpoint>> {
    let Some(bytes) = read_file(path)? else {
        return Ok(None);
    };
    let checkpoint = rmp_serde::from_slice(&bytes);
    checkpoint.map(Some).map_err(|error| {
        let message = format!("{} is no checkpoint: {error}", path.display());
        Error::new(SqlState::DATA_CORRUPTED, message)
    })
}
