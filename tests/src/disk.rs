//! A disk as a crash may leave it, by what was done to it before.
//!
//! After "All File Systems Are Not Created Equal" (Pillai et al., OSDI 2014): bytes are sure once their file was synced, names once
//! their folder was; of the rest a loss of power may take any part. [`Left`] has the extremes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use durable::DiskChange;

/// What of a disk is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// All that was done: the process ended, the machine went on.
    Everything,
    /// As [`Left::Everything`], but of the last bytes that were not synced, half.
    Torn,
    /// What was sure.
    Sure,
    /// All names, and the bytes that were sure.
    Names,
    /// All bytes, and the names that were sure.
    Bytes,
}

impl Left {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Everything,
        Self::Torn,
        Self::Sure,
        Self::Names,
        Self::Bytes,
    ];
}

/// A file.
#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// What it had when it was synced last.
    sure: Vec<u8>,
}

/// A disk to which things were done.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// Which file has a name.
    names: BTreeMap<PathBuf, usize>,
    /// The same, as it was when the folder was synced last.
    sure: BTreeMap<PathBuf, usize>,
}

impl Disk {
    /// Something is done to it.
    pub fn apply(&mut self, change: &DiskChange) {
        match change {
            DiskChange::Create(path) => match self.names.get(path) {
                Some(file) => self.files[*file].bytes.clear(),
                None => {
                    self.names.insert(path.clone(), self.files.len());
                    self.files.push(File::default());
                }
            },
            DiskChange::Append(path, bytes) => self.file(path).bytes.extend_from_slice(bytes),
            DiskChange::Cut(path, length) => {
                let length = usize::try_from(*length).unwrap();
                self.file(path).bytes.truncate(length);
            }
            DiskChange::Sync(path) => {
                let file = self.file(path);
                file.sure = file.bytes.clone();
            }
            DiskChange::Rename(from, to) => {
                let file = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), file);
            }
            DiskChange::Link(from, to) => {
                let file = self.names[from];
                self.names.insert(to.clone(), file);
            }
            DiskChange::Remove(path) => {
                let is_known = self.names.remove(path).is_some();
                // Those of owners are made elsewhere.
                let name = path.file_name().unwrap().to_string_lossy();
                assert!(is_known || name.starts_with("owner-"), "{change:?}");
            }
            DiskChange::SyncFolder(folder) => {
                let is_in = |path: &PathBuf| path.parent() == Some(folder.as_path());
                self.sure.retain(|path, _| !is_in(path));
                let names = self.names.iter().filter(|(path, _)| is_in(path));
                self.sure
                    .extend(names.map(|(path, file)| (path.clone(), *file)));
            }
        }
    }

    fn file(&mut self, path: &Path) -> &mut File {
        &mut self.files[self.names[path]]
    }

    /// Writes what is left of the folder `from` to the folder `to`, as if `last` was the last that was done. Files that say who owns the
    /// folder are of a process that has ended, and are left out.
    pub fn leave(&self, left: Left, last: Option<&DiskChange>, from: &Path, to: &Path) {
        let names = match left {
            Left::Sure | Left::Bytes => &self.sure,
            Left::Everything | Left::Torn | Left::Names => &self.names,
        };
        for (path, file) in names {
            let name = path.strip_prefix(from).unwrap();
            if name.to_string_lossy().starts_with("owner-") {
                continue;
            }
            let file = &self.files[*file];
            let bytes = match left {
                Left::Sure | Left::Names => file.sure.as_slice(),
                Left::Everything | Left::Bytes => file.bytes.as_slice(),
                Left::Torn => match last {
                    Some(DiskChange::Append(torn, bytes)) if torn == path => {
                        &file.bytes[..file.bytes.len() - bytes.len().div_ceil(2)]
                    }
                    _ => file.bytes.as_slice(),
                },
            };
            let path = to.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}
