//! A file that rows are written to before it has a name that readers look at.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflow::sink::Records;
use dataflow::{DeltaBatch, Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::Kind;

/// Bytes of lines that are written at a time.
const BUFFER: usize = 1 << 18;
/// Bytes of a group of rows of Parquet, which is in memory until it is full.
const GROUP: usize = 128 << 20;

/// The rows since the last commit. Without [`Unfinished::finish`] the file is removed.
pub(super) struct Unfinished {
    hidden: Hidden,
    body: Body,
    from: u64,
}

impl Unfinished {
    /// Creates a file whose first rows are of version `from`.
    ///
    /// # Errors
    /// `58030`, also when there is one; `53100` when the disk is full.
    pub(super) fn create(
        path: PathBuf,
        from: u64,
        kind: &Kind,
        preamble: Option<&[u8]>,
    ) -> Result<Self> {
        let file =
            File::create_new(&path).map_err(|error| Error::io("create", path.display(), &error))?;
        let hidden = Hidden {
            path,
            file,
            named: false,
        };
        let body = hidden.body(kind, preamble);
        let body = body.map_err(|error| refused(&hidden.path, &error))?;
        Ok(Self { hidden, body, from })
    }

    /// The version of its first rows.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// Adds rows: their records or, of Parquet, the rows themselves.
    pub(super) fn append(&mut self, records: &Records, batches: &[DeltaBatch]) -> Result<()> {
        let appended = self.body.append(records, batches);
        appended.map_err(|error| refused(&self.hidden.path, &error))
    }

    /// How many bytes it has, about.
    pub(super) fn bytes(&self) -> u64 {
        self.body.bytes()
    }

    /// Its name in the folder.
    pub(super) fn name(&self) -> String {
        let name = self.hidden.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Writes everything to the disk.
    pub(super) fn complete(&mut self) -> Result<()> {
        let path = &self.hidden.path;
        self.body.finish().map_err(|error| refused(path, &error))?;
        let synced = self.hidden.sync();
        synced.map_err(|error| Error::io("write", path.display(), &error))
    }

    /// The file stays where it is if anything goes wrong from now on: its commit is told of.
    pub(super) fn keep(&mut self) {
        self.hidden.named = true;
    }

    /// Calls the file `name`; its commit has been told of.
    pub(super) fn finish(mut self, name: &Path) -> Result<()> {
        let renamed = self.hidden.rename(name);
        renamed.map_err(|error| Error::io("write", name.display(), &error))
    }
}

/// What went wrong while a file was written.
fn refused(path: &Path, error: &ParquetError) -> Error {
    if let ParquetError::External(cause) = error
        && let Some(cause) = cause.downcast_ref::<io::Error>()
    {
        return Error::io("write", path.display(), cause);
    }
    Error::internal(format!("cannot write {}: {error}", path.display()))
}

/// A file on the disk that is removed unless it gets a name.
struct Hidden {
    path: PathBuf,
    file: File,
    named: bool,
}

impl Hidden {
    fn body(&self, kind: &Kind, preamble: Option<&[u8]>) -> Result<Body, ParquetError> {
        let file = self.file.try_clone()?;
        match kind {
            Kind::Lines => {
                let mut lines = Lines {
                    out: BufWriter::with_capacity(BUFFER, file),
                    bytes: 0,
                };
                if let Some(preamble) = preamble {
                    lines.put(preamble.strip_suffix(b"\n").unwrap_or(preamble))?;
                }
                Ok(Body::Lines(lines))
            }
            Kind::Rows {
                schema,
                compression,
            } => {
                let properties = WriterProperties::builder()
                    .set_compression(*compression)
                    .set_max_row_group_bytes(Some(GROUP))
                    .build();
                let rows = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties))?;
                Ok(Body::Rows(Box::new(rows)))
            }
        }
    }

    /// Whether its path still leads to it, and not to nothing or to the file of a later writer.
    fn is_there(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() > 0)
    }

    /// Everything is on the disk, under a path that leads to it.
    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.is_there() {
            let message = "it was removed while it was written";
            return Err(io::Error::new(ErrorKind::NotFound, message));
        }
        Ok(())
    }

    fn rename(&mut self, name: &Path) -> io::Result<()> {
        self.named = true;
        fs::rename(&self.path, name)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.named && self.is_there() {
            // One that cannot be removed is removed by the next writer.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What is written into the file.
enum Body {
    Lines(Lines),
    Rows(Box<ArrowWriter<File>>),
}

impl Body {
    fn append(&mut self, records: &Records, batches: &[DeltaBatch]) -> Result<(), ParquetError> {
        match self {
            Self::Lines(lines) => {
                for line in records.iter().filter_map(|record| record.value) {
                    lines.put(line)?;
                }
            }
            Self::Rows(rows) => {
                for batch in batches {
                    rows.write(&batch.rows)?;
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.bytes,
            Self::Rows(rows) => (rows.bytes_written() + rows.in_progress_size()) as u64,
        }
    }

    fn finish(&mut self) -> Result<(), ParquetError> {
        match self {
            Self::Lines(lines) => lines.out.flush()?,
            Self::Rows(rows) => {
                rows.finish()?;
            }
        }
        Ok(())
    }
}

struct Lines {
    out: BufWriter<File>,
    bytes: u64,
}

impl Lines {
    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.write_all(line)?;
        self.out.write_all(b"\n")?;
        self.bytes += line.len() as u64 + 1;
        Ok(())
    }
}
