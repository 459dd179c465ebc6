//! Files of lines: each line that is not blank is a record, and its number the offset.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use dataflow::connector::PollLimits;
use dataflow::{Result, Slab};

use super::{Contents, Found, no_access};

/// Most bytes of a line that are handed over: more than any format takes, so that a longer line is a bad record.
pub(super) const MAX_LINE: usize = 8 << 20;
/// What some programs begin a file in UTF-8 with.
const MARK: &[u8] = "\u{feff}".as_bytes();
/// Bytes that are read at a time.
const BUFFER: usize = 1 << 18;

/// The lines of one file. It is open only while a slab is filled from it, so any number of files may take turns.
pub(super) struct Lines {
    file: Found,
    /// Bytes read.
    read: u64,
    /// Lines read.
    lines: i64,
    /// The next line that is not blank is one of names.
    names_next: bool,
    names: Option<Arc<[u8]>>,
}

impl Lines {
    /// The lines of a file, of which the first may be one of names.
    pub(super) fn new(file: Found, has_names: bool) -> Self {
        Self {
            file,
            read: 0,
            lines: 0,
            names_next: has_names,
            names: None,
        }
    }

    /// Fills `slab` with the next lines; those before line `from` are passed over, and blank ones have a number and no
    /// record.
    fn read(&mut self, slab: &mut Slab, from: i64, limits: PollLimits) -> std::io::Result<()> {
        let mut file = File::open(&self.file.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut reader = BufReader::with_capacity(BUFFER, file.take(self.file.length - self.read));
        let mut line = Vec::new();
        while slab.len() < limits.max_records && slab.data.len() < limits.max_bytes {
            line.clear();
            let read = read_line(&mut reader, &mut line)?;
            if read == 0 {
                // Also when the file has become shorter meanwhile.
                self.read = self.file.length;
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
                slab.push(Some(&line), self.lines, self.file.modified);
            }
            self.lines += 1;
        }
        slab.names = self.names.clone();
        Ok(())
    }
}

impl Contents for Lines {
    fn fill(&mut self, slab: &mut Slab, from: i64, limits: PollLimits) -> Result<()> {
        let read = self.read(slab, from, limits);
        read.map_err(|error| no_access(&self.file.path, &error))
    }

    fn passed(&self) -> i64 {
        self.lines
    }

    fn is_read(&self) -> bool {
        self.read >= self.file.length
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
