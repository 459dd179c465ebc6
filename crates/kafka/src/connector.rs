//! The connector `kafka`.

use std::fmt;
use std::sync::Arc;

use dataflow::connector::{Connector, OpenRequest, SourceFactory, SourceReader, SourceWriter};
use dataflow::options::Options;
use dataflow::sink::{SinkDeclaration, SinkFactory, SinkParts};
use dataflow::{Clock, Result};

use crate::link;
use crate::reader::KafkaReader;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::sink::KafkaSink;
use crate::writer::KafkaWriter;

/// Reads topics of Kafka: `WITH (connector = 'kafka', topic = '…', brokers = '…')`.
pub struct KafkaConnector {
    clock: Arc<dyn Clock>,
}

impl KafkaConnector {
    /// A connector whose readers tell by `clock` since when they have been retrying, and how long ago a start is that is
    /// relative to now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl Connector for KafkaConnector {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn sink_encodings(&self) -> &'static [&'static str] {
        &["JSON", "CSV"]
    }

    fn sink_parts(&self) -> SinkParts {
        SinkParts {
            keys: true,
            records: true,
            ..SinkParts::default()
        }
    }

    fn sink(
        &self,
        options: &mut Options,
        declared: &SinkDeclaration,
    ) -> Result<Arc<dyn SinkFactory>> {
        Ok(Arc::new(KafkaSink::take(options, declared)?))
    }

    fn source(&self, options: &mut Options) -> Result<Arc<dyn SourceFactory>> {
        let settings = Settings::take(options)?;
        Ok(Arc::new(KafkaSource {
            settings,
            clock: Arc::clone(&self.clock),
        }))
    }
}

struct KafkaSource {
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl SourceFactory for KafkaSource {
    fn open(&self, request: OpenRequest) -> Result<Box<dyn SourceReader>> {
        let (topics, group) = (self.topic(), &self.settings.group);
        let shared = Arc::new(Shared::new(
            &topics,
            request.waker.clone(),
            Arc::clone(&self.clock),
        ));
        // A bounded read is somebody's question, not the source's progress.
        let commits = group.is_some() && !request.bounded;
        let reader = KafkaReader::new(Arc::clone(&shared), request.wants, commits);
        link::spawn(self.settings.clone(), request, shared, self.clock.now())?;
        Ok(Box::new(reader))
    }

    fn topic(&self) -> String {
        self.settings.topics.to_string()
    }

    fn writer(&self) -> Result<Option<Box<dyn SourceWriter>>> {
        Ok(Some(Box::new(KafkaWriter::new(&self.settings)?)))
    }
}
