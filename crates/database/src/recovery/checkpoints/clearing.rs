//! Removes checkpoints, parts and the journal's files that are not needed any more, beside what goes on.

use std::collections::BTreeSet;

use dataflow::failpoint::{self, Failpoint};
use dataflow::{Result, SqlState};
use durable::{Claim, Forgetter, Place};

use super::names::{Id, PARTS, list, parts_path, path};
use super::{Kept, decode, files_of};

/// What is not needed any more, and what is.
pub(super) struct Clearing {
    pub(super) folder: Place,
    pub(super) surplus: Vec<Id>,
    pub(super) kept: Vec<Kept>,
    pub(super) needed: BTreeSet<u64>,
    pub(super) claim: Claim,
    pub(super) log: Option<(Forgetter, u64)>,
}

impl Clearing {
    pub(super) fn run(mut self) -> Result<()> {
        self.claim.ask()?;
        for id in &self.surplus {
            path(&self.folder, *id).remove()?;
            failpoint::reached(Failpoint::CheckpointForgotten);
        }
        for kept in &self.kept {
            match &kept.files {
                Some(files) => self.needed.extend(files),
                None => {
                    // Of one that another process has written; a damaged one needs nothing.
                    let checkpoint = match decode(&path(&self.folder, kept.id)) {
                        Err(error) if error.state() == SqlState::DATA_CORRUPTED => None,
                        decoded => decoded?,
                    };
                    let files = checkpoint.map(files_of).transpose()?;
                    self.needed.extend(files.unwrap_or_default());
                }
            }
        }
        let found = list(&self.folder, PARTS)?;
        self.claim.ask()?;
        // Later ones would be another owner's.
        let newest = self.kept.last().map(|kept| kept.id);
        for (id, _) in found {
            if Some(id) <= newest && !self.needed.contains(&id.file()) {
                parts_path(&self.folder, id.file()).remove()?;
                failpoint::reached(Failpoint::PartsForgotten);
            }
        }
        match self.log {
            Some((log, number)) => log.forget(number),
            None => Ok(()),
        }
    }
}
