//! A sink into one topic: at least once, or exactly once by transactions that hold the rows and how far they are.

mod coordinator;
mod transactions;
mod writer;

use std::fmt;
use std::sync::Arc;

use dataflow::options::{Options, bad_value};
use dataflow::sink::{Delivery, SinkDeclaration, SinkFactory, SinkFormat, SinkRequest, SinkWriter};
use dataflow::{Error, Result, SqlState};
use parking_lot::Mutex;
use rdkafka::ClientConfig;

use crate::properties;
use crate::settings::take_brokers;
use coordinator::Last;
use transactions::Transactional;
use writer::AtLeastOnce;

/// Properties that the writer relies on.
const OWNED: [(&str, &str); 8] = [
    ("transactional.id", "clickmill names it after the sink"),
    (
        "enable.idempotence",
        "a sink's producer is always idempotent",
    ),
    ("acks", "a row is written when all replicas have it"),
    (
        "request.required.acks",
        "a row is written when all replicas have it",
    ),
    (
        "message.timeout.ms",
        "records are on their way for 30 seconds at most",
    ),
    (
        "delivery.timeout.ms",
        "records are on their way for 30 seconds at most",
    ),
    (
        "delivery.report.only.error",
        "clickmill counts reports itself",
    ),
    ("group.id", "a sink reads nothing"),
];

/// A sink as it was declared.
#[derive(Clone)]
pub(crate) struct KafkaSink {
    pub(super) brokers: String,
    pub(super) topic: String,
    pub(super) config: ClientConfig,
    delivery: Delivery,
    /// A topic that is missing is made with so many partitions.
    pub(super) partitions: Option<i32>,
    /// The newest record of each key counts.
    pub(super) is_upsert: bool,
    /// The last transaction of an earlier writer, as long as it may matter how it ended.
    last: Arc<Mutex<Option<Last>>>,
}

impl KafkaSink {
    /// Takes the connector's own options.
    pub(crate) fn take(options: &mut Options, declared: &SinkDeclaration) -> Result<Self> {
        let topic = options.require("topic", &[])?;
        let brokers = take_brokers(options)?;
        let partitions = take_partitions(options)?;
        let owned = |name: &str| {
            let name = name.strip_prefix("properties.")?;
            OWNED.iter().find(|(owned, _)| *owned == name)
        };
        if let Some((entry, (_, why))) = options
            .entries()
            .find_map(|entry| Some((entry, owned(&entry.name)?)))
        {
            let message = format!("option \"{}\" cannot be set", entry.name);
            return Err(Error::new(SqlState::INVALID_PARAMETER, message)
                .at(entry.location)
                .hint(*why));
        }
        let config = properties::take_config(options, &brokers, None)?;
        let sink = Self {
            brokers,
            topic,
            config,
            delivery: declared.delivery.unwrap_or(Delivery::AtLeastOnce),
            partitions,
            is_upsert: declared.format == SinkFormat::Upsert,
            last: Arc::default(),
        };
        // librdkafka looks at the properties when a producer is made, and asks no broker for it.
        writer::check(&sink)?;
        Ok(sink)
    }
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Properties may hold passwords.
        f.debug_struct("KafkaSink")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

impl SinkFactory for KafkaSink {
    fn target(&self) -> String {
        self.topic.clone()
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    fn open(&self, request: SinkRequest) -> Result<Box<dyn SinkWriter>> {
        Ok(match self.delivery {
            Delivery::AtLeastOnce => Box::new(AtLeastOnce::new(self, request)?),
            Delivery::ExactlyOnce => Box::new(Transactional::new(self, request)?),
        })
    }
}

fn take_partitions(options: &mut Options) -> Result<Option<i32>> {
    let Some(entry) = options.take_any("partitions", &[])? else {
        return Ok(None);
    };
    match entry.value.parse() {
        Ok(partitions) if (1..=10_000).contains(&partitions) => Ok(Some(partitions)),
        _ => Err(bad_value(&entry, "is not a whole number from 1 to 10000")),
    }
}
