//! What a sink connector is to the database: a factory of writers, and a writer that takes the changes of versions.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;

use crate::batch::DeltaBatch;
use crate::error::{Error, Result};
use crate::schema::Encoding;
use crate::time::Micros;

/// What is promised of the rows that a sink has written, when clickmill or its target ends at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// None is missing; the newest may be there twice.
    AtLeastOnce,
    /// Each is there once.
    ExactlyOnce,
}

impl Delivery {
    /// As it is written in `delivery = '…'`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at_least_once",
            Self::ExactlyOnce => "exactly_once",
        }
    }
}

/// How a sink's rows are to be understood: `FORMAT …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFormat {
    /// Every row is an event.
    Plain,
    /// The newest row of a key counts; a key without one is deleted.
    Upsert,
}

impl SinkFormat {
    /// Its name behind FORMAT.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Upsert => "UPSERT",
        }
    }
}

/// A sink as its statement declares it, for the connector to look at.
#[derive(Clone, Debug)]
pub struct SinkDeclaration {
    /// Its columns.
    pub schema: SchemaRef,
    /// `FORMAT …`.
    pub format: SinkFormat,
    /// `ENCODE …`.
    pub encoding: Encoding,
    /// The columns of its key, by index.
    pub key: Vec<usize>,
    /// Rows are taken back, and not only added.
    pub updating: bool,
    /// What `delivery = '…'` asks for, if it is given.
    pub delivery: Option<Delivery>,
}

/// Parts of records besides their values that a connector hands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkParts {
    /// Keys.
    pub keys: bool,
    /// Keys as bytes, so that it matters how they are written; and event times and headers.
    pub records: bool,
    /// Whether a row comes or goes.
    pub signs: bool,
    /// Columns as they are, and no records.
    pub columns: bool,
}

/// Opens the writers of one declared sink.
pub trait SinkFactory: Send + Sync + Debug {
    /// Where the rows go, for status rows: a topic, a folder, a table.
    fn target(&self) -> String;

    /// What is promised.
    fn delivery(&self) -> Delivery;

    /// Whether the target goes on knowing which versions it has: when it knows less than was once committed, it has lost rows.
    fn remembers(&self) -> bool {
        true
    }

    /// Makes a writer. Must not block: connecting is a matter of [`SinkWriter::begin`].
    fn open(&self, request: SinkRequest) -> Result<Box<dyn SinkWriter>>;
}

/// For whom a writer writes.
pub struct SinkRequest {
    /// Names the sink and the state that it belongs to among all that write to a target; letters, digits, `-`, `_` and `.`.
    pub identity: String,
    /// Rows as records.
    pub encoder: Box<dyn RecordEncoder>,
}

/// Writes the rows of one sink, version by version. Used from one thread, which may wait for a bounded time.
///
/// Errors are of two kinds (see [`may_pass`]): after one that may pass the writer is dropped, and another is opened after a while.
pub trait SinkWriter: Send {
    /// Makes what an earlier writer of the same identity has begun and not committed as if it had never been, keeps that
    /// writer from ever committing it, and gives the version up to which everything is in the target, if the target knows.
    fn begin(&mut self) -> Result<Option<u64>>;

    /// Takes changes of a version, which is not below any before; of `FORMAT UPSERT` all of the version.
    fn write(&mut self, version: u64, batches: &[DeltaBatch]) -> Result<()>;

    /// Makes lasting, at once or not at all where the delivery is exactly once, what was written: everything up to `version`.
    fn commit(&mut self, version: u64) -> Result<()>;

    /// Whether what was written is worth a commit now; asked at every turn while something is written and not committed.
    fn is_due(&self, _written_for: Duration) -> bool {
        true
    }
}

/// Whether trouble may pass by itself: everything about connections and resources, and nothing about what was asked for.
pub fn may_pass(error: &Error) -> bool {
    let state = error.state().0;
    ["08", "53", "57", "58", "40"]
        .iter()
        .any(|class| state.starts_with(class))
}

/// Turns rows into records.
pub trait RecordEncoder: Send {
    /// Appends the records of the changes of one version.
    ///
    /// # Errors
    /// `22023` and the like for values that the encoding cannot hold.
    fn encode(&mut self, batches: &[DeltaBatch], out: &mut Records) -> Result<()>;

    /// What stands before the first record of a file, such as a line of names.
    fn preamble(&self) -> Option<Vec<u8>> {
        None
    }
}

/// Records in one buffer of bytes, with their places beside it.
#[derive(Debug, Default)]
pub struct Records {
    /// Keys, values and headers, one after the other.
    pub bytes: Vec<u8>,
    /// Names of the headers that every record has.
    pub headers: Arc<[String]>,
    records: Vec<Places>,
    header_values: Vec<Option<(usize, usize)>>,
}

#[derive(Debug)]
struct Places {
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
    time: Option<Micros>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` deletes the key.
    pub value: Option<&'a [u8]>,
    /// Its event time.
    pub time: Option<Micros>,
    /// Its headers: name and value.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl Records {
    /// Forgets all records.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.header_values.clear();
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Adds a record whose parts lie in `bytes`, from and to; `headers` has a value for each of the names.
    pub fn push(
        &mut self,
        key: Option<(usize, usize)>,
        value: Option<(usize, usize)>,
        time: Option<Micros>,
        headers: &[Option<(usize, usize)>],
    ) {
        debug_assert_eq!(headers.len(), self.headers.len());
        self.records.push(Places { key, value, time });
        self.header_values.extend_from_slice(headers);
    }

    /// The records in their order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let part = |place: Option<(usize, usize)>| place.map(|(from, to)| &self.bytes[from..to]);
        let each = self.headers.len();
        self.records.iter().enumerate().map(move |(at, places)| {
            let values = &self.header_values[at * each..(at + 1) * each];
            let names = self.headers.iter().map(String::as_str);
            Record {
                key: part(places.key),
                value: part(places.value),
                time: places.time,
                headers: names.zip(values.iter().map(|v| part(*v))).collect(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_full_disk_has_a_state_of_its_own_and_all_may_pass() {
        for (kind, state) in [
            (ErrorKind::StorageFull, "53100"),
            (ErrorKind::QuotaExceeded, "53100"),
            (ErrorKind::PermissionDenied, "58030"),
        ] {
            let error = Error::io("write", "/data/x", &io::Error::from(kind));
            assert_eq!(error.state().0, state);
            assert!(error.message().starts_with("cannot write /data/x: "));
            assert!(may_pass(&error));
        }
    }
}
