//! The folder of a sink, and the names of files there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Result};

use super::unfinished::Unfinished;

/// Digits of a version in a name, so that names sort as versions do.
const DIGITS: usize = 12;
/// How names of files end that are written to.
const UNFINISHED: &str = ".unfinished";

/// How many files this process has begun: no two writers share one.
static WRITERS: AtomicU64 = AtomicU64::new(0);

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

    /// The file that rows of version `from` on are written to; hidden, so that no reader takes it.
    pub(super) fn unfinished(&self, from: u64) -> PathBuf {
        let number = WRITERS.fetch_add(1, Ordering::Relaxed);
        let writer = format!("{}-{number}", std::process::id());
        let name = format!("{}{from:0DIGITS$}-{writer}{UNFINISHED}", self.hidden());
        self.folder.join(name)
    }

    /// How names of hidden files begin.
    fn hidden(&self) -> String {
        format!(".{}-", self.identity)
    }

    /// The file that tells which file is complete, and up to which version, however soon that is moved away.
    fn progress(&self) -> PathBuf {
        self.folder.join(format!(".{}.progress", self.identity))
    }

    /// The file of the versions `from` to `to`.
    fn finished(&self, from: u64, to: u64) -> PathBuf {
        let (identity, extension) = (&self.identity, self.extension);
        let name = format!("{identity}-{from:0DIGITS$}-{to:0DIGITS$}.{extension}");
        self.folder.join(name)
    }

    /// Makes the folder if it is missing, ends a commit that was begun, and removes what was not committed. Gives the version
    /// up to which everything is there, if that is known.
    pub(super) fn begin(&self) -> Result<Option<u64>> {
        let folder = self.folder.display();
        self.make_folder()
            .map_err(|error| Error::io("make the folder", folder, &error))?;
        let begun = || self.roll_forward();
        let known = begun().map_err(|error| Error::io("read", self.folder.display(), &error))?;
        Ok(self.last()?.max(known))
    }

    /// Gives a file its name whose commit was begun, and removes the others.
    fn roll_forward(&self) -> io::Result<Option<u64>> {
        let progress = match fs::read_to_string(self.progress()) {
            Ok(text) => Progress::read(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(progress) = &progress {
            let unfinished = self.folder.join(&progress.unfinished);
            // It is not there when it has its name, or was moved away since.
            match fs::rename(unfinished, self.finished(progress.from, progress.to)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => sync(&self.folder)?,
            }
        }
        let hidden = self.hidden();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let rest = name
                .strip_prefix(&hidden)
                .and_then(|rest| rest.strip_suffix(UNFINISHED));
            if rest.is_some_and(is_writers) {
                fs::remove_file(self.folder.join(name.as_ref()))?;
            }
        }
        Ok(progress.map(|progress| progress.to))
    }

    fn make_folder(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        self.folder.parent().map_or(Ok(()), sync)
    }

    /// The version up to which the finished files are complete, if there are any; they last.
    fn last(&self) -> Result<Option<u64>> {
        let find = || -> io::Result<Option<u64>> {
            let mut last: Option<u64> = None;
            for entry in fs::read_dir(&self.folder)? {
                last = last.max(self.version(&entry?.file_name()));
            }
            // An earlier writer may have ended before it came to this.
            sync(&self.folder)?;
            Ok(last)
        };
        find().map_err(|error| Error::io("read", self.folder.display(), &error))
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
    pub(super) fn finish(&self, mut file: Unfinished, to: u64) -> Result<()> {
        let path = self.finished(file.from(), to);
        file.complete()?;
        let progress = Progress {
            from: file.from(),
            to,
            unfinished: file.name(),
        };
        file.keep();
        failpoint::reached(Failpoint::SinkFileWritten);
        let told = self.write(&progress);
        told.map_err(|error| Error::io("write", self.progress().display(), &error))?;
        failpoint::reached(Failpoint::SinkFilePromised);
        file.finish(&path)?;
        failpoint::reached(Failpoint::SinkFileNamed);
        sync(&self.folder).map_err(|error| Error::io("write", path.display(), &error))
    }

    /// Tells of a commit: from here on it is done, also when the process ends.
    fn write(&self, progress: &Progress) -> io::Result<()> {
        let path = self.progress();
        let new = path.with_extension("progress-new");
        let mut file = File::create(&new)?;
        file.write_all(progress.text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync(&self.folder)
    }
}

/// A commit: which file gets which versions in its name.
struct Progress {
    from: u64,
    to: u64,
    unfinished: String,
}

impl Progress {
    fn text(&self) -> String {
        format!("{} {} {}\n", self.from, self.to, self.unfinished)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_suffix('\n')?.splitn(3, ' ');
        Some(Self {
            from: parts.next()?.parse().ok()?,
            to: parts.next()?.parse().ok()?,
            unfinished: parts.next()?.to_owned(),
        })
    }
}

/// Makes the names in a folder lasting.
fn sync(folder: &Path) -> io::Result<()> {
    let here = folder.as_os_str().is_empty();
    let folder = if here { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Whether that is the version, process and number of a hidden file.
fn is_writers(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && number(parts[0]).is_some() && parts.iter().all(digits)
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
