//! The connector `file`: the records of a file, or of all files of a folder in the order of their names, to their ends; and
//! files of a folder that a sink writes.

mod lines;
mod parquet;
mod sink;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use dataflow::connector::{
    Connector, Health, OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader,
};
use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::schema::{Encoding, SourceSchema};
use dataflow::sink::{SinkDeclaration, SinkFactory};
use dataflow::{Error, Result, Slab, SqlState};

use self::lines::Lines;
use self::parquet::Rows;

/// Most files of one source.
const MAX_FILES: usize = 10_000;
/// Most files that keep something while others are read.
const MAX_OPEN: usize = 64;
/// Options of Flink's `filesystem` that clickmill knows and does not have.
const UNSUPPORTED: [&str; 2] = ["source.monitor-interval", "source.path.regex-pattern"];

/// Reads and writes files of the machine that clickmill runs on: `WITH (connector = 'file', path = '…')`.
pub(crate) struct FileConnector {
    name: &'static str,
}

impl FileConnector {
    /// The connector under one of its names.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name }
    }
}

impl Connector for FileConnector {
    fn name(&self) -> &'static str {
        self.name
    }

    fn encodings(&self) -> &'static [&'static str] {
        &["JSON", "CSV", "PARQUET"]
    }

    fn source(&self, options: &mut Options) -> Result<Arc<dyn SourceFactory>> {
        if let Some(entry) = options
            .entries()
            .find(|entry| UNSUPPORTED.contains(&entry.name.as_str()))
        {
            let what = format!("option \"{}\"", entry.name);
            return Err(Error::unsupported(what)
                .at(entry.location)
                .hint("a file source ends with the files that are there when reading begins"));
        }
        let path = take_path(options, "/data/clicks.jsonl")?;
        let has_names = options.take_bool("csv.header")?.unwrap_or(false);
        Ok(Arc::new(FileSource { path, has_names }))
    }

    fn sink_encodings(&self) -> &'static [&'static str] {
        &["JSON", "CSV", "PARQUET"]
    }

    fn sink(
        &self,
        options: &mut Options,
        declared: &SinkDeclaration,
    ) -> Result<Arc<dyn SinkFactory>> {
        sink::sink(self.name, options, declared)
    }
}

/// The path, which must be given.
fn take_path(options: &mut Options, example: &str) -> Result<PathBuf> {
    let Some(entry) = options.take_any("path", &[])? else {
        let message = "option \"path\" is missing";
        return Err(Error::new(SqlState::INVALID_PARAMETER, message)
            .hint(format!("add path = '{example}' to WITH (…)")));
    };
    local(&entry)
}

/// The path, which may be written as `file:///…`.
fn local(entry: &OptionEntry) -> Result<PathBuf> {
    let text = entry.value.strip_prefix("file://").unwrap_or(&entry.value);
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Error::unsupported(format!("files behind {scheme}://"))
            .at(entry.location)
            .hint("use a path of this machine"));
    }
    if text.is_empty() || text.contains('\0') {
        return Err(bad_value(entry, "is not a path"));
    }
    Ok(PathBuf::from(text))
}

#[derive(Debug)]
struct FileSource {
    path: PathBuf,
    /// Files begin with a line of names.
    has_names: bool,
}

impl SourceFactory for FileSource {
    fn open(&self, request: OpenRequest) -> Result<Box<dyn SourceReader>> {
        let files = files(&self.path).map_err(|error| no_access(&self.path, &error))?;
        if files.is_empty() {
            let message = format!("there are no files in {}", self.path.display());
            return Err(Error::new(SqlState::UNDEFINED_FILE, message));
        }
        if files.len() > MAX_FILES {
            let message = format!("more than {MAX_FILES} files in {}", self.path.display());
            return Err(Error::new(SqlState::CONFIGURATION_LIMIT, message));
        }
        let (mut lanes, mut partitions) = (Vec::new(), Vec::new());
        for (id, path) in (0..).zip(files) {
            let topic: Arc<str> = path.display().to_string().into();
            let mut given = request.positions.iter();
            let given = given.find(|p| p.topic == topic);
            partitions.push(Partition {
                position: given.map_or(0, |p| p.offset.max(0)),
                topic,
                id,
                end: -1,
                at_end: false,
                // Its number of lines is known when all are read.
                stop: Some(i64::MAX),
                note: None,
            });
            lanes.push(Lane {
                contents: self.contents(path, &request.schema)?,
                paused: false,
            });
        }
        Ok(Box::new(FileReader {
            lanes,
            partitions,
            next: 0,
            open: VecDeque::new(),
        }))
    }

    fn topic(&self) -> String {
        self.path.display().to_string()
    }
}

impl FileSource {
    fn contents(&self, path: PathBuf, schema: &SourceSchema) -> Result<Box<dyn Contents>> {
        let metadata = std::fs::metadata(&path).map_err(|error| no_access(&path, &error))?;
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| i64::try_from(since.as_millis()).ok());
        let file = Found {
            path,
            length: metadata.len(),
            modified: modified.unwrap_or(-1),
        };
        Ok(match schema.encoding {
            Encoding::Parquet => Box::new(Rows::new(file, schema)),
            Encoding::Json | Encoding::Csv(_) => Box::new(Lines::new(file, self.has_names)),
        })
    }
}

/// A file as it was when reading began.
struct Found {
    path: PathBuf,
    /// Its bytes: what is written later is not read.
    length: u64,
    /// When it was changed last, in milliseconds since 1970, or -1.
    modified: i64,
}

/// The file, or the plain files of a folder in the order of their names, without hidden ones.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && std::fs::metadata(entry.path())?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn no_access(path: &Path, error: &std::io::Error) -> Error {
    let state = match error.kind() {
        ErrorKind::NotFound => SqlState::UNDEFINED_FILE,
        ErrorKind::PermissionDenied => SqlState("42501"),
        _ => SqlState::IO_ERROR,
    };
    Error::new(state, format!("cannot read {}: {error}", path.display()))
}

/// What a file holds, read from its beginning on.
trait Contents: Send {
    /// Fills `slab` (empty) with the next records; those before number `from` are passed over. Without any the file is read.
    fn fill(&mut self, slab: &mut Slab, from: i64, limits: PollLimits) -> Result<()>;

    /// Records passed so far.
    fn passed(&self) -> i64;

    /// Whether there are no more.
    fn is_read(&self) -> bool;

    /// Whether going on elsewhere and coming back costs little.
    fn is_apart(&self) -> bool {
        true
    }

    /// Lets go of what is kept while other files are read.
    fn close(&mut self) {}
}

/// One file.
struct Lane {
    contents: Box<dyn Contents>,
    paused: bool,
}

struct FileReader {
    /// Beside `partitions`.
    lanes: Vec<Lane>,
    partitions: Vec<Partition>,
    /// The file that is looked at first in the next poll.
    next: usize,
    /// Files that may keep something, the one read last at the end.
    open: VecDeque<usize>,
}

impl FileReader {
    /// Closes the file that has been left alone the longest, if more than [`MAX_OPEN`] are open with `at`.
    fn keep_few_open(&mut self, at: usize) {
        self.open.retain(|open| *open != at);
        self.open.push_back(at);
        if self.open.len() > MAX_OPEN
            && let Some(oldest) = self.open.pop_front()
        {
            self.lanes[oldest].contents.close();
        }
    }
}

impl SourceReader for FileReader {
    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn poll(&mut self, slab: &mut Slab, limits: PollLimits) -> Result<()> {
        slab.clear();
        let count = self.lanes.len();
        for step in 0..count {
            let at = (self.next + step) % count;
            let (lane, partition) = (&mut self.lanes[at], &mut self.partitions[at]);
            if lane.paused || partition.finished() {
                continue;
            }
            slab.partition = at;
            slab.topic = Arc::clone(&partition.topic);
            lane.contents.fill(slab, partition.position, limits)?;
            partition.position = partition.position.max(lane.contents.passed());
            if lane.contents.is_read() {
                partition.end = partition.position;
                partition.stop = Some(partition.position);
                partition.at_end = true;
            }
            if !slab.is_empty() {
                let stays = count > MAX_OPEN && !lane.contents.is_apart();
                self.next = at + usize::from(!stays);
                self.keep_few_open(at);
                break;
            }
        }
        Ok(())
    }

    fn set_paused(&mut self, partition: usize, paused: bool) {
        if let Some(lane) = self.lanes.get_mut(partition) {
            lane.paused = paused;
        }
    }

    fn commit(&mut self, _positions: &[Position]) {
        // There is no group to tell.
    }

    fn health(&self) -> Health {
        Health::Running
    }
}

#[cfg(test)]
mod tests;
