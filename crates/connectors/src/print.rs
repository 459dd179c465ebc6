//! The connector `print`: rows on the standard output, a line each.

use std::io::Write;
use std::sync::Arc;

use dataflow::connector::Connector;
use dataflow::options::Options;
use dataflow::sink::{
    Delivery, RecordEncoder, Records, SinkDeclaration, SinkFactory, SinkFormat, SinkParts,
    SinkRequest, SinkWriter,
};
use dataflow::{DeltaBatch, Error, Result};

/// What messages and status rows call the place.
const TARGET: &str = "standard output";

/// Prints rows: `WITH (connector = 'print')`.
pub(crate) struct PrintConnector;

impl Connector for PrintConnector {
    fn name(&self) -> &'static str {
        "print"
    }

    fn sink_encodings(&self) -> &'static [&'static str] {
        &["JSON", "CSV"]
    }

    fn sink_parts(&self) -> SinkParts {
        SinkParts {
            signs: true,
            ..SinkParts::default()
        }
    }

    fn sink(
        &self,
        options: &mut Options,
        declared: &SinkDeclaration,
    ) -> Result<Arc<dyn SinkFactory>> {
        if declared.format == SinkFormat::Upsert {
            return Err(Error::unsupported("FORMAT UPSERT with connector \"print\"")
                .hint("use FORMAT PLAIN: rows that are taken back have a sign"));
        }
        let prefix = options.take_any("prefix", &["print-identifier"])?;
        Ok(Arc::new(PrintSink {
            prefix: prefix.map(|entry| entry.value).unwrap_or_default(),
            updating: declared.updating,
        }))
    }
}

#[derive(Debug)]
struct PrintSink {
    /// Stands before each line.
    prefix: String,
    /// Lines say whether their row is added or taken back.
    updating: bool,
}

impl PrintSink {
    fn writer(&self, request: SinkRequest, out: Box<dyn Write + Send>) -> PrintWriter {
        PrintWriter {
            out,
            encoder: request.encoder,
            prefix: self.prefix.clone(),
            updating: self.updating,
            records: Records::default(),
            lines: Vec::new(),
        }
    }
}

impl SinkFactory for PrintSink {
    fn target(&self) -> String {
        TARGET.to_owned()
    }

    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn open(&self, request: SinkRequest) -> Result<Box<dyn SinkWriter>> {
        let out = Box::new(std::io::stdout());
        Ok(Box::new(self.writer(request, out)))
    }
}

struct PrintWriter {
    out: Box<dyn Write + Send>,
    encoder: Box<dyn RecordEncoder>,
    prefix: String,
    updating: bool,
    records: Records,
    /// Those of one version, written at once so that other sinks do not write between them.
    lines: Vec<u8>,
}

impl PrintWriter {
    /// Adds the records of `batches` as lines that begin with the prefix and `sign`.
    fn add(&mut self, sign: &str, batches: &[DeltaBatch]) -> Result<()> {
        self.records.clear();
        self.encoder.encode(batches, &mut self.records)?;
        for value in self.records.iter().filter_map(|record| record.value) {
            self.lines.extend_from_slice(self.prefix.as_bytes());
            self.lines.extend_from_slice(sign.as_bytes());
            self.lines.extend_from_slice(value);
            self.lines.push(b'\n');
        }
        Ok(())
    }

    /// Adds the rows one by one, each with its sign.
    fn add_signed(&mut self, batch: &DeltaBatch) -> Result<()> {
        for row in 0..batch.len() {
            let sign = if batch.weights.get(row) < 0 {
                "- "
            } else {
                "+ "
            };
            let one = DeltaBatch::inserts(batch.rows.slice(row, 1));
            self.add(sign, &[one])?;
        }
        Ok(())
    }
}

impl SinkWriter for PrintWriter {
    fn begin(&mut self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn write(&mut self, _version: u64, batches: &[DeltaBatch]) -> Result<()> {
        self.lines.clear();
        if self.updating {
            for batch in batches {
                self.add_signed(batch)?;
            }
        } else {
            self.add("", batches)?;
        }
        let written = self.out.write_all(&self.lines);
        written.map_err(|error| Error::io("write to", TARGET, &error))
    }

    fn commit(&mut self, _version: u64) -> Result<()> {
        let flushed = self.out.flush();
        flushed.map_err(|error| Error::io("write to", TARGET, &error))
    }
}

#[cfg(test)]
mod tests;
