//! Files of parts that are read one by one: each with checksums, and the file there whole or not at all.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dataflow::{Error, Result, SqlState};

use crate::bucket::Upload;
use crate::frame::{self, Found, HEADER, MAX_RECORD};
use crate::place::{Place, StorePlace};
use crate::{damaged, disk, failed};

/// A file of parts that is being written; one that is not finished is removed.
pub struct PartsWriter {
    place: Place,
    file: Option<Writing>,
    length: u64,
    frame: Vec<u8>,
}

/// A file that has a part.
enum Writing {
    Disk(Unfinished),
    Store(Upload),
}

/// A file on a disk, under the name that it has until it is whole.
struct Unfinished {
    file: File,
    path: PathBuf,
    is_named: bool,
}

impl PartsWriter {
    /// Will write a file; it is made with the first part.
    pub fn new(place: &Place) -> Self {
        Self {
            place: place.clone(),
            file: None,
            length: 0,
            frame: Vec::new(),
        }
    }

    /// Writes a part; gives its place and the CRC-32C of its bytes.
    ///
    /// # Errors
    /// `54000` when it is too large, `53100` when the disk is full, `58030` or `08006` for other trouble.
    pub fn put(&mut self, part: &[u8]) -> Result<(u64, u32)> {
        if part.len() > MAX_RECORD {
            let message = format!("a part of {} bytes is too large", part.len());
            return Err(Error::new(SqlState::PROGRAM_LIMIT, message));
        }
        self.frame.clear();
        frame::put(part, &mut self.frame);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Writing::begin(&self.place)?),
        };
        file.write(&self.frame)?;
        let at = self.length;
        self.length += self.frame.len() as u64;
        Ok((at, crc32c::crc32c(part)))
    }

    /// Gives the file its name if `check` lets it, and its length; without parts there is none.
    ///
    /// # Errors
    /// As [`PartsWriter::put`], and those of `check`.
    pub fn finish(self, check: impl FnOnce() -> Result<()>) -> Result<u64> {
        match (self.file, &self.place) {
            (Some(Writing::Disk(file)), Place::Disk(path)) => file.finish(path, check)?,
            (Some(Writing::Store(upload)), _) => upload.finish(check)?,
            _ => {}
        }
        Ok(self.length)
    }
}

impl Writing {
    fn begin(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::Disk(path) => Self::Disk(Unfinished::begin(path)?),
            Place::Store(StorePlace { bucket, key }) => Self::Store(bucket.upload(key)),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Disk(Unfinished { file, path, .. }) => {
                disk::append(file, path, bytes).map_err(|error| failed("write", path, &error))
            }
            Self::Store(upload) => upload.write(bytes),
        }
    }
}

impl Unfinished {
    fn begin(path: &Path) -> Result<Self> {
        let path = path.with_extension("parts.unfinished");
        let file = disk::create(&path).map_err(|error| failed("write", &path, &error))?;
        Ok(Self {
            file,
            path,
            is_named: false,
        })
    }

    fn finish(mut self, path: &Path, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let fails = |error: std::io::Error| failed("write", path, &error);
        disk::sync(&self.file, &self.path).map_err(fails)?;
        check()?;
        disk::rename(&self.path, path).map_err(fails)?;
        self.is_named = true;
        disk::sync_folder_of(path).map_err(fails)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_named {
            // It may hold the last room on the disk; one that cannot be removed is removed by the next start.
            let _ = disk::remove(&self.path);
        }
    }
}

/// Reads parts of files. Objects are read whole, and held.
#[derive(Debug, Default)]
pub struct PartsReader {
    files: HashMap<String, Source>,
}

#[derive(Debug)]
enum Source {
    Disk(File),
    Store(Bytes),
}

impl PartsReader {
    /// Reads a part of a file, by its place and its checksum.
    ///
    /// # Errors
    /// `58030` or `08006` when the file cannot be read, `XX001` when it is not there or the part is not as it was written.
    pub fn read(&mut self, file: &Place, (at, checksum): (u64, u32)) -> Result<Vec<u8>> {
        let source = match self.files.entry(file.to_string()) {
            std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => free.insert(Source::open(file)?),
        };
        let header = source.bytes(file, at, HEADER)?;
        let Some(length) = frame::length(&header) else {
            return Err(damaged(file, "a checksum does not match"));
        };
        let bytes = source.bytes(file, at, HEADER + length)?;
        match frame::take(&bytes) {
            Found::Record(part) if crc32c::crc32c(part) == checksum => Ok(part.to_vec()),
            Found::Record(_) => Err(damaged(file, "it is another file of that name")),
            Found::Short | Found::Wrong => Err(damaged(file, "a checksum does not match")),
        }
    }
}

impl Source {
    fn open(place: &Place) -> Result<Self> {
        let missing = || damaged(place, "it is missing");
        match place {
            Place::Disk(path) => match File::open(path) {
                Ok(file) => Ok(Self::Disk(file)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing()),
                Err(error) => Err(failed("read", path, &error)),
            },
            Place::Store(object) => Ok(Self::Store(object.raw()?.ok_or_else(missing)?)),
        }
    }

    fn bytes(&self, place: &Place, at: u64, length: usize) -> Result<Bytes> {
        let short = || damaged(place, "its end is missing");
        match self {
            Self::Disk(file) => {
                let mut bytes = vec![0; length];
                match file.read_exact_at(&mut bytes, at) {
                    Ok(()) => Ok(bytes.into()),
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(short()),
                    Err(error) => Err(Error::io("read", place, &error)),
                }
            }
            Self::Store(whole) => {
                let at = usize::try_from(at).map_err(|_| short())?;
                let end = at.checked_add(length).filter(|end| *end <= whole.len());
                Ok(whole.slice(at..end.ok_or_else(short)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;

    use super::*;

    fn read(place: &Place, at: (u64, u32)) -> Result<Vec<u8>> {
        PartsReader::default().read(place, at)
    }

    #[test]
    fn parts_are_read_as_they_were_written_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.parts");
        let file = Place::Disk(path.clone());
        let parts: [&[u8]; 4] = [b"one", b"", &[7; 10_000], b"four"];
        let mut writer = PartsWriter::new(&file);
        let places: Vec<(u64, u32)> = parts.iter().map(|part| writer.put(part).unwrap()).collect();
        assert!(!path.exists());
        let length = writer.finish(|| Ok(())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        for (at, part) in places.iter().zip(parts) {
            assert_eq!(read(&file, *at).unwrap(), part);
        }
        let whole = fs::read(&path).unwrap();
        let (first, place) = (HEADER + parts[0].len(), places[0]);
        let is_damaged = |at: (u64, u32)| read(&file, at).unwrap_err().state().0 == "XX001";
        assert!(is_damaged((places[3].0, place.1)));
        for at in 0..first {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(is_damaged(place), "{at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(is_damaged(place), "{at}");
        }
        fs::remove_file(&path).unwrap();
        assert!(is_damaged(place));
    }

    #[test]
    fn a_file_without_its_end_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.parts");
        let file = Place::Disk(path);
        let mut writer = PartsWriter::new(&file);
        writer.put(b"x").unwrap();
        drop(writer);
        let refused = || Err(Error::new(SqlState::OBJECT_IN_USE, "another's"));
        let mut writer = PartsWriter::new(&file);
        writer.put(b"x").unwrap();
        assert!(writer.finish(refused).is_err());
        assert_eq!(PartsWriter::new(&file).finish(|| Ok(())).unwrap(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
