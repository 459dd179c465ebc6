//! A transaction whose end the brokers have lost: the next writer ends it as it was ended.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use dataflow::connector::Connector as _;
use dataflow::options::{OptionEntry, Options};
use dataflow::schema::Encoding;
use dataflow::sink::{
    Delivery, RecordEncoder, Records, SinkDeclaration, SinkFactory, SinkFormat, SinkRequest,
    SinkWriter, may_pass,
};
use dataflow::{DeltaBatch, Result, SystemClock};
use futures::executor::block_on;
use kafka::KafkaConnector;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, GroupId, RequestHeader,
    ResponseHeader, TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};

use crate::scratch::Scratch;
use crate::support::{Open, PATIENCE};

/// One record a version, with the version's number.
struct Numbered(u64);

impl RecordEncoder for Numbered {
    fn encode(&mut self, _batches: &[DeltaBatch], out: &mut Records) -> Result<()> {
        self.0 += 1;
        let from = out.bytes.len();
        out.bytes.extend_from_slice(self.0.to_string().as_bytes());
        out.push(None, Some((from, out.bytes.len())), None, &[]);
        Ok(())
    }
}

fn sink(scratch: &Scratch) -> Arc<dyn SinkFactory> {
    let entries = [("topic", &scratch.topic), ("brokers", &scratch.brokers)];
    let entry = |(name, value): (&str, &String)| OptionEntry {
        name: name.to_owned(),
        value: value.clone(),
        location: None,
    };
    let mut options = Options::new(entries.into_iter().map(entry).collect()).unwrap();
    let declared = SinkDeclaration {
        schema: Arc::new(arrow::datatypes::Schema::empty()),
        format: SinkFormat::Plain,
        encoding: Encoding::Json,
        key: Vec::new(),
        updating: false,
        delivery: Some(Delivery::ExactlyOnce),
    };
    let connector = KafkaConnector::new(Arc::new(SystemClock));
    connector.sink(&mut options, &declared).unwrap()
}

/// A writer whose records have numbers from the one after `last` on.
fn writer(sink: &dyn SinkFactory, scratch: &Scratch, last: u64) -> Box<dyn SinkWriter> {
    let request = SinkRequest {
        identity: scratch.topic.clone(),
        encoder: Box::new(Numbered(last)),
    };
    sink.open(request).unwrap()
}

/// A writer that has begun, and where; a broker that has had no transactions yet needs some time.
fn begun(
    sink: &dyn SinkFactory,
    scratch: &Scratch,
    last: u64,
) -> (Box<dyn SinkWriter>, Option<u64>) {
    let begun = Instant::now();
    loop {
        let mut writer = writer(sink, scratch, last);
        match writer.begin() {
            Ok(version) => return (writer, version),
            Err(error) => assert!(may_pass(&error) && begun.elapsed() < PATIENCE, "{error}"),
        }
    }
}

/// One request by hand.
fn call<Request: Encodable + HeaderVersion, Response: Decodable + HeaderVersion>(
    brokers: &str,
    key: ApiKey,
    version: i16,
    request: &Request,
) -> Response {
    let mut bytes = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .encode(&mut bytes, Request::header_version(version))
        .unwrap();
    request.encode(&mut bytes, version).unwrap();
    let mut stream = TcpStream::connect(brokers).unwrap();
    let length = i32::try_from(bytes.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut body = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut body).unwrap();
    let mut body = Bytes::from(body);
    ResponseHeader::decode(&mut body, Response::header_version(version)).unwrap();
    Response::decode(&mut body, version).unwrap()
}

fn state(scratch: &Scratch) -> TransactionState {
    let id = TransactionalId(StrBytes::from_string(scratch.topic.clone()));
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id]);
    let answer: DescribeTransactionsResponse =
        call(&scratch.brokers, ApiKey::DescribeTransactions, 0, &request);
    answer.transaction_states[0].clone()
}

fn until(scratch: &Scratch, wanted: &str) {
    let begun = Instant::now();
    loop {
        let now = state(scratch);
        if now.transaction_state.as_str() == wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{wanted}: {now:?}");
    }
}

/// Gives the sink's group an offset of a transaction that its coordinator knows nothing of: nobody will end it.
fn leave_undecided(scratch: &Scratch, version: i64) {
    let name = StrBytes::from_string(scratch.topic.clone());
    let state = state(scratch);
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(version)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(name.clone()));
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(TopicName(name.clone()))
        .with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(name.clone()))
        .with_group_id(GroupId(name))
        .with_producer_id(state.producer_id)
        .with_producer_epoch(state.producer_epoch)
        .with_generation_id(-1)
        .with_topics(vec![topic]);
    let answer: TxnOffsetCommitResponse =
        call(&scratch.brokers, ApiKey::TxnOffsetCommit, 3, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

/// Whether brokers ask the coordinator if a transaction is its.
fn verify(scratch: &Scratch, on: bool) {
    let value = on.to_string();
    let entries = HashMap::from([("transaction.partition.verification.enable", value.as_str())]);
    let config = AlterConfig {
        specifier: ResourceSpecifier::Broker(1),
        entries,
    };
    let done = block_on(
        scratch
            .admin()
            .alter_configs([&config], &AdminOptions::new()),
    );
    done.unwrap()[0].as_ref().unwrap();
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn what_the_brokers_have_lost_the_end_of_is_ended_as_it_was() {
    let scratch = Scratch::new("undecided", 2);
    let sink = sink(&scratch);
    verify(&scratch, false);
    let (mut first, version) = begun(sink.as_ref(), &scratch, 0);
    assert_eq!(version, None);
    first.write(1, &[]).unwrap();
    first.commit(1).unwrap();
    leave_undecided(&scratch, 2);
    drop(first);
    // The last transaction was committed, and so is what is left of it.
    let (mut second, version) = begun(sink.as_ref(), &scratch, 2);
    assert_eq!(version, Some(2));
    second.write(3, &[]).unwrap();
    let uncommitted = [("properties.isolation.level", "read_uncommitted")];
    let mut careless = scratch.open(Open {
        options: &uncommitted,
        ..Open::default()
    });
    careless.until_rows(2);
    drop(second);
    until(&scratch, "CompleteAbort");
    leave_undecided(&scratch, 3);
    verify(&scratch, true);
    let (mut third, version) = begun(sink.as_ref(), &scratch, 2);
    assert_eq!(version, Some(2));
    third.write(3, &[]).unwrap();
    third.commit(3).unwrap();
    drop(third);
    assert_eq!(begun(sink.as_ref(), &scratch, 3).1, Some(3));
    let mut reading = scratch.open(Open::default());
    reading.until_at_end();
    assert_eq!(reading.sorted(), ["1", "3"]);
}
