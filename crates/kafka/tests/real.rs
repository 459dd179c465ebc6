//! Against real Apache Kafka: transactions, times, starts and stops, new partitions and topics, deleted ones. Ignored unless asked for:
//! `CLICKMILL_TEST_KAFKA=127.0.0.1:9092 cargo test -p kafka --test real -- --ignored`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "apache/bounds.rs"]
mod bounds;
#[path = "apache/gaps.rs"]
mod gaps;
#[path = "apache/scratch.rs"]
mod scratch;
mod support;
#[path = "apache/undecided.rs"]
mod undecided;

use std::time::Duration;

use futures::executor::block_on;
use kafka::admin;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::producer::Producer as _;
use scratch::Scratch;
use support::{Open, PATIENCE, reason};

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn only_committed_records_come_and_markers_count_as_read() {
    let scratch = Scratch::new("transactions", 1);
    let producer = scratch.transactional();
    let mut reading = scratch.open(Open::default());
    reading.until_at_end();
    producer.begin_transaction().unwrap();
    scratch.send(&producer, "committed");
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    scratch.send(&producer, "aborted");
    producer.abort_transaction(PATIENCE).unwrap();
    // Two records and two markers.
    reading.until("position 4", |reading| {
        reading.reader.partitions()[0].position == 4
    });
    reading.until_at_end();
    assert_eq!(reading.values(), ["committed"]);

    let bounded = Open {
        bounded: true,
        ..Open::default()
    };
    let mut bounded = scratch.open(bounded);
    bounded.until("finished", |reading| {
        reading.reader.partitions().iter().any(|p| p.finished())
    });
    assert_eq!(
        (bounded.values(), bounded.reader.partitions()[0].stop),
        (vec!["committed"], Some(4))
    );

    // An open transaction holds the end back, for readers and for bounds.
    producer.begin_transaction().unwrap();
    scratch.send(&producer, "open");
    let mut bounded = scratch.open(Open {
        bounded: true,
        ..Open::default()
    });
    bounded.until("finished", |reading| {
        reading.reader.partitions().iter().any(|p| p.finished())
    });
    assert_eq!(
        (bounded.values(), bounded.reader.partitions()[0].stop),
        (vec!["committed"], Some(4))
    );
    let uncommitted = [("properties.isolation.level", "read_uncommitted")];
    let mut uncommitted = scratch.open(Open {
        options: &uncommitted,
        ..Open::default()
    });
    uncommitted.until_rows(3);
    assert_eq!(uncommitted.values(), ["committed", "aborted", "open"]);
    assert_eq!(reading.reader.partitions()[0].end, 4);
    producer.commit_transaction(PATIENCE).unwrap();
    reading.until_rows(2);
    reading.until("position 6", |reading| {
        reading.reader.partitions()[0].position == 6
    });
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn a_time_as_start() {
    let scratch = Scratch::new("times", 2);
    scratch.fill(0, &["a", "b", "c"]);
    let mut reading = scratch.open(Open {
        options: &[("start", "1001")],
        ..Open::default()
    });
    reading.until_at_end();
    assert_eq!(reading.values(), ["b", "c"]);
    let mut later = scratch.open(Open {
        options: &[("start", "2000")],
        ..Open::default()
    });
    later.until_at_end();
    assert!(later.rows.is_empty());
    scratch.fill(0, &["d"]);
    later.until_rows(1);
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn partitions_added_later_are_read_from_their_start_also_with_latest() {
    let scratch = Scratch::new("growth", 1);
    scratch.fill(0, &["old"]);
    let options = [
        ("start", "latest"),
        ("scan.topic-partition-discovery.interval", "200 ms"),
    ];
    let mut reading = scratch.open(Open {
        options: &options,
        ..Open::default()
    });
    reading.until_at_end();
    let more = NewPartitions::new(&scratch.topic, 3);
    block_on(
        scratch
            .admin()
            .create_partitions([&more], &AdminOptions::new()),
    )
    .unwrap()[0]
        .as_ref()
        .unwrap();
    scratch.fill(2, &["new"]);
    reading.until("three partitions", |reading| {
        reading.reader.partitions().len() == 3
    });
    reading.until_at_end();
    assert_eq!(reading.values(), ["new"]);
    scratch.fill(0, &["more"]);
    reading.until_rows(2);
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn a_deleted_topic_is_waited_for_and_read_again() {
    let scratch = Scratch::new("deleted", 1);
    scratch.fill(0, &["a", "b"]);
    let mut reading = scratch.open(Open::default());
    reading.until_at_end();
    assert!(admin::delete_topic(&scratch.brokers, &scratch.topic).unwrap());
    reading.until("a reason", |reading| {
        reason(&reading.reader.health()).is_some()
    });
    assert!(admin::create_topic(&scratch.brokers, &scratch.topic, 1).unwrap());
    scratch.fill(0, &["c"]);
    reading.until_rows(3);
    assert_eq!(reading.values(), ["a", "b", "c"]);
    reading.until("running", |reading| reading.is_running());
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn a_record_is_there_a_moment_after_it_was_sent() {
    let scratch = Scratch::new("latency", 4);
    let mut reading = scratch.open(Open::default());
    reading.until_at_end();
    let mut times = Vec::new();
    for i in 0..50 {
        let begun = std::time::Instant::now();
        scratch.fill(i % 4, &["x"]);
        let sent = begun.elapsed();
        reading.until_rows(times.len() + 1);
        times.push(begun.elapsed().saturating_sub(sent));
    }
    times.sort_unstable();
    assert!(times[25] < Duration::from_millis(100), "{times:?}");
}
