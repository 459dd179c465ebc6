//! Savepoints: checkpoints that have a name, and stay until somebody drops them. A new folder of state can begin with one.

use std::time::SystemTime;

use dataflow::{Error, Micros, Result, SqlState};
use durable::Place;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// The savepoints' folder in a folder of state.
pub(super) const SAVEPOINTS: &str = "savepoints";
/// How names of files end.
const SUFFIX: &str = ".savepoint";
/// Most letters of a name.
const LETTERS: usize = 100;

/// A savepoint that is there.
#[derive(Clone, Debug)]
pub(crate) struct SavepointStatus {
    pub(crate) name: String,
    /// When it was written.
    pub(crate) made: Option<Micros>,
    pub(crate) bytes: u64,
    pub(crate) place: Place,
}

/// A savepoint that somebody waits for.
pub(super) struct Wanted {
    name: String,
    reply: oneshot::Sender<Result<()>>,
}

/// The savepoints of a folder of state.
pub(crate) struct Savepoints {
    folder: Place,
    /// Those that there are. Nobody else makes any.
    known: Mutex<Vec<SavepointStatus>>,
    wanted: Mutex<Vec<Wanted>>,
}

impl Savepoints {
    /// Those in a folder of state.
    pub(super) fn of(state: &Place) -> Result<Self> {
        let folder = state.join(SAVEPOINTS);
        Ok(Self {
            known: Mutex::new(list(&folder)?),
            folder,
            wanted: Mutex::default(),
        })
    }

    /// Asks for one: the engine gives it at its next step.
    ///
    /// # Errors
    /// `42602` for a name that no file can have, `42710` when there is one of that name.
    pub(crate) fn ask(&self, name: &str) -> Result<oneshot::Receiver<Result<()>>> {
        check_name(name)?;
        // The engine looks at what is wanted, and does not wait for this.
        let exists_already = self.place(name).exists()?;
        let mut wanted = self.wanted();
        if exists_already || wanted.iter().any(|wanted| wanted.name == name) {
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
    pub(super) fn keep(&self, checkpoint: &Place, wanted: Vec<Wanted>) {
        // One that was cancelled is not wanted any more.
        let wanted = wanted
            .into_iter()
            .filter(|wanted| !wanted.reply.is_closed());
        for Wanted { name, reply } in wanted {
            let kept = self.folder.make_folder().and_then(|()| {
                match checkpoint.keep_as(&self.place(&name))? {
                    true => self.look(),
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
        let place = self.place(name);
        let is_there = place.exists()?;
        place.remove()?;
        self.known.lock().retain(|known| known.name != name);
        Ok(is_there)
    }

    /// Looks which there are.
    fn look(&self) -> Result<()> {
        *self.known.lock() = list(&self.folder)?;
        Ok(())
    }

    /// All of them, by name.
    pub(crate) fn list(&self) -> Vec<SavepointStatus> {
        self.known.lock().clone()
    }

    fn place(&self, name: &str) -> Place {
        self.folder.join(&format!("{name}{SUFFIX}"))
    }
}

/// Tells who waits that there is none.
pub(super) fn refuse(wanted: Vec<Wanted>, error: &Error) {
    for Wanted { reply, .. } in wanted {
        let _ = reply.send(Err(error.clone()));
    }
}

/// The savepoints in a folder, by name; none when it is not there.
pub(super) fn list(folder: &Place) -> Result<Vec<SavepointStatus>> {
    let mut found = Vec::new();
    for file in folder.list()? {
        if let Some(name) = file.name.strip_suffix(SUFFIX) {
            found.push(SavepointStatus {
                name: name.to_owned(),
                made: file.modified.and_then(micros),
                bytes: file.bytes,
                place: folder.join(&file.name),
            });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
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
