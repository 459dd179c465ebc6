//! A folder of state: one process at a time owns it, and its format has a number.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use dataflow::{Error, Result, SqlState};

use crate::files::{is_unfinished, make_folder, read_file, write_file};
use crate::{damaged, failed};

/// The file whose lock the owner holds.
const LOCK: &str = "lock";
/// The file that names the format.
const FORMAT: &str = "format";

/// A folder that this process owns until the value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, and claims it. `format` is the number of what is kept there.
    ///
    /// # Errors
    /// `55006` when another process owns it, `0A000` when it holds another format, `58030` when it cannot be used.
    pub fn claim(path: &Path, format: u32) -> Result<Self> {
        make_folder(path)?;
        let lock_path = path.join(LOCK);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path);
        let lock = opened.map_err(|error| failed("open", &lock_path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another clickmill uses {}", path.display());
                return Err(Error::new(SqlState::OBJECT_IN_USE, message)
                    .hint("stop it first, or choose another folder"));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &lock_path, &error)),
        }
        check_format(path, format)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn check_format(folder: &Path, format: u32) -> Result<()> {
    let path = folder.join(FORMAT);
    let Some(found) = read_file(&path)? else {
        let mut entries = fs::read_dir(folder).map_err(|e| failed("read", folder, &e))?;
        let strange =
            |entry: &fs::DirEntry| entry.file_name() != LOCK && !is_unfinished(&entry.path());
        if let Some(strange) = entries.find_map(|entry| entry.ok().filter(strange)) {
            let message = format!(
                "{} is not a folder of clickmill's state: it holds {}",
                folder.display(),
                strange.file_name().display()
            );
            return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
                .hint("choose a folder that is empty or does not exist"));
        }
        return write_file(&path, format.to_string().as_bytes());
    };
    let found = String::from_utf8(found).ok();
    let Some(found) = found.and_then(|text| text.parse::<u32>().ok()) else {
        return Err(damaged(&path, "it holds no number"));
    };
    if found == format {
        return Ok(());
    }
    let what = format!("state of format {found} in {}", folder.display());
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

    #[test]
    fn one_owner_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let folder = Folder::claim(&path, 1).unwrap();
        let error = Folder::claim(&path, 1).unwrap_err();
        assert_eq!(error.state().0, "55006", "{error}");
        drop(folder);
        Folder::claim(&path, 1).unwrap();
    }

    #[test]
    fn other_formats_and_other_folders_are_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("state");
        drop(Folder::claim(&path, 2).unwrap());
        for (format, hint) in [(3, "CREATE statements"), (1, "newer")] {
            let error = Folder::claim(&path, format).unwrap_err();
            assert_eq!(error.state().0, "0A000");
            assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
        }
        fs::write(path.join(FORMAT), "2").unwrap();
        assert_eq!(Folder::claim(&path, 2).unwrap_err().state().0, "XX001");
        let other = temporary.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("photo.jpg"), "x").unwrap();
        let error = Folder::claim(&other, 1).unwrap_err();
        assert!(error.message().contains("photo.jpg"), "{error}");
    }
}
