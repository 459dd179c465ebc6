//! A running broker, librdkafka clients for it, and a client that writes frames by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use broker::{Broker, BrokerConfig};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A broker on a runtime of its own.
pub(crate) struct Running {
    runtime: Runtime,
    broker: Option<Broker>,
}

impl Running {
    pub(crate) fn new() -> Self {
        Self::with(BrokerConfig::default())
    }

    pub(crate) fn with(config: BrokerConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let broker = runtime.block_on(Broker::start(config)).unwrap();
        Self {
            runtime,
            broker: Some(broker),
        }
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.broker().address()
    }

    pub(crate) fn topic(&self, name: &str, partitions: i32) {
        self.broker().create_topic(name, partitions).unwrap();
    }

    pub(crate) fn client(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address().to_string());
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer<Deliveries> {
        self.client(settings)
            .create_with_context(Deliveries::default())
            .unwrap()
    }

    /// A consumer without a group's partitions, at `offset` of one partition.
    pub(crate) fn reader(&self, topic: &str, partition: i32, offset: Offset) -> BaseConsumer {
        self.reader_with(topic, partition, offset, &[])
    }

    pub(crate) fn reader_with(
        &self,
        topic: &str,
        partition: i32,
        offset: Offset,
        settings: &[(&str, &str)],
    ) -> BaseConsumer {
        let mut config = self.client(&[("group.id", "reader"), ("enable.auto.commit", "false")]);
        config
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.wait.max.ms", "20");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let consumer: BaseConsumer = config.create().unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, partition, offset)
            .unwrap();
        consumer.assign(&assignment).unwrap();
        consumer
    }

    /// All messages of a partition from `offset` to its end.
    pub(crate) fn read(&self, topic: &str, partition: i32, offset: Offset) -> Vec<OwnedMessage> {
        let reader = self.reader(topic, partition, offset);
        let mut messages = Vec::new();
        while let Some(message) = next(&reader) {
            messages.push(message.detach());
        }
        messages
    }

    /// First offset and next offset of a partition.
    pub(crate) fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        let consumer: BaseConsumer = self.client(&[]).create().unwrap();
        consumer
            .fetch_watermarks(topic, partition, PATIENCE)
            .unwrap()
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::connect(self.address())
    }

    pub(crate) fn stop(mut self) {
        let broker = self.broker.take().unwrap();
        self.runtime.block_on(broker.shutdown());
    }
}

/// The next message, or `None` at the end of the partition.
pub(crate) fn next(consumer: &BaseConsumer) -> Option<BorrowedMessage<'_>> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => return Some(message),
            Some(Err(KafkaError::PartitionEOF(_))) => return None,
            Some(Err(error)) => panic!("{error}"),
            // A rebalance was an event too.
            None => {}
        }
    }
    panic!("nothing came");
}

/// What became of the messages sent: offsets or errors, in the order of the reports.
#[derive(Default)]
pub(crate) struct Deliveries(Mutex<Vec<Result<i64, KafkaError>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let result = result
            .as_ref()
            .map(Message::offset)
            .map_err(|(error, _)| error.clone());
        self.0.lock().unwrap().push(result);
    }
}

pub(crate) fn send(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    partition: i32,
    at: i64,
    payload: &str,
) {
    let mut record = BaseRecord::<str, str>::to(topic)
        .partition(partition)
        .payload(payload)
        .timestamp(at);
    while let Err((error, unsent)) = producer.send(record) {
        assert_eq!(
            error.rdkafka_error_code(),
            Some(rdkafka::types::RDKafkaErrorCode::QueueFull)
        );
        producer.poll(Duration::from_millis(1));
        record = unsent;
    }
}

/// Waits for all reports, and hands them over.
pub(crate) fn delivered(producer: &BaseProducer<Deliveries>) -> Vec<Result<i64, KafkaError>> {
    producer.flush(PATIENCE * 2).unwrap();
    std::mem::take(&mut producer.context().0.lock().unwrap())
}

pub(crate) fn produce(
    running: &Running,
    topic: &str,
    partition: i32,
    messages: impl Iterator<Item = (i64, String)>,
) {
    let producer = running.producer(&[("linger.ms", "5")]);
    for (at, payload) in messages {
        send(&producer, topic, partition, at, &payload);
    }
    for result in delivered(&producer) {
        result.unwrap();
    }
}

pub(crate) fn payload(message: &impl Message) -> String {
    String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap()
}

/// Tries until it is true.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "never so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A connection that sends what it is told.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    correlation_id: i32,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            correlation_id: 0,
        }
    }

    pub(crate) fn send(&mut self, key: ApiKey, version: i16, request: &RequestKind) {
        self.correlation_id += 1;
        self.stream
            .write_all(&frame(key, version, self.correlation_id, request))
            .unwrap();
    }

    pub(crate) fn receive(&mut self, key: ApiKey, version: i16) -> ResponseKind {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        let mut body = Bytes::from(body);
        let header =
            ResponseHeader::decode(&mut body, key.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = ResponseKind::decode(key, &mut body, version).unwrap();
        assert!(
            body.is_empty(),
            "{key:?} {version}: {} bytes too many",
            body.len()
        );
        response
    }

    pub(crate) fn call(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &RequestKind,
    ) -> ResponseKind {
        self.send(key, version, request);
        self.receive(key, version)
    }

    /// Sends bytes and says whether the broker closed the connection instead of answering.
    pub(crate) fn is_closed_after(mut self, bytes: &[u8]) -> bool {
        let _ = self.stream.write_all(bytes);
        matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }
}

pub(crate) fn frame(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    request: &RequestKind,
) -> Vec<u8> {
    let mut bytes = BytesMut::from(&[0; 4][..]);
    RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("by hand")))
        .encode(&mut bytes, key.request_header_version(version))
        .unwrap();
    request
        .encode(&mut bytes, version)
        .unwrap_or_else(|error| panic!("{key:?} {version}: {error}"));
    let length = i32::try_from(bytes.len() - 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.to_vec()
}
