//! Cuts a log off at its beginning, also while it grows.

use dataflow::Result;
use dataflow::failpoint::{self, Failpoint};

use super::{files_on_disk, objects};
use crate::files::remove_file;
use crate::place::Place;

/// Cuts a log off at its beginning.
#[derive(Clone, Debug)]
pub struct Forgetter(pub(super) Place);

impl Forgetter {
    /// As [`Log::forget`].
    ///
    /// # Errors
    /// As [`Log::forget`].
    pub fn forget(&self, number: u64) -> Result<()> {
        let folder = match &self.0 {
            Place::Store(folder) => return objects::forget(folder, number),
            Place::Disk(folder) => folder,
        };
        let files = files_on_disk(folder)?;
        let before = files.windows(2).take_while(|pair| pair[1].0 <= number);
        for pair in before {
            remove_file(&pair[0].1)?;
            failpoint::reached(Failpoint::JournalForgetting);
        }
        Ok(())
    }
}
