//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use dataflow::Result;
use dataflow::failpoint::{self, Failpoint};

use crate::disk;
use crate::frame::{self, Found, HEADER};
use crate::{damaged, failed};

/// What a file is written under until it is whole.
const UNFINISHED: &str = "unfinished";
/// Bytes that have a checksum of their own.
const MAX_PART: usize = 1 << 24;

/// Writes a file: afterwards it is there with these bytes, or, after a crash, as it was before.
///
/// # Errors
/// `58030`, or `53100` when the disk is full.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file_if(path, bytes, || Ok(()))
}

/// As [`write_file`]; the file gets its name only if `check` lets it.
///
/// # Errors
/// As [`write_file`], and those of `check`.
pub(crate) fn write_file_if(
    path: &Path,
    bytes: &[u8],
    check: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let unfinished = path.with_extension(UNFINISHED);
    let remove = || {
        // It may hold the last room on the disk; one that cannot be removed is removed by the next start.
        let _ = disk::remove(&unfinished);
    };
    let write = || {
        let mut file = disk::create(&unfinished)?;
        for framed in framed(bytes) {
            failpoint::reached_by(Failpoint::FileHalfWritten, || {
                let _ = disk::append(&mut file, &unfinished, &framed[..framed.len() / 2]);
            });
            disk::append(&mut file, &unfinished, &framed)?;
        }
        disk::sync(&file, &unfinished)
    };
    let name = || {
        failpoint::reached(Failpoint::FileUnnamed);
        disk::rename(&unfinished, path)?;
        failpoint::reached(Failpoint::FileNamed);
        disk::sync_folder_of(path)
    };
    let written = write()
        .map_err(|error| failed("write", path, &error))
        .and_then(|()| check())
        .and_then(|()| name().map_err(|error| failed("write", path, &error)));
    if written.is_err() {
        remove();
    }
    written
}

/// Gives a file that is there whole a second name, which goes on when the first is removed; `false` when the name is taken.
///
/// # Errors
/// `58030`.
pub(crate) fn keep_as(path: &Path, name: &Path) -> Result<bool> {
    match disk::link(path, name).and_then(|()| disk::sync_folder_of(name)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("make", name, &error)),
    }
}

/// Makes a folder, and its name durable.
///
/// # Errors
/// `58030`.
pub fn make_folder(path: &Path) -> Result<()> {
    let make = || {
        fs::create_dir_all(path)?;
        disk::sync_folder_of(path)
    };
    make().map_err(|error| failed("make the folder", path, &error))
}

/// Whether a file was being written when everything ended.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == UNFINISHED)
}

/// Reads a file that [`write_file`] wrote; `None` when there is none.
///
/// # Errors
/// `58030` when it cannot be read, `XX001` when it is not as it was written.
pub fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        read_framed(&mut file, length)
    };
    match read() {
        Ok(Ok(whole)) => Ok(Some(whole)),
        Ok(Err(what)) => Err(damaged(path.display(), what)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

/// As [`unframed`], without a second copy of what may be large.
fn read_framed(file: &mut File, length: u64) -> std::io::Result<Result<Vec<u8>, &'static str>> {
    let mut whole = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    let mut rest = length;
    loop {
        let mut header = [0; HEADER];
        if rest < HEADER as u64 {
            return Ok(Err("its end is missing"));
        }
        file.read_exact(&mut header)?;
        rest -= HEADER as u64;
        let Some(part) = frame::length(&header) else {
            return Ok(Err("its checksum does not match"));
        };
        let begin = whole.len();
        if (part as u64) > rest || file.take(part as u64).read_to_end(&mut whole)? < part {
            return Ok(Err("its end is missing"));
        }
        rest -= part as u64;
        if !frame::is_of(&whole[begin..], &header) {
            return Ok(Err("its checksum does not match"));
        }
        match (part, rest) {
            (0, 0) => return Ok(Ok(whole)),
            (0, _) => return Ok(Err("there is more than was written")),
            _ => {}
        }
    }
}

/// A file's bytes in parts that have checksums; an empty part is the end.
pub(crate) fn framed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let parts = bytes.chunks(MAX_PART).chain([&[][..]]);
    parts.map(|part| {
        let mut framed = Vec::with_capacity(part.len() + HEADER);
        frame::put(part, &mut framed);
        framed
    })
}

/// The bytes of [`framed`]; else what is wrong with them.
pub(crate) fn unframed(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (mut whole, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    loop {
        match frame::take(rest) {
            Found::Record([]) if rest.len() == HEADER => return Ok(whole),
            Found::Record([]) => return Err("there is more than was written"),
            Found::Record(part) => {
                whole.extend_from_slice(part);
                rest = &rest[HEADER + part.len()..];
            }
            Found::Short => return Err("its end is missing"),
            Found::Wrong => return Err("its checksum does not match"),
        }
    }
}

/// Removes a file; one that is not there is no error.
///
/// # Errors
/// `58030`.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match disk::remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path, &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written_and_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert_eq!(read_file(&path).unwrap(), None);
        for bytes in [&b""[..], b"abc", &[7; 100_000]] {
            write_file(&path, bytes).unwrap();
            assert_eq!(read_file(&path).unwrap().as_deref(), Some(bytes));
        }
        write_file(&path, b"some bytes").unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read_file(&path).unwrap_err().state().0, "XX001", "{length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_file(&path).unwrap_err().state().0, "XX001", "{at}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_said_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("x");
        let error = write_file(&path, b"x").unwrap_err();
        assert_eq!(error.state().0, "58030");
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    }
}
