//! Where state is: files of a folder on a disk, or objects of a store below an address.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dataflow::failpoint::{self, Failpoint};
use dataflow::{Error, Result};
use object_store::path::Path as Key;

use crate::bucket::Bucket;
use crate::{damaged, disk, failed, files};

/// A folder or a file, or what stands for one in an object store. Its owner writes it; files are there whole or not at all.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a disk.
    Disk(PathBuf),
    /// In an object store.
    Store(StorePlace),
}

/// A place in an object store.
#[derive(Clone, Debug)]
pub struct StorePlace {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) key: Key,
}

/// What is directly in a folder.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name there.
    pub name: String,
    /// Bytes that it has, with checksums.
    pub bytes: u64,
    /// When it was written; not known of folders of object stores.
    pub modified: Option<SystemTime>,
}

impl Place {
    /// A path, or an address such as `s3://bucket/path`.
    ///
    /// # Errors
    /// `0A000` for an address of another kind, `22023` for one that is none, `08001` when the environment does not say how to speak
    /// to the store.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Self::Disk(PathBuf::from(path)));
        }
        if !text.contains("://") {
            return Bucket::refuse_path(text).map(|()| Self::Disk(PathBuf::from(text)));
        }
        let (bucket, key) = Bucket::open(text)?;
        Ok(Self::Store(StorePlace { bucket, key }))
    }

    /// The path, if it is one on a disk.
    pub fn on_disk(&self) -> Option<&Path> {
        match self {
            Self::Disk(path) => Some(path),
            Self::Store(_) => None,
        }
    }

    /// What has this name in it.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Disk(path) => Self::Disk(path.join(name)),
            Self::Store(place) => Self::Store(place.join(name)),
        }
    }

    /// Makes it a folder, whose name lasts. Object stores have none.
    ///
    /// # Errors
    /// `58030`.
    pub fn make_folder(&self) -> Result<()> {
        match self {
            Self::Disk(path) => files::make_folder(path),
            Self::Store(_) => Ok(()),
        }
    }

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// `58030` or `08006` when it cannot be read, `XX001` when it is not as it was written.
    pub fn read(&self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Disk(path) => files::read_file(path),
            Self::Store(place) => {
                let bytes = place.bucket.get(&place.key)?;
                let whole = bytes.map(|bytes| files::unframed(&bytes));
                whole.transpose().map_err(|what| damaged(self, what))
            }
        }
    }

    /// Writes a file: afterwards it is there with these bytes, or, after a crash, as it was before.
    ///
    /// # Errors
    /// `53100` when the disk is full, `58030`, or `08006`.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        self.write_if(bytes, || Ok(()))
    }

    /// As [`Place::write`]; it is done only if `check` lets it.
    ///
    /// # Errors
    /// As [`Place::write`], and those of `check`.
    pub fn write_if(&self, bytes: &[u8], check: impl FnOnce() -> Result<()>) -> Result<()> {
        match self {
            Self::Disk(path) => files::write_file_if(path, bytes, check),
            Self::Store(place) => {
                let mut upload = place.bucket.upload(&place.key);
                for frame in files::framed(bytes) {
                    upload.write(&frame)?;
                }
                upload.finish(|| {
                    failpoint::reached(Failpoint::FileUnnamed);
                    check()
                })?;
                failpoint::reached(Failpoint::FileNamed);
                Ok(())
            }
        }
    }

    /// Gives a file that is there whole a second name, under which it goes on when the first is removed; `false` when the name is taken.
    ///
    /// # Errors
    /// `58030` or `08006`; an internal one when the two are not of one kind.
    pub fn keep_as(&self, name: &Self) -> Result<bool> {
        match (self, name) {
            (Self::Disk(path), Self::Disk(name)) => files::keep_as(path, name),
            (Self::Store(place), Self::Store(name)) => place.bucket.copy(&place.key, &name.key),
            _ => Err(Error::internal(format!("{self} cannot be kept as {name}"))),
        }
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// `58030` or `08006`.
    pub fn remove(&self) -> Result<()> {
        match self {
            Self::Disk(path) => files::remove_file(path),
            Self::Store(place) => place.bucket.delete(&place.key),
        }
    }

    /// Gives a file another name in the same folder.
    ///
    /// # Errors
    /// `58030` or `08006`.
    pub fn rename(&self, name: &str) -> Result<()> {
        match self {
            Self::Disk(path) => {
                let renamed = disk::rename(path, &path.with_file_name(name));
                renamed.map_err(|error| failed("rename", path, &error))
            }
            Self::Store(place) => {
                let key = place.beside(name);
                if !place.bucket.copy(&place.key, &key)? {
                    // An older one of that name.
                    place.bucket.delete(&key)?;
                    place.bucket.copy(&place.key, &key)?;
                }
                place.bucket.delete(&place.key)
            }
        }
    }

    /// Whether there is a file or a folder.
    ///
    /// # Errors
    /// `58030` or `08006`.
    pub fn exists(&self) -> Result<bool> {
        match self {
            Self::Disk(path) => path
                .try_exists()
                .map_err(|error| failed("look for", path, &error)),
            Self::Store(place) => place.bucket.exists(&place.key),
        }
    }

    /// What is directly in a folder, in no order; nothing when there is no folder.
    ///
    /// # Errors
    /// `58030` or `08006`.
    pub fn list(&self) -> Result<Vec<Found>> {
        match self {
            Self::Disk(path) => {
                list(path).map_err(|error: std::io::Error| failed("list", path, &error))
            }
            Self::Store(place) => place.bucket.list(&place.key),
        }
    }

    /// Removes from a folder what was being written when everything ended.
    ///
    /// # Errors
    /// `58030`.
    pub fn remove_unfinished(&self) -> Result<()> {
        // An object that was not written to its end is none.
        if let Self::Disk(path) = self {
            for found in self.list()? {
                let path = path.join(found.name);
                if files::is_unfinished(&path) {
                    files::remove_file(&path)?;
                }
            }
        }
        Ok(())
    }
}

impl StorePlace {
    pub(crate) fn join(&self, name: &str) -> Self {
        Self {
            bucket: Arc::clone(&self.bucket),
            key: self.key.clone().join(name),
        }
    }

    /// The key of what has this name in the same folder.
    fn beside(&self, name: &str) -> Key {
        let mut parts: Vec<_> = self.key.parts().collect();
        parts.pop();
        Key::from_iter(parts).join(name)
    }

    /// How it is called in messages.
    pub(crate) fn url(&self) -> String {
        self.bucket.url(&self.key)
    }

    /// What an object holds, without looking at checksums.
    pub(crate) fn raw(&self) -> Result<Option<Bytes>> {
        self.bucket.get(&self.key)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(path) => path.display().fmt(f),
            Self::Store(place) => f.write_str(&place.url()),
        }
    }
}

fn list(path: &Path) -> std::io::Result<Vec<Found>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // One that is removed meanwhile is not there.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        found.push(Found {
            name,
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use dataflow::SqlState;

    use super::*;
    use crate::bucket::testing::{Manner, Unsteady};
    use crate::parts::{PartsReader, PartsWriter};

    fn names(place: &Place) -> Vec<String> {
        let mut names: Vec<String> = place.list().unwrap().into_iter().map(|f| f.name).collect();
        names.sort();
        names
    }

    /// On a disk and in an object store it is the same.
    fn both(test: impl Fn(&Place)) {
        let folder = tempfile::tempdir().unwrap();
        test(&Place::Disk(folder.path().join("a/b")));
        test(&Unsteady::new(1).place());
    }

    #[test]
    fn files_are_there_whole_or_not_at_all() {
        both(|place| {
            place.make_folder().unwrap();
            let file = place.join("x.state");
            assert_eq!(
                (file.read().unwrap(), file.exists().unwrap()),
                (None, false)
            );
            for bytes in [&b""[..], b"abc", &[7; 100_000]] {
                file.write(bytes).unwrap();
                assert_eq!(file.read().unwrap().as_deref(), Some(bytes));
            }
            let refused = || Err(Error::new(SqlState::OBJECT_IN_USE, "another's"));
            assert!(file.write_if(b"other", refused).is_err());
            assert_eq!(file.read().unwrap().unwrap().len(), 100_000);
            let kept = place.join("kept");
            assert!(file.keep_as(&kept).unwrap());
            assert!(!file.keep_as(&kept).unwrap());
            file.remove().unwrap();
            file.remove().unwrap();
            assert_eq!(kept.read().unwrap().unwrap().len(), 100_000);
            kept.rename("again").unwrap();
            place.join("kept").write(b"2").unwrap();
            place.join("kept").rename("again").unwrap();
            assert_eq!(place.join("again").read().unwrap().unwrap(), b"2");
            place.remove_unfinished().unwrap();
            assert_eq!(names(place), ["again"]);
            assert_eq!(names(&place.join("nowhere")), Vec::<String>::new());
        });
    }

    #[test]
    fn what_is_larger_than_a_request_is_there_whole() {
        let large: Vec<u8> = (0..40_u32 << 20)
            .map(|n| (n >> 7).to_le_bytes()[0])
            .collect();
        let store = Unsteady::new(1);
        let file = store.place().join("large");
        file.write(&large).unwrap();
        assert!(file.read().unwrap().unwrap() == large);
        let refused = || Err(Error::new(SqlState::OBJECT_IN_USE, "another's"));
        assert!(
            store
                .place()
                .join("other")
                .write_if(&large, refused)
                .is_err()
        );
        assert_eq!(names(&store.place()), ["large"]);
        let mut writer = PartsWriter::new(&store.place().join("parts"));
        let parts = large
            .chunks(10_000_001)
            .map(|part| (writer.put(part).unwrap(), part));
        let parts: Vec<_> = parts.collect();
        writer.finish(|| Ok(())).unwrap();
        let mut reader = PartsReader::default();
        for (at, part) in parts {
            assert!(reader.read(&store.place().join("parts"), at).unwrap() == part);
        }
        store.set(Manner::Away);
        assert_eq!(file.read().unwrap_err().state().0, "08006");
    }

    #[test]
    fn an_address_is_understood_or_refused() {
        let parsed = |text: &str| Place::parse(text).map(|place| place.to_string());
        assert_eq!(parsed("/var/lib/x").unwrap(), "/var/lib/x");
        assert_eq!(parsed("file:///var/lib/x").unwrap(), "/var/lib/x");
        for (text, state, words) in [
            ("ftp://host/path", "0A000", "state in ftp://"),
            ("s3://", "22023", "s3://BUCKET/PATH"),
            ("s3:/bucket/x", "22023", "s3://BUCKET/PATH"),
            ("s3://user:secret@bucket/x", "22023", "s3://BUCKET/PATH"),
            ("s3://bucket/x?region=y", "22023", "s3://BUCKET/PATH"),
            ("s3://bucket/a//b", "22023", "no address of an object"),
        ] {
            let error = Place::parse(text).unwrap_err();
            assert_eq!(error.state().0, state, "{text}");
            assert!(error.message().contains(words), "{error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }
}
