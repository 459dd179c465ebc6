//! What librdkafka cannot do about a sink's transactions: ask how the last one ended, whether partitions were never told, and
//! tell them.
//!
//! It is needed when Kafka has ended a transaction and lost the markers that say so, which happens when all brokers that
//! have a partition come back from a crash at once: "these partitions are likely deleted already and hence can be skipped".

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, DescribeProducersRequest,
    DescribeProducersResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse, ProducerId,
    RequestHeader, ResponseHeader, TopicName, TransactionalId, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Largest answer.
const LARGEST: usize = 16 << 20;
/// In [`FindCoordinatorRequest`]: the key is a transactional id.
const TRANSACTION: i8 = 1;
/// Where brokers listen unless their addresses say otherwise.
const PORT: &str = "9092";
/// The topic that holds what groups have committed.
const GROUPS: &str = "__consumer_offsets";
/// Answers of brokers that will never give another: TOPIC_, GROUP_ and CLUSTER_AUTHORIZATION_FAILED, UNSUPPORTED_VERSION,
/// INVALID_REQUEST, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, TRANSACTIONAL_ID_NOT_FOUND.
const FINAL: [i16; 7] = [29, 30, 31, 35, 42, 53, 105];
/// UNKNOWN_TOPIC_OR_PARTITION.
const NO_TOPIC: i16 = 3;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    Aborted,
}

/// The last transaction of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    /// Its producer.
    pub(super) producer: i64,
    /// The producer's epoch.
    pub(super) epoch: i16,
    /// How it ended, or will; `None` when there was none since a writer began.
    pub(super) outcome: Option<Outcome>,
    /// Its coordinator takes it for ended: partitions have been told, or never will be.
    pub(super) is_over: bool,
}

/// A partition in which a transaction is open that its coordinator takes for ended.
#[derive(Debug)]
pub(super) struct Hanging {
    leader: String,
    topic: TopicName,
    partition: i32,
    producer: ProducerId,
    producer_epoch: i16,
    coordinator_epoch: i32,
}

/// The broker that coordinates the transactions of one id.
pub(super) struct Coordinator {
    address: String,
    id: StrBytes,
}

impl Coordinator {
    /// Asks one broker after the other for it.
    pub(super) fn find(brokers: &str, id: &str) -> io::Result<Self> {
        let mut found = Err(io::Error::other("no brokers"));
        for broker in brokers.split(',') {
            found = Self::ask(&address(broker), id);
            if found.is_ok() {
                break;
            }
        }
        found
    }

    fn ask(broker: &str, id: &str) -> io::Result<Self> {
        let id = StrBytes::from_string(id.to_owned());
        let request = FindCoordinatorRequest::default()
            .with_key(id.clone())
            .with_key_type(TRANSACTION);
        let found: FindCoordinatorResponse = call(broker, ApiKey::FindCoordinator, 3, &request)?;
        check(found.error_code)?;
        let address = place(&found.host, found.port);
        Ok(Self { address, id })
    }

    /// The last transaction.
    pub(super) fn last(&self) -> io::Result<Last> {
        let ids = vec![TransactionalId(self.id.clone())];
        let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
        let key = ApiKey::DescribeTransactions;
        let found: DescribeTransactionsResponse = call(&self.address, key, 0, &request)?;
        let state = found.transaction_states.into_iter().next();
        let state = state.ok_or_else(|| io::Error::other("an answer without a state"))?;
        check(state.error_code)?;
        let (outcome, is_over) = outcome_of(&state.transaction_state);
        Ok(Last {
            producer: state.producer_id.0,
            epoch: state.producer_epoch,
            outcome,
            is_over,
        })
    }

    /// The partitions of a topic, and of what groups have committed, in which a producer has a transaction open.
    pub(super) fn hanging(&self, topic: &str, producer: i64) -> io::Result<Vec<Hanging>> {
        let mut found = Vec::new();
        for (leader, topics) in self.leaders(&[topic, GROUPS])? {
            let asked = topics.into_iter().map(|(name, partitions)| {
                TopicRequest::default()
                    .with_name(name)
                    .with_partition_indexes(partitions)
            });
            let request = DescribeProducersRequest::default().with_topics(asked.collect());
            let key = ApiKey::DescribeProducers;
            let answer: DescribeProducersResponse = call(&leader, key, 0, &request)?;
            for topic in answer.topics {
                for partition in topic.partitions {
                    check(partition.error_code)?;
                    let mut producers = partition.active_producers.into_iter();
                    let own = producers
                        .find(|p| p.producer_id.0 == producer && p.current_txn_start_offset >= 0);
                    found.extend(own.map(|own| Hanging {
                        leader: leader.clone(),
                        topic: topic.name.clone(),
                        partition: partition.partition_index,
                        producer: own.producer_id,
                        producer_epoch: i16::try_from(own.producer_epoch).unwrap_or(i16::MAX),
                        // None was ever told by a coordinator.
                        coordinator_epoch: own.coordinator_epoch.max(0),
                    }));
                }
            }
        }
        Ok(found)
    }

    /// The partitions of topics by their leaders.
    fn leaders(
        &self,
        topics: &[&str],
    ) -> io::Result<BTreeMap<String, BTreeMap<TopicName, Vec<i32>>>> {
        let topic = |name: &&str| {
            let name = TopicName(StrBytes::from_string((*name).to_owned()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(topic).collect()))
            .with_allow_auto_topic_creation(false);
        let answer: MetadataResponse = call(&self.address, ApiKey::Metadata, 9, &request)?;
        let brokers = answer.brokers.iter();
        let brokers: BTreeMap<i32, String> = brokers
            .map(|broker| (broker.node_id.0, place(&broker.host, broker.port)))
            .collect();
        let mut leaders: BTreeMap<String, BTreeMap<TopicName, Vec<i32>>> = BTreeMap::new();
        for topic in answer.topics {
            let name = topic.name.unwrap_or_default();
            // That of the groups comes with the first of them.
            if topic.error_code != NO_TOPIC || name.as_str() != GROUPS {
                check(topic.error_code)?;
            }
            for partition in topic.partitions {
                let Some(leader) = brokers.get(&partition.leader_id.0) else {
                    let message = format!("partition {} has no leader", partition.partition_index);
                    return Err(io::Error::new(ErrorKind::NotConnected, message));
                };
                let partitions = leaders.entry(leader.clone()).or_default();
                let partitions = partitions.entry(name.clone()).or_default();
                partitions.push(partition.partition_index);
            }
        }
        Ok(leaders)
    }
}

impl Hanging {
    /// Tells the partition how the transaction ended. Telling it twice does no harm.
    pub(super) fn end(&self, outcome: Outcome) -> io::Result<()> {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(self.topic.clone())
            .with_partition_indexes(vec![self.partition]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(self.producer)
            .with_producer_epoch(self.producer_epoch)
            .with_transaction_result(outcome == Outcome::Committed)
            .with_topics(vec![topic])
            .with_coordinator_epoch(self.coordinator_epoch);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let key = ApiKey::WriteTxnMarkers;
        let answer: WriteTxnMarkersResponse = call(&self.leader, key, 1, &request)?;
        let topics = answer.markers.into_iter().flat_map(|marker| marker.topics);
        let mut results = topics.flat_map(|topic| topic.partitions);
        results.try_for_each(|result| check(result.error_code))
    }
}

/// `host:port`.
fn place(host: &str, port: i32) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// `host:port` without a protocol before it.
fn address(broker: &str) -> String {
    let broker = broker.trim();
    let address = broker
        .split_once("://")
        .map_or(broker, |(_, address)| address);
    match address.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => address.to_owned(),
        _ => format!("{address}:{PORT}"),
    }
}

/// Of what is wrong, only little stays so.
fn check(code: i16) -> io::Result<()> {
    let error = |kind| {
        let message = format!("error {code} of the broker");
        Err(io::Error::new(kind, message))
    };
    match code {
        0 => Ok(()),
        code if FINAL.contains(&code) => error(ErrorKind::Unsupported),
        _ => error(ErrorKind::NotConnected),
    }
}

/// Whether an error says that nobody will ever tell.
pub(super) fn is_final(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported
}

/// What a name of Kafka's `TransactionState` says of the outcome, and whether it is over.
fn outcome_of(state: &str) -> (Option<Outcome>, bool) {
    match state {
        "PrepareCommit" => (Some(Outcome::Committed), false),
        "CompleteCommit" => (Some(Outcome::Committed), true),
        // The next writer of its id ends it.
        "Ongoing" | "PrepareAbort" | "PrepareEpochFence" => (Some(Outcome::Aborted), false),
        "CompleteAbort" => (Some(Outcome::Aborted), true),
        _ => (None, true),
    }
}

/// One request on a connection of its own.
fn call<Request: Encodable + HeaderVersion, Response: Decodable + HeaderVersion>(
    broker: &str,
    key: ApiKey,
    version: i16,
    request: &Request,
) -> io::Result<Response> {
    match send(broker, key, version, request) {
        // A broker ends the connection when it dies, and when it is asked what it does not know.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && !knows(broker, key, version)? => {
            let message = format!("the broker does not know {key:?}");
            Err(io::Error::new(ErrorKind::Unsupported, message))
        }
        answered => answered,
    }
}

/// Whether a broker has a request of a version.
fn knows(broker: &str, key: ApiKey, version: i16) -> io::Result<bool> {
    let request = ApiVersionsRequest::default();
    let answer: ApiVersionsResponse = send(broker, ApiKey::ApiVersions, 0, &request)?;
    let mut apis = answer.api_keys.iter();
    Ok(apis.any(|api| {
        api.api_key == key as i16 && (api.min_version..=api.max_version).contains(&version)
    }))
}

fn send<Request: Encodable + HeaderVersion, Response: Decodable + HeaderVersion>(
    broker: &str,
    key: ApiKey,
    version: i16,
    request: &Request,
) -> io::Result<Response> {
    let mut connected = Err(io::Error::other(format!("\"{broker}\" has no address")));
    for place in broker.to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&place, ANSWER);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(&frame(key, version, request)?)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LARGEST {
        return Err(io::Error::other("the answer is too large"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let mut body = Bytes::from(body);
    ResponseHeader::decode(&mut body, Response::header_version(version))
        .and_then(|_| Response::decode(&mut body, version))
        .map_err(io::Error::other)
}

fn frame<Request: Encodable + HeaderVersion>(
    key: ApiKey,
    version: i16,
    request: &Request,
) -> io::Result<Vec<u8>> {
    let mut bytes = BytesMut::from(&[0; 4][..]);
    RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("clickmill")))
        .encode(&mut bytes, Request::header_version(version))
        .and_then(|()| request.encode(&mut bytes, version))
        .map_err(io::Error::other)?;
    let length = i32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_is_known_before_it_is_done() {
        let committed = Some(Outcome::Committed);
        assert_eq!(outcome_of("PrepareCommit"), (committed, false));
        assert_eq!(outcome_of("CompleteCommit"), (committed, true));
        assert_eq!(outcome_of("Ongoing"), (Some(Outcome::Aborted), false));
        assert_eq!(outcome_of("CompleteAbort"), (Some(Outcome::Aborted), true));
        assert_eq!(outcome_of("Empty"), (None, true));
        assert_eq!(place("::1", 9092), "[::1]:9092");
    }

    #[test]
    fn brokers_that_do_not_answer_know_nothing() {
        assert_eq!(address(" PLAINTEXT://a:1"), "a:1");
        assert_eq!(address("a"), "a:9092");
        assert_eq!(address("[::1]"), "[::1]:9092");
        assert!(is_final(&check(105).unwrap_err()) && !is_final(&check(14).unwrap_err()));
        // Port 9 (discard) of loopback: refused at once.
        assert!(Coordinator::find("127.0.0.1:9, not an address", "x").is_err());
    }
}
