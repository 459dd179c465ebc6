//! The folder of a sink, and the names of files there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use dataflow::Result;

use super::unfinished::Unfinished;
use crate::failed::failed;

/// Digits of a version in a name, so that names sort as versions do.
const DIGITS: usize = 12;

/// Where the files of one identity are.
pub(super) struct Place {
    folder: PathBuf,
    identity: String,
    extension: &'static str,
}

impl Place {
    /// Files of `identity` in `folder`.
    pub(super) fn new(folder: PathBuf, identity: String, extension: &'static str) -> Self {
        Self {
            folder,
            identity,
            extension,
        }
    }

    /// The file that rows are written to; hidden, so that no reader takes it.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.folder.join(format!(".{}.unfinished", self.identity))
    }

    /// The file of the versions `from` to `to`.
    fn finished(&self, from: u64, to: u64) -> PathBuf {
        let (identity, extension) = (&self.identity, self.extension);
        let name = format!("{identity}-{from:0DIGITS$}-{to:0DIGITS$}.{extension}");
        self.folder.join(name)
    }

    /// Makes the folder if it is missing, and removes the unfinished file.
    pub(super) fn clear(&self) -> Result<()> {
        let folder = self.folder.display();
        self.make_folder()
            .map_err(|error| failed("make the folder", folder, &error))?;
        let path = self.unfinished();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("remove", path.display(), &error))
            }
            _ => Ok(()),
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync)
    }

    /// The version up to which the finished files are complete, if there are any; they last.
    pub(super) fn last(&self) -> Result<Option<u64>> {
        let find = || -> io::Result<Option<u64>> {
            let mut last: Option<u64> = None;
            for entry in fs::read_dir(&self.folder)? {
                last = last.max(self.version(&entry?.file_name()));
            }
            // An earlier writer may have ended before it came to this.
            sync(&self.folder)?;
            Ok(last)
        };
        find().map_err(|error| failed("read", self.folder.display(), &error))
    }

    /// The version up to which the file called `name` is complete, if it is a finished one of this identity.
    fn version(&self, name: &OsStr) -> Option<u64> {
        let name = name.to_str()?.strip_suffix(self.extension)?;
        let (name, to) = name.strip_suffix('.')?.rsplit_once('-')?;
        let (identity, from) = name.rsplit_once('-')?;
        if identity != self.identity {
            return None;
        }
        number(from)?;
        number(to)
    }

    /// Gives a file its name, complete up to version `to`; afterwards it lasts.
    pub(super) fn finish(&self, file: Unfinished, to: u64) -> Result<()> {
        let path = self.finished(file.from(), to);
        file.finish(&path)?;
        sync(&self.folder).map_err(|error| failed("write", path.display(), &error))
    }
}

/// Makes the names in a folder lasting.
fn sync(folder: &Path) -> io::Result<()> {
    let here = folder.as_os_str().is_empty();
    let folder = if here { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// A version as it stands in a name.
fn number(text: &str) -> Option<u64> {
    let is_number = text.len() >= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_hold_versions_and_those_of_others_are_not_taken() {
        let place = Place::new(PathBuf::from("/data"), "a-1.b".to_owned(), "csv");
        let path = place.finished(7, 12);
        let name = "a-1.b-000000000007-000000000012.csv";
        assert_eq!(path, Path::new("/data").join(name));
        assert_eq!(place.version(path.file_name().unwrap()), Some(12));
        let long = place.finished(1, 1_234_567_890_123);
        let version = place.version(long.file_name().unwrap());
        assert_eq!(version, Some(1_234_567_890_123));
        for other in [
            "a-1.b-000000000007-000000000012.jsonl",
            "a-1.b-000000000007-000000000012",
            "a-1.b-7-12.csv",
            "a-1.b-000000000007-+00000000012.csv",
            "a-1.b-000000000012.csv",
            "a-000000000007-000000000012.csv",
            "a-1.b-000000000001-000000000007-000000000012.csv",
            "x-a-1.b-000000000007-000000000012.csv",
            ".a-1.b.unfinished",
            "csv",
        ] {
            assert_eq!(place.version(OsStr::new(other)), None, "{other}");
        }
    }
}
