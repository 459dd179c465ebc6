//! What outlives a crash: a folder that one process owns, a log of records, and files that are there whole or not at all.
#![warn(missing_docs)]

mod bucket;
mod disk;
mod files;
mod folder;
mod frame;
mod log;
mod parts;
mod place;

pub use disk::DiskChange;
#[cfg(debug_assertions)]
pub use disk::watch;
pub use files::{make_folder, read_file, write_file};
pub use folder::{Claim, Folder, check_folder};
pub use log::{Forgetter, Log, Reading};
pub use parts::{PartsReader, PartsWriter};
pub use place::{Found, Place};

use std::io::Error as IoError;
use std::path::Path;

use dataflow::{Error, SqlState};

/// What went wrong with a file while `doing` something.
fn failed(doing: &str, path: &Path, error: &IoError) -> Error {
    Error::io(doing, path.display(), error)
}

/// A file that is not what it should be.
fn damaged(file: impl std::fmt::Display, what: impl std::fmt::Display) -> Error {
    let message = format!("{file} is damaged: {what}");
    Error::new(SqlState::DATA_CORRUPTED, message)
}
