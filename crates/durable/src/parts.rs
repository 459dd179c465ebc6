//! Files of parts that are read one by one: each with checksums, and the file there whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use dataflow::{Error, Result, SqlState};

use crate::files::sync_folder;
use crate::frame::{self, Found, HEADER, MAX_RECORD};
use crate::{damaged, failed};

/// A file of parts that is being written; one that is not finished is removed.
#[derive(Debug)]
pub struct PartsWriter {
    path: PathBuf,
    unfinished: PathBuf,
    file: Option<File>,
    length: u64,
    frame: Vec<u8>,
}

impl PartsWriter {
    /// Will write a file; it is made with the first part.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            unfinished: path.with_extension("parts.unfinished"),
            file: None,
            length: 0,
            frame: Vec::new(),
        }
    }

    /// Writes a part; gives its place and the CRC-32C of its bytes.
    ///
    /// # Errors
    /// `54000` when it is too large, `53100` when the disk is full, `58030` for other trouble.
    pub fn put(&mut self, part: &[u8]) -> Result<(u64, u32)> {
        if part.len() > MAX_RECORD {
            let message = format!("a part of {} bytes is too large", part.len());
            return Err(Error::new(SqlState::PROGRAM_LIMIT, message));
        }
        self.frame.clear();
        frame::put(part, &mut self.frame);
        let mut write = || {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(File::create(&self.unfinished)?),
            };
            file.write_all(&self.frame)
        };
        write().map_err(|error| failed("write", &self.path, &error))?;
        let at = self.length;
        self.length += self.frame.len() as u64;
        Ok((at, crc32c::crc32c(part)))
    }

    /// Gives the file its name if `check` lets it, and its length; without parts there is none.
    ///
    /// # Errors
    /// As [`PartsWriter::put`], and those of `check`.
    pub fn finish(mut self, check: impl FnOnce() -> Result<()>) -> Result<u64> {
        let Some(file) = &self.file else {
            return Ok(0);
        };
        let fails = |error: std::io::Error| failed("write", &self.path, &error);
        file.sync_all().map_err(fails)?;
        check()?;
        fs::rename(&self.unfinished, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(fails)?;
        self.file = None;
        Ok(self.length)
    }
}

impl Drop for PartsWriter {
    fn drop(&mut self) {
        if self.file.is_some() {
            // It may hold the last room on the disk; one that cannot be removed is removed by the next start.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

/// Reads a part of a file, by its place and its checksum.
///
/// # Errors
/// `58030` when the file cannot be read, `XX001` when it is not there or the part is not as it was written.
pub fn read_part(path: &Path, (at, checksum): (u64, u32)) -> Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged(path, "it is missing"));
        }
        Err(error) => return Err(failed("read", path, &error)),
    };
    let read = |at: u64, length: usize| {
        let mut bytes = vec![0; length];
        match file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(damaged(path, "its end is missing"))
            }
            Err(error) => Err(failed("read", path, &error)),
        }
    };
    let header = read(at, HEADER)?;
    let Some(length) = frame::length(&header) else {
        return Err(damaged(path, "a checksum does not match"));
    };
    let bytes = read(at, HEADER + length)?;
    match frame::take(&bytes) {
        Found::Record(part) if crc32c::crc32c(part) == checksum => Ok(part.to_vec()),
        Found::Record(_) => Err(damaged(path, "it is another file of that name")),
        Found::Short | Found::Wrong => Err(damaged(path, "a checksum does not match")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn parts_are_read_as_they_were_written_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.parts");
        let parts: [&[u8]; 4] = [b"one", b"", &[7; 10_000], b"four"];
        let mut writer = PartsWriter::new(&path);
        let places: Vec<(u64, u32)> = parts.iter().map(|part| writer.put(part).unwrap()).collect();
        assert!(!path.exists());
        let length = writer.finish(|| Ok(())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
        for (at, part) in places.iter().zip(parts) {
            assert_eq!(read_part(&path, *at).unwrap(), part);
        }
        let whole = fs::read(&path).unwrap();
        let (first, place) = (HEADER + parts[0].len(), places[0]);
        let other = read_part(&path, (places[3].0, place.1));
        assert_eq!(other.unwrap_err().state().0, "XX001");
        for at in 0..first {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(
                read_part(&path, place).unwrap_err().state().0,
                "XX001",
                "{at}"
            );
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(
                read_part(&path, place).unwrap_err().state().0,
                "XX001",
                "{at}"
            );
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(read_part(&path, place).unwrap_err().state().0, "XX001");
    }

    #[test]
    fn a_file_without_its_end_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.parts");
        let mut writer = PartsWriter::new(&path);
        writer.put(b"x").unwrap();
        drop(writer);
        let refused = || Err(Error::new(SqlState::OBJECT_IN_USE, "another's"));
        let mut writer = PartsWriter::new(&path);
        writer.put(b"x").unwrap();
        assert!(writer.finish(refused).is_err());
        assert_eq!(PartsWriter::new(&path).finish(|| Ok(())).unwrap(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
