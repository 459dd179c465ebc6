//! The folder of a broker that lasts: which topics there are, their partitions' batches, and what groups have committed.

use std::fs;
use std::path::{Path, PathBuf};

use dataflow::{Error, Result, SqlState};
use durable::{Claim, Folder, Place, make_folder, read_file, write_file};
use parking_lot::Mutex;

use crate::groups::{Committed, Group, Groups};

/// The number of the format of everything in it.
const FORMAT: u32 = 1;
/// The file with names of topics and numbers of their partitions, a line each.
const TOPICS: &str = "topics";
/// The file with what groups have committed.
const COMMITS: &str = "commits";
/// The folder with a folder for each topic.
const LOGS: &str = "logs";

/// A folder that this process owns.
pub(crate) struct Store {
    path: PathBuf,
    folder: Folder,
    /// What the file of commits holds.
    commits: Mutex<Vec<u8>>,
}

impl Store {
    /// Claims the folder, which is made if it is missing.
    /// `on_lost` is called when another process has taken it over.
    pub(crate) fn open(
        path: &Path,
        take_over: bool,
        on_lost: impl FnOnce() + Send + 'static,
    ) -> Result<Self> {
        let on_lost = move |error| {
            tracing::error!(%error, "the embedded broker stops");
            on_lost();
        };
        let folder = Folder::claim(&Place::Disk(path.to_owned()), FORMAT, take_over, on_lost)?;
        make_folder(&path.join(LOGS))?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            commits: Mutex::default(),
        })
    }

    pub(crate) fn claim(&self) -> Claim {
        self.folder.owned()
    }

    /// The topics that there are.
    pub(crate) fn topics(&self) -> Result<Vec<(String, i32)>> {
        let path = self.path.join(TOPICS);
        let text = read_file(&path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = |line: &str| {
            let (name, partitions) = line.split_once(' ')?;
            Some((name.to_owned(), partitions.parse().ok()?))
        };
        let topics: Option<Vec<(String, i32)>> = text.lines().map(line).collect();
        topics.ok_or_else(|| {
            let message = format!("{} is not a list of topics", path.display());
            Error::new(SqlState::DATA_CORRUPTED, message)
        })
    }

    /// From now on there are these topics.
    pub(crate) fn write_topics<'a>(
        &self,
        topics: impl Iterator<Item = (&'a String, i32)>,
    ) -> Result<()> {
        self.folder.check()?;
        let lines: String = topics.map(|(name, n)| format!("{name} {n}\n")).collect();
        write_file(&self.path.join(TOPICS), lines.as_bytes())
    }

    /// Where the batches of a partition are.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> PathBuf {
        self.logs(topic).join(partition.to_string())
    }

    /// Removes the batches of a topic that is not one any more.
    pub(crate) fn remove(&self, topic: &str) {
        let logs = self.logs(topic);
        if let Err(error) = fs::remove_dir_all(&logs)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, topic, "batches of a deleted topic stay on disk");
        }
    }

    fn logs(&self, topic: &str) -> PathBuf {
        self.path.join(LOGS).join(topic)
    }

    /// Gives groups what they have committed before.
    pub(crate) fn read_commits(&self, groups: &mut Groups) -> Result<()> {
        let path = self.path.join(COMMITS);
        let bytes = read_file(&path)?.unwrap_or_default();
        let mut rest = Rest(&bytes);
        while !rest.0.is_empty() {
            rest.commit(groups).ok_or_else(|| {
                let message = format!("{} is not a list of commits", path.display());
                Error::new(SqlState::DATA_CORRUPTED, message)
            })?;
        }
        *self.commits.lock() = bytes;
        Ok(())
    }

    /// Writes what groups have committed, if it has changed; nobody writes older ones after it.
    pub(crate) fn write_commits(&self, commits: impl FnOnce() -> Vec<u8>) {
        let mut known = self.commits.lock();
        let commits = commits();
        if *known == commits {
            return;
        }
        let written = self.folder.check();
        let path = self.path.join(COMMITS);
        match written.and_then(|()| write_file(&path, &commits)) {
            Ok(()) => *known = commits,
            Err(error) => {
                tracing::warn!(%error, "what consumer groups have committed is not on disk")
            }
        }
    }
}

/// What groups have committed, as bytes.
pub(crate) fn commits(groups: &Groups) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, group) in groups.iter() {
        for ((topic, partition), committed) in group.offsets() {
            for text in [id, topic, &committed.metadata] {
                let length = u32::try_from(text.len()).expect("texts fit into a request");
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            out.extend_from_slice(&partition.to_le_bytes());
            out.extend_from_slice(&committed.offset.to_le_bytes());
        }
    }
    out
}

/// Bytes of [`commits`] that have not been read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn commit(&mut self, groups: &mut Groups) -> Option<()> {
        let (id, topic, metadata) = (self.text()?, self.text()?, self.text()?);
        let partition = i32::from_le_bytes(self.array()?);
        let offset = i64::from_le_bytes(self.array()?);
        let group: &mut Group = groups.restored(&id)?;
        group.commit(&topic, partition, Committed { offset, metadata });
        Some(())
    }
}
