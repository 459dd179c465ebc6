//! How checkpoints and their files of parts are called.

use dataflow::Result;
use durable::Place;

/// How names of checkpoints end.
pub(crate) const SUFFIX: &str = ".state";
/// How names of files of parts end.
pub(super) const PARTS: &str = ".parts";

/// Names a checkpoint and its file of parts: nobody else writes under these names, however late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    /// The journal's entry that follows it.
    pub(crate) number: u64,
    /// The owner of the folder that has written it.
    generation: u64,
}

impl Id {
    /// Bits of a generation in the number of a file of parts.
    const BITS: u32 = 20;

    pub(crate) fn new(number: u64, generation: u64) -> Self {
        Self { number, generation }
    }

    /// Out of the beginning of a file's name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (number, generation) = name.split_once('-')?;
        Some(Self::new(number.parse().ok()?, generation.parse().ok()?))
    }

    pub(super) fn name(self, suffix: &str) -> String {
        format!("{:020}-{:07}{suffix}", self.number, self.generation)
    }

    /// As one number. Generations count starts, numbers ticks: a million of the ones, and 17 trillion of the others.
    pub(super) fn file(self) -> u64 {
        self.number << Self::BITS | self.generation & ((1 << Self::BITS) - 1)
    }

    /// Out of [`Id::file`].
    pub(super) fn of_file(file: u64) -> Self {
        Self::new(file >> Self::BITS, file & ((1 << Self::BITS) - 1))
    }
}

/// Whether there are checkpoints in a folder.
pub(crate) fn are_in(folder: &Place) -> Result<bool> {
    Ok(!list(folder, SUFFIX)?.is_empty())
}

/// The checkpoints or files of parts in a folder, in order, with their bytes.
pub(crate) fn list(folder: &Place, suffix: &str) -> Result<Vec<(Id, u64)>> {
    let mut kept = Vec::new();
    for found in folder.list()? {
        let name = found.name.strip_suffix(suffix);
        let id = name.and_then(Id::of_name);
        kept.extend(id.map(|id| (id, found.bytes)));
    }
    kept.sort_unstable();
    Ok(kept)
}

pub(crate) fn path(folder: &Place, id: Id) -> Place {
    folder.join(&id.name(SUFFIX))
}

pub(super) fn parts_path(folder: &Place, file: u64) -> Place {
    folder.join(&Id::of_file(file).name(PARTS))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_say_who_has_written_a_checkpoint_and_are_in_the_order_of_the_journal() {
        let ids = [(0, 1), (7, 1), (7, 2), (8, 1), (1 << 40, (1 << 20) - 1)];
        let ids = ids.map(|(number, generation)| Id::new(number, generation));
        assert!(ids.is_sorted());
        assert!(ids.map(Id::file).is_sorted());
        for id in ids {
            assert_eq!(Id::of_file(id.file()), id);
            let name = id.name(SUFFIX);
            assert_eq!(Id::of_name(name.strip_suffix(SUFFIX).unwrap()), Some(id));
        }
        assert!(ids.map(|id| id.name(PARTS)).is_sorted());
    }
}
