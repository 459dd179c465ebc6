//! The connector `file`: the lines of a file, or of all files of a folder in the order of their names, to their ends.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use dataflow::connector::{
    Connector, Health, OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader,
};
use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::{Error, Result, Slab, SqlState};

/// Most files of one source.
const MAX_FILES: usize = 10_000;
/// Most bytes of a line that are handed over: more than any format takes, so that a longer line is a bad record.
const MAX_LINE: usize = 8 << 20;
/// What some programs begin a file in UTF-8 with.
const MARK: &[u8] = "\u{feff}".as_bytes();
/// Bytes that are read at a time.
const BUFFER: usize = 1 << 18;
/// PostgreSQL's conditions for files.
const UNDEFINED_FILE: SqlState = SqlState("58P01");
const IO_ERROR: SqlState = SqlState("58030");
/// Options of Flink's `filesystem` that clickmill knows and does not have.
const UNSUPPORTED: [&str; 2] = ["source.monitor-interval", "source.path.regex-pattern"];

/// Reads files of the machine that clickmill runs on: `WITH (connector = 'file', path = '…')`.
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
        let Some(entry) = options.take_any("path", &[])? else {
            let message = "option \"path\" is missing";
            return Err(Error::new(SqlState::INVALID_PARAMETER, message)
                .hint("add path = '/data/clicks.jsonl' to WITH (…)"));
        };
        let path = local(&entry)?;
        let has_names = options.take_bool("csv.header")?.unwrap_or(false);
        Ok(Arc::new(FileSource { path, has_names }))
    }
}

/// The path, which may be written as `file:///…`.
fn local(entry: &OptionEntry) -> Result<PathBuf> {
    let text = entry.value.strip_prefix("file://").unwrap_or(&entry.value);
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Error::unsupported(format!("files behind {scheme}://"))
            .at(entry.location)
            .hint("copy them to this machine"));
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
            return Err(Error::new(UNDEFINED_FILE, message));
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
            lanes.push(
                Lane::new(path, self.has_names)
                    .map_err(|(path, error)| no_access(&path, &error))?,
            );
        }
        Ok(Box::new(FileReader {
            lanes,
            partitions,
            next: 0,
        }))
    }

    fn topic(&self) -> String {
        self.path.display().to_string()
    }
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
        ErrorKind::NotFound => UNDEFINED_FILE,
        ErrorKind::PermissionDenied => SqlState("42501"),
        _ => IO_ERROR,
    };
    Error::new(state, format!("cannot read {}: {error}", path.display()))
}

/// One file. It is open only while a slab is filled from it, so any number of files may take turns.
struct Lane {
    path: PathBuf,
    /// Bytes that it had when reading began: what is written later is not read.
    length: u64,
    /// Bytes read.
    read: u64,
    /// Lines read.
    lines: i64,
    /// When it was changed last, in milliseconds since 1970, or -1.
    modified: i64,
    paused: bool,
    /// The next line that is not blank is one of names.
    names_next: bool,
    names: Option<Arc<[u8]>>,
}

impl Lane {
    fn new(path: PathBuf, has_names: bool) -> Result<Self, (PathBuf, std::io::Error)> {
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => return Err((path, error)),
        };
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| i64::try_from(since.as_millis()).ok());
        Ok(Self {
            path,
            length: metadata.len(),
            read: 0,
            lines: 0,
            modified: modified.unwrap_or(-1),
            paused: false,
            names_next: has_names,
            names: None,
        })
    }

    /// Fills `slab` with the next lines; those before line `from` are passed over, and blank ones have a number and no
    /// record.
    fn fill(&mut self, slab: &mut Slab, from: i64, limits: PollLimits) -> std::io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::with_capacity(BUFFER, file.take(self.length - self.read));
        let mut line = Vec::new();
        while slab.len() < limits.max_records && slab.data.len() < limits.max_bytes {
            line.clear();
            let read = read_line(&mut reader, &mut line)?;
            if read == 0 {
                // Also when the file has become shorter meanwhile.
                self.read = self.length;
                break;
            }
            if self.read == 0 && line.starts_with(MARK) {
                line.drain(..MARK.len());
            }
            self.read += read;
            let blank = line.iter().all(u8::is_ascii_whitespace);
            if self.names_next && !blank {
                self.names = Some(line.as_slice().into());
                self.names_next = false;
            } else if self.lines >= from && !blank {
                slab.push(Some(&line), self.lines, self.modified);
            }
            self.lines += 1;
        }
        slab.names = self.names.clone();
        Ok(())
    }

    fn is_read(&self) -> bool {
        self.read >= self.length
    }
}

/// Appends the next line to `line` without its end, at most [`MAX_LINE`] bytes of it, and says how many bytes it has in
/// the file with its end; 0 at the end of the file.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<u64> {
    let mut total = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = MAX_LINE.saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        total += used as u64;
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(total)
}

struct FileReader {
    /// Beside `partitions`.
    lanes: Vec<Lane>,
    partitions: Vec<Partition>,
    /// The file that is looked at first in the next poll.
    next: usize,
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
            let filled = lane.fill(slab, partition.position, limits);
            filled.map_err(|error| no_access(&lane.path, &error))?;
            partition.position = partition.position.max(lane.lines);
            if lane.is_read() {
                partition.end = partition.position;
                partition.stop = Some(partition.position);
                partition.at_end = true;
            }
            if !slab.is_empty() {
                self.next = at + 1;
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
