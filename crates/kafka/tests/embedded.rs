//! Against the embedded broker: what the mock cluster does not have (offsets by time, admin calls, a port of
//! our choice).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::net::SocketAddr;

use broker::{Broker, BrokerConfig};
use dataflow::connector::Health;
use kafka::{Record, admin};
use support::{Open, PATIENCE, TOPIC, fill, open, producer};
use tokio::runtime::Runtime;

/// A broker on `listen`, living on its own runtime.
fn broker(listen: SocketAddr) -> (Runtime, Broker) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let broker = runtime
        .block_on(Broker::start(BrokerConfig {
            listen,
            ..BrokerConfig::default()
        }))
        .unwrap();
    (runtime, broker)
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn a_time_as_start_skips_what_is_older() {
    let (_runtime, broker) = broker(any_port());
    let brokers = broker.address().to_string();
    broker.create_topic(TOPIC, 3).unwrap();
    let producer = producer(&brokers);
    for (partition, timestamp, value) in [
        (0, 1_767_225_599_999, "just before"),
        (0, 1_767_225_600_000, "at"),
        (0, 1_767_225_600_001, "after"),
        (1, 1_767_225_500_000, "old"),
    ] {
        let record = Record {
            payload: Some(value.as_bytes()),
            timestamp_ms: Some(timestamp),
            partition: Some(partition),
            ..Record::default()
        };
        producer.send(&record).unwrap();
        assert_eq!(producer.flush(PATIENCE).pending, 0);
    }
    for start in ["2026-01-01T00:00:00Z", "1767225600000"] {
        let mut reading = open(
            &brokers,
            Open {
                options: &[("start", start)],
                ..Open::default()
            },
        );
        reading.until_at_end();
        assert_eq!(reading.values(), ["at", "after"]);
        assert_eq!(reading.rows[0].timestamp, 1_767_225_600_000);
        assert_eq!(
            reading.reader.partitions()[1].position,
            1,
            "all older: from the end"
        );
    }
    let flink = [
        ("scan.startup.mode", "timestamp"),
        ("scan.startup.timestamp-millis", "1767225600001"),
    ];
    let mut reading = open(
        &brokers,
        Open {
            options: &flink,
            ..Open::default()
        },
    );
    reading.until_at_end();
    assert_eq!(reading.values(), ["after"]);
}

#[test]
fn topics_are_created_and_deleted_once() {
    let (_runtime, broker) = broker(any_port());
    let brokers = broker.address().to_string();
    assert!(admin::create_topic(&brokers, TOPIC, 4).unwrap());
    assert!(
        !admin::create_topic(&brokers, TOPIC, 4).unwrap(),
        "it exists already"
    );
    let mut reading = open(&brokers, Open::default());
    reading.until_at_end();
    assert_eq!(reading.reader.partitions().len(), 4);
    drop(reading);
    assert!(admin::delete_topic(&brokers, TOPIC).unwrap());
    assert!(
        !admin::delete_topic(&brokers, TOPIC).unwrap(),
        "it is gone already"
    );
    assert_eq!(
        admin::create_topic(&brokers, "not a name", 1)
            .unwrap_err()
            .state()
            .0,
        "22023"
    );
}

#[test]
fn a_broker_that_is_started_after_the_reader_is_found() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind(any_port())
        .unwrap()
        .local_addr()
        .unwrap();
    let brokers = address.to_string();
    let mut reading = open(&brokers, Open::default());
    reading.until("a reason", |reading| {
        matches!(
            reading.reader.health(),
            Health::Connecting { reason: Some(_) }
        )
    });
    let (_runtime, broker) = broker(address);
    broker.create_topic(TOPIC, 1).unwrap();
    fill(&brokers, 0, &["first"]);
    reading.until_rows(1);
    reading.until("running", |reading| reading.is_running());
}

#[test]
fn a_topic_made_anew_by_another_broker_is_read_from_its_start() {
    let (runtime, first) = broker(any_port());
    let address = first.address();
    let brokers = address.to_string();
    first.create_topic(TOPIC, 1).unwrap();
    fill(&brokers, 0, &["a0", "a1", "a2"]);
    let mut reading = open(&brokers, Open::default());
    reading.until_at_end();
    runtime.block_on(first.shutdown());
    drop(runtime);
    reading.until("retrying", |reading| {
        matches!(reading.reader.health(), Health::Retrying { .. })
    });
    let (_runtime, second) = broker(address);
    second.create_topic(TOPIC, 1).unwrap();
    fill(&brokers, 0, &["b0"]);
    reading.until_rows(4);
    assert_eq!(reading.values(), ["a0", "a1", "a2", "b0"]);
    reading.until("the new position", |reading| {
        reading.reader.partitions()[0].position == 1
    });
}
