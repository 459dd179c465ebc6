//! A folder of state: one process at a time owns it, and its format has a number.
//!
//! An owner holds the lock of a file of its own, `owner-N`, and touches it every second. N is its generation: whoever claims
//! the folder next makes `owner-N+1` and removes the files of all before. So an owner that stood still, and was taken for gone,
//! finds its own file missing, and may not write any more.

mod heartbeat;
mod lease;
mod process;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Result, SqlState};

use crate::files::{is_unfinished, make_folder, remove_file};
use crate::place::Place;
use crate::{damaged, disk, failed};
use heartbeat::Heartbeat;
use lease::{Lease, Renewing};

/// How names of owners' files begin.
const OWNER: &str = "owner-";
/// The file that names the format.
const FORMAT: &str = "format";
/// A folder in it that another part of the process may have made before.
const BROKER: &str = "broker";
/// An owner that has not touched its file for so long may be taken for gone, though it holds its lock.
const STALE: Duration = Duration::from_secs(10);

/// How long to look whether an owner that seems to be gone touches its file after all.
const LOOK: Duration = Duration::from_millis(2500);

/// A folder that this process owns until the value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Folder {
    place: Place,
    generation: u64,
    claim: Claim,
    _owner: Owner,
}

/// Says that this process lives, as long as it does.
#[derive(Debug)]
enum Owner {
    Disk { _heartbeat: Heartbeat, _lock: File },
    Store { _renewing: Renewing },
}

/// Knows whether a folder is still owned by who claimed it.
#[derive(Clone, Debug)]
pub struct Claim(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Disk { path: PathBuf, own: PathBuf },
    Store(Arc<Lease>),
}

impl Claim {
    /// Whether it is still owned. What was written before this says so counts, and nothing else. In an object store it may have
    /// been lost some seconds ago: there it is the journal that says what counts.
    ///
    /// # Errors
    /// `55006` when another process has claimed it; `58030` or `08006` when that cannot be told.
    pub fn check(&self) -> Result<()> {
        match &self.0 {
            Kind::Disk { path, own } => match own.try_exists() {
                Ok(true) => Ok(()),
                Ok(false) => Err(lost(&Place::Disk(path.clone()))),
                Err(error) => Err(failed("look for", own, &error)),
            },
            Kind::Store(lease) => lease.check(),
        }
    }
}

impl Claim {
    /// As [`Claim::check`], of this moment also in an object store.
    ///
    /// # Errors
    /// As [`Claim::check`].
    pub fn ask(&self) -> Result<()> {
        match &self.0 {
            Kind::Disk { .. } => self.check(),
            Kind::Store(lease) => lease.ask(),
        }
    }
}

impl Folder {
    /// Makes the folder if it is missing, and claims it. `format` is the number of what is kept there. An owner that lives is
    /// waited for by nobody: the folder can be had when it has not been seen for ten seconds, or with `take_over`. `on_lost` is
    /// called once when another process has claimed the folder.
    ///
    /// # Errors
    /// `55006` when another process owns it, `0A000` when it holds another format, `58030` or `08006` when it cannot be used.
    pub fn claim(
        place: &Place,
        format: u32,
        take_over: bool,
        on_lost: impl FnOnce(Error) + Send + 'static,
    ) -> Result<Self> {
        match place {
            Place::Disk(path) => claim_on_disk(path, format, take_over, on_lost),
            Place::Store(store) => {
                check_format(place, format, false)?;
                let lease = Arc::new(Lease::claim(store, take_over)?);
                failpoint::reached(Failpoint::FolderEntered);
                check_format(place, format, true)?;
                Ok(Self {
                    place: place.clone(),
                    generation: lease.generation(),
                    claim: Claim(Kind::Store(Arc::clone(&lease))),
                    _owner: Owner::Store {
                        _renewing: Renewing::start(lease, on_lost)?,
                    },
                })
            }
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How many have claimed it before, and this one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What knows whether it is still owned.
    pub fn owned(&self) -> Claim {
        self.claim.clone()
    }

    /// As [`Claim::check`].
    ///
    /// # Errors
    /// As [`Claim::check`].
    pub fn check(&self) -> Result<()> {
        self.claim.check()
    }
}

fn claim_on_disk(
    path: &Path,
    format: u32,
    take_over: bool,
    on_lost: impl FnOnce(Error) + Send + 'static,
) -> Result<Folder> {
    make_folder(path)?;
    let place = Place::Disk(path.to_owned());
    let before = owners(path)?;
    for (_, owner) in &before {
        if !take_over && is_alive(owner)? && !is_stale(owner) {
            return Err(in_use(&place));
        }
    }
    check_format(&place, format, true)?;
    let generation = before.last().map_or(1, |(generation, _)| generation + 1);
    let (own, lock) = enter(path, generation)?;
    failpoint::reached(Failpoint::FolderEntered);
    let now = owners(path)?;
    if now.iter().any(|(other, _)| *other > generation) {
        // Others came and went since the first look.
        remove_file(&own)?;
        return Err(in_use(&place));
    }
    for (before, owner) in now {
        if before < generation {
            remove_file(&owner)?;
        }
    }
    disk::sync_folder_of(&own).map_err(|error| failed("sync", path, &error))?;
    let beating = lock.try_clone();
    let beating = beating.map_err(|error| failed("open", &own, &error))?;
    let lost = lost(&place);
    let claim = Claim(Kind::Disk {
        path: path.to_owned(),
        own: own.clone(),
    });
    Ok(Folder {
        place,
        generation,
        claim,
        _owner: Owner::Disk {
            _heartbeat: Heartbeat::start(beating, own, move || on_lost(lost))?,
            _lock: lock,
        },
    })
}

/// Whether a folder is one of this format, or could become one; it need not be there.
///
/// # Errors
/// As [`Folder::claim`].
pub fn check_folder(place: &Place, format: u32) -> Result<()> {
    check_format(place, format, false)
}

fn in_use(place: &Place) -> Error {
    let message = format!("another clickmill uses {place}");
    Error::new(SqlState::OBJECT_IN_USE, message)
        .hint("stop it first, or choose another folder; --take-over ends it")
}

fn lost(place: &Place) -> Error {
    let message = format!("another clickmill has taken over {place}");
    Error::new(SqlState::OBJECT_IN_USE, message)
        .detail("this one has not been seen for too long, or somebody said --take-over")
}

/// The owners' files, by generation.
fn owners(path: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let list = || {
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let generation = name.and_then(|name| name.strip_prefix(OWNER)?.parse().ok());
            found.extend(generation.map(|generation: u64| (generation, path)));
        }
        found.sort_unstable();
        Ok(found)
    };
    list().map_err(|error| failed("list", path, &error))
}

/// Whether a process holds the lock of an owner's file.
fn is_alive(owner: &Path) -> Result<bool> {
    let file = match File::open(owner) {
        Ok(file) => file,
        // It has been taken over at this moment.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(failed("open", owner, &error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed("lock", owner, &error)),
    }
}

/// Whether an owner has not touched its file for too long: by the clock, which may have jumped, and to whoever looks for a while.
fn is_stale(owner: &Path) -> bool {
    let touched = || {
        fs::metadata(owner)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let Some(first) = touched() else {
        return false;
    };
    // A file of the future is of a clock that was set back.
    let age = SystemTime::now().duration_since(first);
    if age.is_ok_and(|age| age < STALE) {
        return false;
    }
    std::thread::sleep(LOOK);
    touched() == Some(first)
}

/// Makes the file of a new owner, which appears with its lock held.
fn enter(path: &Path, generation: u64) -> Result<(PathBuf, File)> {
    let own = path.join(format!("{OWNER}{generation:010}"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let unique = now.map_or(0, |now| now.as_nanos());
    let unfinished = path.join(format!("{}-{unique}.unfinished", std::process::id()));
    let make = || {
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&unfinished)?;
        file.try_lock()?;
        writeln!(file, "process {}", std::process::id())?;
        file.sync_all()?;
        fs::hard_link(&unfinished, &own)?;
        Ok(file)
    };
    let made: std::io::Result<File> = make();
    // A link that is left is removed by nobody but harms nobody.
    let _ = fs::remove_file(&unfinished);
    match made {
        Ok(file) => Ok((own, file)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = format!("another clickmill begins to use {}", path.display());
            Err(Error::new(SqlState::OBJECT_IN_USE, message))
        }
        Err(error) => Err(failed("claim", path, &error)),
    }
}

/// Checks the number of the format, and writes it to a new folder if `begins`.
fn check_format(folder: &Place, format: u32, begins: bool) -> Result<()> {
    let file = folder.join(FORMAT);
    let Some(found) = file.read()? else {
        let is_strange = |name: &String| {
            let is_owner = name.starts_with(OWNER) || name == lease::OWNER;
            !is_owner && name != BROKER && !is_unfinished(Path::new(name))
        };
        let mut names = folder.list()?.into_iter().map(|found| found.name);
        if let Some(strange) = names.find(is_strange) {
            let message =
                format!("{folder} is not a folder of clickmill's state: it holds {strange}");
            return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
                .hint("choose a folder that is empty or does not exist"));
        }
        return match begins {
            true => file.write(format.to_string().as_bytes()),
            false => Ok(()),
        };
    };
    let found = String::from_utf8(found).ok();
    let Some(found) = found.and_then(|text| text.parse::<u32>().ok()) else {
        return Err(damaged(&file, "it holds no number"));
    };
    if found == format {
        return Ok(());
    }
    let what = format!("state of format {found} in {folder}");
    let hint = if found < format {
        "start clickmill with an empty folder and run the CREATE statements again: views are built from their topics"
    } else {
        "a newer clickmill wrote it: use that one"
    };
    Err(Error::unsupported(what)
        .detail(format!("this clickmill reads format {format}"))
        .hint(hint))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn claim(path: &Path, format: u32) -> Result<Folder> {
        Folder::claim(&Place::Disk(path.to_owned()), format, false, drop)
    }

    fn own(folder: &Folder) -> &Path {
        match &folder.claim.0 {
            Kind::Disk { own, .. } => own,
            Kind::Store(_) => panic!("it is on a disk"),
        }
    }

    #[test]
    fn an_owner_that_stood_still_is_taken_over_and_finds_out() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        let (told, heard) = std::sync::mpsc::channel();
        let place = Place::Disk(path.to_owned());
        let on_lost = move |error| told.send(error).unwrap();
        let first = Folder::claim(&place, 1, false, on_lost).unwrap();
        first.check().unwrap();
        assert_eq!(claim(path, 1).unwrap_err().state().0, "55006");
        let mut second = Folder::claim(&place, 1, true, drop).unwrap();
        second.check().unwrap();
        let error = first.check().unwrap_err();
        assert!(error.message().contains("has taken over"), "{error}");
        let error = heard.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(error.state().0, "55006");
        // The end of the first is not that of the second.
        drop(first);
        assert_eq!(claim(path, 1).unwrap_err().state().0, "55006");
        // A clock that jumps makes it look old; it goes on touching its file.
        let old = SystemTime::now() - STALE - Duration::from_secs(1);
        let touched = File::options().write(true).open(own(&second)).unwrap();
        touched.set_modified(old).unwrap();
        assert_eq!(claim(path, 1).unwrap_err().state().0, "55006");
        match &mut second._owner {
            Owner::Disk { _heartbeat, .. } => _heartbeat.end(),
            Owner::Store { .. } => panic!("it is on a disk"),
        }
        touched.set_modified(old).unwrap();
        let third = claim(path, 1).unwrap();
        assert!(second.check().is_err());
        third.check().unwrap();
        drop(third);
        claim(path, 1).unwrap();
    }

    #[test]
    fn one_owner_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let folder = claim(&path, 1).unwrap();
        let error = claim(&path, 1).unwrap_err();
        assert_eq!(error.state().0, "55006", "{error}");
        drop(folder);
        claim(&path, 1).unwrap();
    }

    #[test]
    fn other_formats_and_other_folders_are_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        drop(claim(&path, 2).unwrap());
        for (format, hint) in [(3, "CREATE statements"), (1, "newer")] {
            let error = claim(&path, format).unwrap_err();
            assert_eq!(error.state().0, "0A000");
            assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
        }
        fs::write(path.join(FORMAT), "2").unwrap();
        assert_eq!(claim(&path, 2).unwrap_err().state().0, "XX001");
        let other = temporary.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("photo.jpg"), "x").unwrap();
        let error = claim(&other, 1).unwrap_err();
        assert!(error.message().contains("photo.jpg"), "{error}");
    }
}
