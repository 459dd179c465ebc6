//! A log of records in files: appended, read from the beginning, cut off at its beginning.
//!
//! Each file is named after the number of its first record. After a crash the last file may end in records that were not
//! written whole: they were never made durable, and are cut off. Anything else that is not as it was written is damage, and
//! nothing is read past it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Result, SqlState};

use crate::files::{make_folder, remove_file, sync_folder};
use crate::frame::{self, Found, HEADER, MAX_RECORD, is_anywhere};
use crate::{damaged, failed};

/// How names of files end.
const SUFFIX: &str = ".log";

/// A log that grows.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    /// Bytes of the file that are records.
    length: u64,
    /// Number of the next record.
    next: u64,
    buffer: Vec<u8>,
}

/// The records of a log, oldest first.
#[derive(Debug)]
pub struct Reading {
    files: std::vec::IntoIter<(u64, PathBuf)>,
    path: PathBuf,
    bytes: Vec<u8>,
    at: usize,
    /// Number of the next record.
    next: u64,
}

impl Log {
    /// Opens the log in a folder, which is made if it is missing. The log goes on after its last whole record.
    ///
    /// # Errors
    /// `58030` when it cannot be read or written, `XX001` when it is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        make_folder(folder)?;
        let files = files(folder)?;
        let mut reading = Reading::of(files.clone());
        while reading.next()?.is_some() {}
        let (path, length) = match files.last() {
            None => {
                let path = folder.join(name(0));
                (path, 0)
            }
            Some((_, path)) => (path.clone(), reading.at as u64),
        };
        let open = || {
            let mut options = OpenOptions::new();
            let file = options.create(true).append(true).open(&path)?;
            if file.metadata()?.len() != length {
                file.set_len(length)?;
            }
            file.sync_all()?;
            sync_folder(&path)?;
            Ok(file)
        };
        let file = open().map_err(|error| failed("open", &path, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            file,
            path,
            length,
            next: reading.next,
            buffer: Vec::new(),
        })
    }

    /// As [`Log::open`], when another process may still have the last file open: it is copied, so that what the other one
    /// appends is in no file of the log. `check` is asked before anything is changed.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn take_over(folder: &Path, check: &dyn Fn() -> Result<()>) -> Result<Self> {
        make_folder(folder)?;
        if let Some((_, path)) = files(folder)?.pop() {
            let copy = path.with_extension("unfinished");
            let replace = || {
                fs::copy(&path, &copy)?;
                File::open(&copy)?.sync_all()
            };
            replace().map_err(|error| failed("copy", &path, &error))?;
            check()?;
            let renamed = fs::rename(&copy, &path).and_then(|()| sync_folder(&path));
            renamed.map_err(|error| failed("copy", &path, &error))?;
        }
        check()?;
        Self::open(folder)
    }

    /// The records of the log from number `from` on, oldest first.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn read(&self, from: u64) -> Result<Reading> {
        let mut files = files(&self.folder)?;
        let before = files.iter().filter(|(first, _)| *first <= from).count();
        files.drain(..before.saturating_sub(1));
        let mut reading = Reading::of(files);
        while reading.number() < from && reading.next()?.is_some() {}
        Ok(reading)
    }

    /// Number of the oldest record that is kept.
    ///
    /// # Errors
    /// `58030` when the folder cannot be read.
    pub fn first(&self) -> Result<u64> {
        let files = files(&self.folder)?;
        Ok(files.first().map_or(self.next, |(first, _)| *first))
    }

    /// Number of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of the newest file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Number of the first record of each file, oldest first.
    ///
    /// # Errors
    /// `58030` when the folder cannot be read.
    pub fn files(&self) -> Result<Vec<u64>> {
        let files = files(&self.folder)?;
        Ok(files.into_iter().map(|(first, _)| first).collect())
    }

    /// As [`Log::take_over`], for a log that nobody syncs: what is wrong at the end of the last file was perhaps never written, and
    /// is cut off with everything behind it. Says how many bytes that are.
    ///
    /// # Errors
    /// As [`Log::open`], of other files.
    pub fn take_over_unsynced(
        folder: &Path,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<(Self, u64)> {
        make_folder(folder)?;
        let mut cut = 0;
        if let Some(last) = files(folder)?.pop() {
            let path = last.1.clone();
            let whole = fs::metadata(&path).map_err(|error| failed("read", &path, &error))?;
            let mut reading = Reading::of(vec![last]);
            loop {
                match reading.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) if error.state() == SqlState::DATA_CORRUPTED => break,
                    Err(error) => return Err(error),
                }
            }
            cut = whole.len().saturating_sub(reading.at as u64);
            if cut > 0 {
                check()?;
                let file = OpenOptions::new().write(true).open(&path);
                file.and_then(|file| file.set_len(reading.at as u64))
                    .map_err(|error| failed("cut", &path, &error))?;
            }
        }
        Ok((Self::take_over(folder, check)?, cut))
    }

    /// Appends a record. It outlives the end of this process, and of the machine after [`Log::sync`]. After an error the log
    /// is as it was before.
    ///
    /// # Errors
    /// `54000` when the record is too large, `53100` when the disk is full, `58030` for other trouble.
    pub fn append(&mut self, record: &[u8]) -> Result<()> {
        if record.len() > MAX_RECORD {
            let message = format!("a record of {} bytes is too large", record.len());
            return Err(Error::new(SqlState::PROGRAM_LIMIT, message));
        }
        self.buffer.clear();
        frame::put(record, &mut self.buffer);
        failpoint::reached_by(Failpoint::JournalHalfWritten, || {
            let half = self.buffer.len() / 2;
            let _ = self.file.write_all(&self.buffer[..half]);
        });
        if let Err(error) = self.file.write_all(&self.buffer) {
            // A part that was written is not a record.
            let cut = self.file.set_len(self.length);
            let error = failed("write", &self.path, &error);
            return Err(match cut {
                Ok(()) => error,
                Err(cut) => {
                    let message = format!("{}; it cannot be taken back: {cut}", error.message());
                    Error::new(SqlState::IO_ERROR, message)
                }
            });
        }
        self.length += self.buffer.len() as u64;
        self.next += 1;
        failpoint::reached(Failpoint::JournalWritten);
        Ok(())
    }

    /// Makes all records durable.
    ///
    /// # Errors
    /// `58030`; what is durable is then not known, and the log must not be used any more.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|error| {
            // Also when the disk is full: what it has of the records is not known.
            let message = format!("cannot sync {}: {error}", self.path.display());
            Error::new(SqlState::IO_ERROR, message)
        })
    }

    /// Goes on in a new file.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn rotate(&mut self) -> Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        self.sync()?;
        let path = self.folder.join(name(self.next));
        let mut options = OpenOptions::new();
        // One that is there is of another owner of the folder, who goes on.
        let opened = options.create_new(true).append(true).open(&path);
        let file = opened.map_err(|error| failed("open", &path, &error))?;
        if let Err(error) = sync_folder(&path) {
            // The records go on in the old file: an empty new one must not be taken for what follows them.
            let removed = fs::remove_file(&path);
            let error = failed("open", &path, &error);
            return Err(match removed {
                Ok(()) => error,
                Err(_) => Error::new(SqlState::IO_ERROR, error.message()),
            });
        }
        self.file = file;
        self.path = path;
        self.length = 0;
        failpoint::reached(Failpoint::JournalRotated);
        Ok(())
    }

    /// Removes the files that hold only records below `number`.
    ///
    /// # Errors
    /// `58030`.
    pub fn forget(&mut self, number: u64) -> Result<()> {
        let files = files(&self.folder)?;
        let before = files.windows(2).take_while(|pair| pair[1].0 <= number);
        for pair in before {
            remove_file(&pair[0].1)?;
            failpoint::reached(Failpoint::JournalForgetting);
        }
        Ok(())
    }
}

impl Reading {
    /// Reads the log in a folder as it is.
    ///
    /// # Errors
    /// `58030` when the folder cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self::of(files(folder)?))
    }

    fn of(files: Vec<(u64, PathBuf)>) -> Self {
        Self {
            next: files.first().map_or(0, |(first, _)| *first),
            files: files.into_iter(),
            path: PathBuf::new(),
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// Number of the record that [`Reading::next`] gives next.
    pub fn number(&self) -> u64 {
        self.next
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// `58030` when a file cannot be read, `XX001` when it is damaged.
    #[expect(clippy::should_implement_trait, reason = "the record is lent")]
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        while self.at == self.bytes.len() {
            let Some((first, path)) = self.files.next() else {
                return Ok(None);
            };
            if first != self.next {
                let what = format!(
                    "the records before {first} from {} on are missing",
                    self.next
                );
                return Err(damaged(&path, what));
            }
            self.bytes = fs::read(&path).map_err(|error| failed("read", &path, &error))?;
            self.path = path;
            self.at = 0;
        }
        let length = match frame::take(&self.bytes[self.at..]) {
            Found::Record(record) => record.len(),
            Found::Short | Found::Wrong => return self.broken().map(|()| None),
        };
        let begin = self.at + HEADER;
        self.at = begin + length;
        self.next += 1;
        Ok(Some(&self.bytes[begin..self.at]))
    }

    /// What is not a record: fine at the end of the last file, where nothing follows that was written whole.
    fn broken(&mut self) -> Result<()> {
        let what = format!("record {} at byte {} was changed", self.next, self.at);
        let is_last = self.files.as_slice().is_empty();
        if !is_last || is_anywhere(&self.bytes[self.at + 1..]) {
            return Err(damaged(&self.path, what));
        }
        self.bytes.truncate(self.at);
        Ok(())
    }
}

fn name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The files of a log with the numbers of their first records, oldest first.
fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let list = || {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let first = name.and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
            files.extend(first.map(|first: u64| (first, path)));
        }
        files.sort_unstable();
        Ok(files)
    };
    list().map_err(|error| failed("list", folder, &error))
}

#[cfg(test)]
mod tests;
