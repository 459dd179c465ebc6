//! Savepoints: checkpoints that have a name, and stay until somebody drops them. A new folder of state can begin with one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dataflow::{Error, Micros, Result, SqlState};
use durable::{keep_as, make_folder, remove_file};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// The savepoints' folder in a folder of state.
pub(super) const SAVEPOINTS: &str = "savepoints";
/// How names of files end.
const SUFFIX: &str = "savepoint";
/// Most letters of a name.
const LETTERS: usize = 100;

/// A savepoint that is there.
#[derive(Clone, Debug)]
pub(crate) struct SavepointStatus {
    pub(crate) name: String,
    /// When it was written.
    pub(crate) made: Option<Micros>,
    pub(crate) bytes: u64,
    pub(crate) path: PathBuf,
}

/// A savepoint that somebody waits for.
pub(super) struct Wanted {
    name: String,
    reply: oneshot::Sender<Result<()>>,
}

/// The savepoints of a folder of state.
pub(crate) struct Savepoints {
    folder: PathBuf,
    wanted: Mutex<Vec<Wanted>>,
}

impl Savepoints {
    /// Those in a folder of state.
    pub(super) fn of(state: &Path) -> Self {
        Self {
            folder: state.join(SAVEPOINTS),
            wanted: Mutex::default(),
        }
    }

    /// Asks for one: the engine gives it at its next step.
    ///
    /// # Errors
    /// `42602` for a name that no file can have, `42710` when there is one of that name.
    pub(crate) fn ask(&self, name: &str) -> Result<oneshot::Receiver<Result<()>>> {
        check_name(name)?;
        let mut wanted = self.wanted();
        if self.path(name).exists() || wanted.iter().any(|wanted| wanted.name == name) {
            return Err(exists(name));
        }
        let (reply, answer) = oneshot::channel();
        wanted.push(Wanted {
            name: name.to_owned(),
            reply,
        });
        Ok(answer)
    }

    /// Whether somebody waits for one.
    pub(super) fn is_wanted(&self) -> bool {
        !self.wanted().is_empty()
    }

    /// Those that were not cancelled.
    fn wanted(&self) -> MutexGuard<'_, Vec<Wanted>> {
        let mut wanted = self.wanted.lock();
        wanted.retain(|wanted| !wanted.reply.is_closed());
        wanted
    }

    /// What is waited for, and is from here on the caller's.
    pub(super) fn take(&self) -> Vec<Wanted> {
        std::mem::take(&mut self.wanted.lock())
    }

    /// Keeps a checkpoint that is on disk under the names that are waited for.
    pub(super) fn keep(&self, checkpoint: &Path, wanted: Vec<Wanted>) {
        // One that was cancelled is not wanted any more.
        let wanted = wanted
            .into_iter()
            .filter(|wanted| !wanted.reply.is_closed());
        for Wanted { name, reply } in wanted {
            let kept = make_folder(&self.folder).and_then(|()| {
                let path = self.path(&name);
                match keep_as(checkpoint, &path)? {
                    true => Ok(()),
                    false => Err(exists(&name)),
                }
            });
            // Nobody waits any more when the session is gone.
            let _ = reply.send(kept);
        }
    }

    /// Removes a savepoint; `false` when there is none.
    ///
    /// # Errors
    /// `42602` for a name that no file can have, `58030` when it cannot be removed.
    pub(crate) fn drop(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        let path = self.path(name);
        let is_there = path.exists();
        remove_file(&path).map(|()| is_there)
    }

    /// All of them, by name.
    pub(crate) fn list(&self) -> Vec<SavepointStatus> {
        list(&self.folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension(SUFFIX)
    }
}

/// Tells who waits that there is none.
pub(super) fn refuse(wanted: Vec<Wanted>, error: &Error) {
    for Wanted { reply, .. } in wanted {
        let _ = reply.send(Err(error.clone()));
    }
}

/// The savepoints in a folder, by name; none when it is not there.
pub(super) fn list(folder: &Path) -> Vec<SavepointStatus> {
    let status = |entry: fs::DirEntry| {
        let path = entry.path();
        let is_one = path.extension().is_some_and(|e| e == SUFFIX);
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.filter(|_| is_one)?.to_owned();
        let metadata = entry.metadata().ok()?;
        Some(SavepointStatus {
            name,
            made: metadata.modified().ok().and_then(micros),
            bytes: metadata.len(),
            path,
        })
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<SavepointStatus> = entries.filter_map(status).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn micros(time: SystemTime) -> Option<Micros> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Micros::try_from(since.as_micros()).ok()
}

fn check_name(name: &str) -> Result<()> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= LETTERS && name.chars().all(is_good) {
        return Ok(());
    }
    let message = format!("\"{name}\" is not a name of a savepoint");
    let hint = format!("at most {LETTERS} letters, digits, - and _: it is the name of a file");
    Err(Error::new(SqlState("42602"), message).hint(hint))
}

fn exists(name: &str) -> Error {
    let message = format!("savepoint \"{name}\" already exists");
    Error::new(SqlState("42710"), message)
}
