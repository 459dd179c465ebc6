//! Sinks of the connector `file`: files of a folder that are there whole, each with the versions it holds in its name.

mod place;
mod roll;
mod unfinished;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, SchemaRef};
use dataflow::options::Options;
use dataflow::schema::Encoding;
use dataflow::sink::{
    Delivery, RecordEncoder, Records, SinkDeclaration, SinkFactory, SinkFormat, SinkRequest,
    SinkWriter,
};
use dataflow::{DeltaBatch, Error, Result};
use parquet::basic::{Compression, ZstdLevel};

use self::place::Place;
use self::roll::Roll;
use self::unfinished::Unfinished;
use super::take_path;

/// How to get rows that a file can hold.
const ONCE: &str = "EMIT ON WINDOW CLOSE gives rows once";

/// The sink of `options` of the connector called `name`.
///
/// # Errors
/// `0A000` for rows that are taken back and for columns that the encoding does not hold, `22023` for wrong options.
pub(super) fn sink(
    name: &str,
    options: &mut Options,
    declared: &SinkDeclaration,
) -> Result<Arc<dyn SinkFactory>> {
    if declared.format == SinkFormat::Upsert {
        let what = format!("FORMAT UPSERT with connector \"{name}\"");
        return Err(Error::unsupported(what).hint(format!("use FORMAT PLAIN; {ONCE}")));
    }
    if declared.updating {
        let what = format!("a sink of rows that are taken back with connector \"{name}\"");
        return Err(Error::unsupported(what).hint(ONCE));
    }
    let folder = take_path(options, "/data/clicks")?;
    let roll = Roll::take(options)?;
    let (kind, extension) = match &declared.encoding {
        Encoding::Json => (Kind::Lines, "jsonl"),
        Encoding::Csv(_) => {
            // The encoder has read it, too, and gives the line of names.
            options.take_bool("csv.header")?;
            (Kind::Lines, "csv")
        }
        Encoding::Parquet => (rows(options, &declared.schema)?, "parquet"),
    };
    Ok(Arc::new(FileSink {
        folder,
        extension,
        kind,
        roll,
    }))
}

/// Rows of Parquet, by the options.
fn rows(options: &mut Options, schema: &SchemaRef) -> Result<Kind> {
    let mut fields = schema.fields().iter();
    if let Some(field) = fields.find(|field| matches!(field.data_type(), DataType::Interval(_))) {
        let what = format!("column \"{}\" of type interval in Parquet", field.name());
        return Err(Error::unsupported(what).hint("cast it to TEXT"));
    }
    let chosen = options.take_choice("parquet.compression", &["zstd", "snappy", "none"])?;
    let compression = match chosen.as_deref() {
        Some("snappy") => Compression::SNAPPY,
        Some("none") => Compression::UNCOMPRESSED,
        _ => Compression::ZSTD(ZstdLevel::default()),
    };
    Ok(Kind::Rows {
        schema: Arc::clone(schema),
        compression,
    })
}

/// What files hold.
#[derive(Clone, Debug)]
enum Kind {
    /// Records, a line each.
    Lines,
    /// Rows of Parquet.
    Rows {
        schema: SchemaRef,
        compression: Compression,
    },
}

#[derive(Debug)]
struct FileSink {
    folder: PathBuf,
    extension: &'static str,
    kind: Kind,
    roll: Roll,
}

impl SinkFactory for FileSink {
    fn target(&self) -> String {
        self.folder.display().to_string()
    }

    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    /// Files are there to be taken away.
    fn remembers(&self) -> bool {
        false
    }

    fn open(&self, request: SinkRequest) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(FileWriter {
            place: Place::new(self.folder.clone(), request.identity, self.extension),
            kind: self.kind.clone(),
            roll: self.roll,
            encoder: request.encoder,
            records: Records::default(),
            file: None,
        }))
    }
}

struct FileWriter {
    place: Place,
    kind: Kind,
    roll: Roll,
    encoder: Box<dyn RecordEncoder>,
    records: Records,
    /// What was written since the last commit.
    file: Option<Unfinished>,
}

impl FileWriter {
    /// Makes records of rows where records are written, and says whether there is anything to write.
    fn encode(&mut self, batches: &[DeltaBatch]) -> Result<bool> {
        if let Kind::Rows { .. } = self.kind {
            return Ok(batches.iter().any(|batch| !batch.is_empty()));
        }
        self.records.clear();
        self.encoder.encode(batches, &mut self.records)?;
        Ok(!self.records.is_empty())
    }

    fn create(&self, version: u64) -> Result<Unfinished> {
        let preamble = self.encoder.preamble();
        let path = self.place.unfinished(version);
        Unfinished::create(path, version, &self.kind, preamble.as_deref())
    }
}

impl SinkWriter for FileWriter {
    fn begin(&mut self) -> Result<Option<u64>> {
        self.file = None;
        self.place.begin()
    }

    fn write(&mut self, version: u64, batches: &[DeltaBatch]) -> Result<()> {
        if !self.encode(batches)? {
            return Ok(());
        }
        // One that cannot be written is dropped, and takes no room on the disk.
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.create(version)?,
        };
        file.append(&self.records, batches)?;
        self.file = Some(file);
        Ok(())
    }

    fn commit(&mut self, version: u64) -> Result<()> {
        match self.file.take() {
            Some(file) => self.place.finish(file, version),
            None => Ok(()),
        }
    }

    fn is_due(&self, written_for: Duration) -> bool {
        let bytes = self.file.as_ref().map_or(0, Unfinished::bytes);
        self.roll.is_due(bytes, written_for)
    }
}

#[cfg(test)]
mod tests;
