//! A log of records in files: appended, read from the beginning, cut off at its beginning.
//!
//! Each file is named after the number of its first record. After a crash the last file may end in records that were not
//! written whole: they were never made durable, and are cut off. Anything else that is not as it was written is damage, and
//! nothing is read past it.

mod forgetter;
mod objects;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Result, SqlState};

use crate::bucket::AT_ONCE;
use crate::files::make_folder;
use crate::folder::Folder;
use crate::frame::{self, Found, HEADER, MAX_RECORD, is_anywhere};
use crate::place::{Place, StorePlace};
use crate::{damaged, disk, failed};
pub use forgetter::Forgetter;
use objects::Objects;

/// How names of files end.
const SUFFIX: &str = ".log";

/// A log that grows.
#[derive(Debug)]
pub struct Log {
    folder: Place,
    end: End,
    /// Bytes of the newest file that are records.
    length: u64,
    /// Number of the next record.
    next: u64,
    buffer: Vec<u8>,
}

/// Where records are appended.
#[derive(Debug)]
enum End {
    Disk { path: PathBuf, file: File },
    Store(Objects),
}

/// The records of a log, oldest first.
#[derive(Debug)]
pub struct Reading {
    files: VecDeque<(u64, Place)>,
    /// What the next of them hold, where several are read at once.
    ready: VecDeque<Bytes>,
    /// The one that is read.
    place: Place,
    bytes: Bytes,
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
        let mut files = files_on_disk(folder)?;
        let mut reading = Reading::on_disk(files.clone());
        while reading.next()?.is_some() {}
        let (path, length) = match files.pop() {
            None => (folder.join(name(0)), 0),
            Some((_, path)) => (path, reading.at as u64),
        };
        let open = || {
            let file = disk::open(&path)?;
            if file.metadata()?.len() != length {
                disk::cut(&file, &path, length)?;
            }
            disk::sync(&file, &path)?;
            disk::sync_folder_of(&path)?;
            Ok(file)
        };
        let file = open().map_err(|error| failed("open", &path, &error))?;
        Ok(Self {
            folder: Place::Disk(folder.to_owned()),
            end: End::Disk { path, file },
            length,
            next: reading.next,
            buffer: Vec::new(),
        })
    }

    /// Opens the log of a folder that a process owns, and which others may have owned before. Nothing that those append from here
    /// on is in it.
    ///
    /// # Errors
    /// As [`Log::open`]; `55006` when the folder is not owned any more.
    pub fn owned(folder: &Folder, name: &str) -> Result<Self> {
        match folder.place().join(name) {
            Place::Disk(path) => Self::take_over(&path, &|| folder.check()),
            Place::Store(place) => {
                let (end, next) = Objects::open(&place, folder.generation())?;
                Ok(Self {
                    folder: Place::Store(place),
                    end: End::Store(end),
                    length: 0,
                    next,
                    buffer: Vec::new(),
                })
            }
        }
    }

    /// As [`Log::open`], when another process may still have the last file open: it is copied, so that what the other one
    /// appends is in no file of the log. `check` is asked before anything is changed.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn take_over(folder: &Path, check: &dyn Fn() -> Result<()>) -> Result<Self> {
        make_folder(folder)?;
        if let Some((_, path)) = files_on_disk(folder)?.pop() {
            let copy = path.with_extension("unfinished");
            disk::copy(&path, &copy).map_err(|error| failed("copy", &path, &error))?;
            check()?;
            let renamed = disk::rename(&copy, &path).and_then(|()| disk::sync_folder_of(&path));
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
        if let Some(last) = files_on_disk(folder)?.pop() {
            let path = last.1.clone();
            let whole = fs::metadata(&path).map_err(|error| failed("read", &path, &error))?;
            let mut reading = Reading::on_disk(vec![last]);
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
                file.and_then(|file| disk::cut(&file, &path, reading.at as u64))
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
        match &mut self.end {
            End::Disk { path, file } => write(file, path, &self.buffer, self.length)?,
            End::Store(end) => end.append(&self.buffer),
        }
        self.length += self.buffer.len() as u64;
        self.next += 1;
        Ok(())
    }

    /// Makes all records durable.
    ///
    /// # Errors
    /// `58030`; what is durable is then not known, and the log must not be used any more. In an object store: `55006` when
    /// another process has appended to it; `08006` when the store does not answer: the log is then as it was when it was synced last,
    /// and exactly the same records must be appended next.
    pub fn sync(&mut self) -> Result<()> {
        match &mut self.end {
            End::Disk { path, file } => disk::sync(file, path).map_err(|error| {
                // Also when the disk is full: what it has of the records is not known.
                let message = format!("cannot sync {}: {error}", path.display());
                Error::new(SqlState::IO_ERROR, message)
            }),
            End::Store(end) => {
                let synced = end.sync(self.next);
                self.next = end.first();
                synced
            }
        }
    }

    /// Whether nobody who owned it before can append to it.
    pub fn is_fenced(&self) -> bool {
        matches!(self.end, End::Store(_))
    }

    /// Goes on in a new file.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn rotate(&mut self) -> Result<()> {
        let Place::Disk(folder) = &self.folder else {
            return self.sync();
        };
        if self.length == 0 {
            return Ok(());
        }
        let path = folder.join(name(self.next));
        self.sync()?;
        // One that is there is of another owner of the folder, who goes on.
        let file = disk::create_new(&path).map_err(|error| failed("open", &path, &error))?;
        if let Err(error) = disk::sync_folder_of(&path) {
            // The records go on in the old file: an empty new one must not be taken for what follows them.
            let removed = disk::remove(&path);
            let error = failed("open", &path, &error);
            return Err(match removed {
                Ok(()) => error,
                Err(_) => Error::new(SqlState::IO_ERROR, error.message()),
            });
        }
        self.end = End::Disk { path, file };
        self.length = 0;
        failpoint::reached(Failpoint::JournalRotated);
        Ok(())
    }

    /// Removes the files that hold only records below `number`.
    ///
    /// # Errors
    /// `58030` or `08006`.
    pub fn forget(&mut self, number: u64) -> Result<()> {
        self.forgetter().forget(number)
    }

    /// What does as [`Log::forget`] on another thread, while the log grows.
    pub fn forgetter(&self) -> Forgetter {
        Forgetter(self.folder.clone())
    }
}

impl Reading {
    /// Reads the log in a folder as it is.
    ///
    /// # Errors
    /// `58030` when the folder cannot be read.
    pub fn open(folder: &Place) -> Result<Self> {
        Ok(Self::of(files(folder)?))
    }

    fn on_disk(files: Vec<(u64, PathBuf)>) -> Self {
        Self::of(places(files))
    }

    fn of(files: Vec<(u64, Place)>) -> Self {
        Self {
            next: files.first().map_or(0, |(first, _)| *first),
            files: files.into(),
            ready: VecDeque::new(),
            place: Place::Disk(PathBuf::new()),
            bytes: Bytes::new(),
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
            let Some(&(first, _)) = self.files.front() else {
                return Ok(None);
            };
            self.load()?;
            if first != self.next {
                let what = format!(
                    "the records before {first} from {} on are missing",
                    self.next
                );
                return Err(damaged(&self.place, what));
            }
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

    /// Reads the next file.
    fn load(&mut self) -> Result<()> {
        if let Some((_, Place::Store(_))) = self.files.front()
            && self.ready.is_empty()
        {
            self.ready = read_some(&self.files)?;
        }
        let Some((_, place)) = self.files.pop_front() else {
            return Ok(());
        };
        (self.bytes, self.at) = match (&place, self.ready.pop_front()) {
            (Place::Disk(path), _) => {
                let bytes = fs::read(path).map_err(|error| failed("read", path, &error))?;
                (bytes.into(), 0)
            }
            (Place::Store(_), Some(bytes)) => {
                let at = objects::records_at(&place, &bytes)?;
                (bytes, at)
            }
            (Place::Store(_), None) => return Err(damaged(&place, "it is missing")),
        };
        self.place = place;
        Ok(())
    }

    /// What is not a record: fine at the end of the last file, where nothing follows that was written whole.
    fn broken(&mut self) -> Result<()> {
        let what = format!("record {} at byte {} was changed", self.next, self.at);
        // An object is there whole or not at all.
        let may_end = self.files.is_empty() && self.place.on_disk().is_some();
        if !may_end || is_anywhere(&self.bytes[self.at + 1..]) {
            return Err(damaged(&self.place, what));
        }
        self.bytes.truncate(self.at);
        Ok(())
    }
}

fn name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// Appends to a file that has `length` bytes; after an error it has as many.
fn write(file: &mut File, path: &Path, bytes: &[u8], length: u64) -> Result<()> {
    failpoint::reached_by(Failpoint::JournalHalfWritten, || {
        let _ = disk::append(file, path, &bytes[..bytes.len() / 2]);
    });
    if let Err(error) = disk::append(file, path, bytes) {
        // A part that was written is not a record.
        let cut = disk::cut(file, path, length);
        let error = failed("write", path, &error);
        return Err(match cut {
            Ok(()) => error,
            Err(cut) => {
                let message = format!("{}; it cannot be taken back: {cut}", error.message());
                Error::new(SqlState::IO_ERROR, message)
            }
        });
    }
    failpoint::reached(Failpoint::JournalWritten);
    Ok(())
}

/// Reads the next objects, as many as are asked for at once.
fn read_some(files: &VecDeque<(u64, Place)>) -> Result<VecDeque<Bytes>> {
    let objects = files.iter().map_while(|(_, place)| match place {
        Place::Store(object) => Some(object),
        Place::Disk(_) => None,
    });
    let objects: Vec<&StorePlace> = objects.take(AT_ONCE).collect();
    let Some(StorePlace { bucket, .. }) = objects.first() else {
        return Ok(VecDeque::new());
    };
    let keys: Vec<_> = objects.iter().map(|object| object.key.clone()).collect();
    let read = bucket.get_all(&keys)?;
    let missing = |at: usize| damaged(objects[at].url(), "it is missing");
    let whole = read.into_iter().enumerate();
    whole
        .map(|(at, bytes)| bytes.ok_or_else(|| missing(at)))
        .collect()
}

/// The files of a log that have records, with the numbers of their first ones, oldest first.
fn files(folder: &Place) -> Result<Vec<(u64, Place)>> {
    match folder {
        Place::Disk(path) => Ok(places(files_on_disk(path)?)),
        Place::Store(place) => {
            let objects = objects::joined(place)?.into_iter();
            let objects = objects.filter(|object| object.has_records);
            Ok(objects.map(objects::Object::place).collect())
        }
    }
}

fn places(files: Vec<(u64, PathBuf)>) -> Vec<(u64, Place)> {
    let files = files.into_iter();
    files
        .map(|(first, path)| (first, Place::Disk(path)))
        .collect()
}

/// As [`files`], on a disk.
fn files_on_disk(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
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
