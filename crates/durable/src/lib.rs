//! What outlives a crash: a folder that one process owns, a log of records, and files that are there whole or not at all.
#![warn(missing_docs)]

mod files;
mod folder;
mod frame;
mod log;
mod parts;

pub use files::{
    is_unfinished, keep_as, make_folder, read_file, remove_file, write_file, write_file_if,
};
pub use folder::{Claim, Folder, check_folder};
pub use log::{Log, Reading};
pub use parts::{PartsWriter, read_part};

use std::io::Error as IoError;
use std::path::Path;

use dataflow::{Error, SqlState};

/// What went wrong with a file while `doing` something.
fn failed(doing: &str, path: &Path, error: &IoError) -> Error {
    Error::io(doing, path.display(), error)
}

/// A file that is not what it should be.
fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    let message = format!("{} is damaged: {what}", path.display());
    Error::new(SqlState::DATA_CORRUPTED, message)
}
