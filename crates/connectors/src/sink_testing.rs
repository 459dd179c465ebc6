//! What the tests of all sinks need: options, rows of numbers, and an encoder of their first column.
#![allow(clippy::unwrap_used, reason = "test helpers")]

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use dataflow::connector::Connector;
use dataflow::options::{OptionEntry, Options};
use dataflow::schema::Encoding;
use dataflow::sink::{
    RecordEncoder, Records, SinkDeclaration, SinkFactory, SinkFormat, SinkRequest,
};
use dataflow::{DeltaBatch, Result};

/// The sink of some options, all of which must be read.
pub(crate) fn sink(
    connector: &dyn Connector,
    pairs: &[(&str, &str)],
    declared: &SinkDeclaration,
) -> Result<Arc<dyn SinkFactory>> {
    let entry = |(name, value): &(&str, &str)| OptionEntry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        location: None,
    };
    let mut options = Options::new(pairs.iter().map(entry).collect()).unwrap();
    let sink = connector.sink(&mut options, declared)?;
    options.finish()?;
    Ok(sink)
}

/// A sink of [`numbers`].
pub(crate) fn declared(encoding: Encoding) -> SinkDeclaration {
    SinkDeclaration {
        schema: numbers(&[]).schema(),
        format: SinkFormat::Plain,
        encoding,
        key: Vec::new(),
        updating: false,
        delivery: None,
    }
}

/// Rows of one column `n`, which are added.
pub(crate) fn numbers(values: &[i64]) -> DeltaBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    DeltaBatch::inserts(RecordBatch::try_from_iter([("n", column)]).unwrap())
}

/// For a writer of the first column.
pub(crate) fn request(identity: &str) -> SinkRequest {
    SinkRequest {
        identity: identity.to_owned(),
        encoder: Box::new(FirstColumn { preamble: None }),
    }
}

/// The first column, a number, as text.
pub(crate) struct FirstColumn {
    pub(crate) preamble: Option<Vec<u8>>,
}

impl RecordEncoder for FirstColumn {
    fn encode(&mut self, batches: &[DeltaBatch], out: &mut Records) -> Result<()> {
        for batch in batches {
            for number in batch.rows.column(0).as_primitive::<Int64Type>().values() {
                let from = out.bytes.len();
                out.bytes.extend_from_slice(number.to_string().as_bytes());
                let to = out.bytes.len();
                out.push(None, Some((from, to)), None, &[]);
            }
        }
        Ok(())
    }

    fn preamble(&self) -> Option<Vec<u8>> {
        self.preamble.clone()
    }
}
