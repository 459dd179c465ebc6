//! Everything that changes files, in one place: in builds for tests it can be watched, to see what a crash would leave.

use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write as _};
use std::path::{Path, PathBuf};

/// A change of files. It outlives a loss of power only when what follows it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskChange {
    /// A file is there that has nothing in it.
    Create(PathBuf),
    /// Bytes are at a file's end.
    Append(PathBuf, Vec<u8>),
    /// A file has only so many bytes.
    Cut(PathBuf, u64),
    /// What a file has is durable.
    Sync(PathBuf),
    /// A file has another name.
    Rename(PathBuf, PathBuf),
    /// A file has a second name.
    Link(PathBuf, PathBuf),
    /// A name is gone.
    Remove(PathBuf),
    /// The names in a folder are durable.
    SyncFolder(PathBuf),
}

/// Makes a file, or empties it.
pub(crate) fn create(path: &Path) -> Result<File> {
    let file = File::create(path)?;
    tell(path, || DiskChange::Create(path.to_owned()));
    Ok(file)
}

/// Makes a file to which one appends; there must be none.
pub(crate) fn create_new(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(path)?;
    tell(path, || DiskChange::Create(path.to_owned()));
    Ok(file)
}

/// Opens a file to append to it, and makes it if there is none.
pub(crate) fn open(path: &Path) -> Result<File> {
    match create_new(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            OpenOptions::new().append(true).open(path)
        }
        made => made,
    }
}

/// Appends to a file.
pub(crate) fn append(file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
    let written = file.write_all(bytes);
    if written.is_ok() {
        tell(path, || DiskChange::Append(path.to_owned(), bytes.to_vec()));
    }
    written
}

/// Cuts a file off.
pub(crate) fn cut(file: &File, path: &Path, length: u64) -> Result<()> {
    file.set_len(length)?;
    tell(path, || DiskChange::Cut(path.to_owned(), length));
    Ok(())
}

/// Makes what a file has durable.
pub(crate) fn sync(file: &File, path: &Path) -> Result<()> {
    file.sync_data()?;
    tell(path, || DiskChange::Sync(path.to_owned()));
    Ok(())
}

/// Makes a file that has what another one has.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from)?;
    let mut file = create(to)?;
    append(&mut file, to, &bytes)?;
    sync(&file, to)
}

/// Gives a file another name.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)?;
    tell(to, || DiskChange::Rename(from.to_owned(), to.to_owned()));
    Ok(())
}

/// Gives a file a second name, which must be free.
pub(crate) fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to)?;
    tell(to, || DiskChange::Link(from.to_owned(), to.to_owned()));
    Ok(())
}

/// Removes a name.
pub(crate) fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path)?;
    tell(path, || DiskChange::Remove(path.to_owned()));
    Ok(())
}

/// Makes the names in a file's folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Ok(()),
    };
    File::open(folder)?.sync_all()?;
    tell(path, || DiskChange::SyncFolder(folder.to_owned()));
    Ok(())
}

#[cfg(not(debug_assertions))]
fn tell(_path: &Path, _change: impl FnOnce() -> DiskChange) {}

#[cfg(debug_assertions)]
use watched::tell;
#[cfg(debug_assertions)]
pub use watched::watch;

#[cfg(debug_assertions)]
mod watched {
    use std::path::{Path, PathBuf};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use parking_lot::RwLock;

    use super::DiskChange;

    type Watcher = (PathBuf, parking_lot::Mutex<Sender<DiskChange>>);

    /// Who watches which folder.
    static WATCHERS: RwLock<Vec<Watcher>> = RwLock::new(Vec::new());

    /// Tells of every change below a folder from now on, in their order. Builds for release have no watchers.
    pub fn watch(folder: &Path) -> Receiver<DiskChange> {
        let (sender, receiver) = channel();
        let watcher = (folder.to_owned(), parking_lot::Mutex::new(sender));
        WATCHERS.write().push(watcher);
        receiver
    }

    pub(super) fn tell(path: &Path, change: impl FnOnce() -> DiskChange) {
        let watchers = WATCHERS.read();
        if let Some((_, sender)) = watchers.iter().find(|(folder, _)| path.starts_with(folder)) {
            // Nobody watches any more.
            let _ = sender.lock().send(change());
        }
    }
}
