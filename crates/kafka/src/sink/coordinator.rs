//! What librdkafka cannot do with the coordinator of a sink's transactions: ask how the last one ended, and have the next one
//! end what that one has left open.
//!
//! It is needed when Kafka has ended a transaction and lost the markers that say so, which happens when all brokers that
//! have a partition come back from a crash at once: "these partitions are likely deleted already and hence can be skipped".

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey, DescribeTransactionsRequest,
    DescribeTransactionsResponse, FindCoordinatorRequest, FindCoordinatorResponse, RequestHeader,
    ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Largest answer.
const LARGEST: usize = 1 << 20;
/// In [`FindCoordinatorRequest`]: the key is a transactional id.
const TRANSACTION: i8 = 1;
/// Where brokers listen unless their addresses say otherwise.
const PORT: &str = "9092";
/// Answers of brokers that will give another soon: COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
const SOON: [i16; 3] = [14, 15, 16];

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    Aborted,
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
        let address = match found.host.contains(':') {
            true => format!("[{}]:{}", found.host, found.port),
            false => format!("{}:{}", found.host, found.port),
        };
        Ok(Self { address, id })
    }

    fn state(&self) -> io::Result<TransactionState> {
        let ids = vec![TransactionalId(self.id.clone())];
        let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
        let key = ApiKey::DescribeTransactions;
        let found: DescribeTransactionsResponse = call(&self.address, key, 0, &request)?;
        let state = found.transaction_states.into_iter().next();
        let state = state.ok_or_else(|| io::Error::other("an answer without a state"))?;
        check(state.error_code)?;
        Ok(state)
    }

    /// How the last transaction ended, or will when it is open; `None` when there was none since a writer began.
    pub(super) fn last_outcome(&self) -> io::Result<Option<Outcome>> {
        Ok(outcome_of(&self.state()?.transaction_state))
    }

    /// Has the open transaction end what was left open in partitions of a topic.
    pub(super) fn include(&self, topic: &str, partitions: i32) -> io::Result<()> {
        let state = self.state()?;
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions((0..partitions).collect());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(self.id.clone()))
            .with_v3_and_below_producer_id(state.producer_id)
            .with_v3_and_below_producer_epoch(state.producer_epoch)
            .with_v3_and_below_topics(vec![topic]);
        let key = ApiKey::AddPartitionsToTxn;
        let answer: AddPartitionsToTxnResponse = call(&self.address, key, 3, &request)?;
        let topics = answer.results_by_topic_v3_and_below.into_iter();
        let mut results = topics.flat_map(|topic| topic.results_by_partition);
        results.try_for_each(|result| check(result.partition_error_code))
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

/// An answer that will be another one soon is like none; others are of brokers that do not know.
fn check(code: i16) -> io::Result<()> {
    let error = |kind| {
        let message = format!("error {code} of the broker");
        Err(io::Error::new(kind, message))
    };
    match code {
        0 => Ok(()),
        code if SOON.contains(&code) => error(ErrorKind::NotConnected),
        _ => error(ErrorKind::Unsupported),
    }
}

/// Whether an error says that nobody will ever tell: a broker ends a connection on which it is asked what it does not know.
pub(super) fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::UnexpectedEof
    )
}

/// The outcome behind a name of Kafka's `TransactionState`.
fn outcome_of(state: &str) -> Option<Outcome> {
    match state {
        "PrepareCommit" | "CompleteCommit" => Some(Outcome::Committed),
        "Ongoing" | "PrepareAbort" | "CompleteAbort" | "PrepareEpochFence" => {
            Some(Outcome::Aborted)
        }
        _ => None,
    }
}

/// One request on a connection of its own.
fn call<Request: Encodable + HeaderVersion, Response: Decodable + HeaderVersion>(
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
        assert_eq!(outcome_of("PrepareCommit"), Some(Outcome::Committed));
        assert_eq!(outcome_of("CompleteCommit"), Some(Outcome::Committed));
        // The next writer of its id ends it.
        assert_eq!(outcome_of("Ongoing"), Some(Outcome::Aborted));
        assert_eq!(outcome_of("CompleteAbort"), Some(Outcome::Aborted));
        assert_eq!(outcome_of("Empty"), None);
        assert_eq!(outcome_of("Dead"), None);
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
