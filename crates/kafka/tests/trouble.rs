//! Brokers that are away, topics that are missing, records that are gone: visible in the health, never an end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use dataflow::connector::{Gap, GapReason, Health};
use kafka::{Producer, Record};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use support::{Open, PATIENCE, TOPIC, cluster, fill, open, reason};

#[test]
fn a_reader_opened_before_the_broker_is_up_connects_when_it_is() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["early"]);
    cluster.broker_down(-1).unwrap();
    let mut reading = open(&brokers, Open::default());
    reading.until("a reason", |reading| {
        reason(&reading.reader.health()).is_some()
    });
    assert!(matches!(reading.reader.health(), Health::Connecting { .. }));
    assert!(reading.reader.partitions().is_empty());
    cluster.broker_up(-1).unwrap();
    reading.until_rows(1);
    reading.until("running", |reading| reading.is_running());
}

#[test]
fn nobody_listening_is_told_with_the_address() {
    // Port 9 (discard) of loopback: refused at once.
    let mut reading = open("127.0.0.1:9", Open::default());
    reading.until("a reason", |reading| {
        reason(&reading.reader.health()).is_some_and(|reason| reason.contains("127.0.0.1:9"))
    });
    let health = reading.reader.health();
    assert!(reason(&health).unwrap().contains("refused"), "{health:?}");
}

#[test]
fn a_broker_that_goes_away_and_returns_is_read_on_without_loss() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["a0"]);
    let mut reading = open(&brokers, Open::default());
    reading.until_at_end();
    for round in 1..=2 {
        cluster.broker_down(-1).unwrap();
        reading.until("retrying", |reading| {
            matches!(reading.reader.health(), Health::Retrying { since, .. } if since > 0)
        });
        cluster.broker_up(-1).unwrap();
        reading.until("running", |reading| reading.is_running());
        fill(&brokers, 1, &["b"]);
        reading.until_rows(1 + round);
    }
    assert_eq!(reading.rows.len(), 3);
}

#[test]
fn a_missing_topic_is_waited_for_by_name() {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let mut reading = open(&brokers, Open::default());
    reading.until("the topic's name in the reason", |reading| {
        reason(&reading.reader.health())
            .is_some_and(|reason| reason.contains("topic \"clicks\" does not exist"))
    });
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    fill(&brokers, 0, &["first"]);
    reading.until_rows(1);
    reading.until("running", |reading| reading.is_running());
}

#[test]
fn an_error_of_one_partition_is_shown_and_passes() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut reading = open(&brokers, Open::default());
    reading.until_at_end();
    cluster.request_errors(
        RDKafkaApiKey::Fetch,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUEST; 3],
    );
    reading.until("trouble of partition 0", |reading| {
        reason(&reading.reader.health())
            .is_some_and(|reason| reason.starts_with("topic \"clicks\" partition 0: "))
    });
    fill(&brokers, 0, &["after"]);
    reading.until_rows(1);
    reading.until("running", |reading| reading.is_running());
}

#[test]
fn a_position_behind_the_end_goes_on_at_the_end_and_says_so() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["a0", "a1"]);
    let mut reading = open(
        &brokers,
        Open {
            positions: vec![(0, 1_000)],
            ..Open::default()
        },
    );
    reading.until("a gap", |reading| !reading.gaps.is_empty());
    let gap = Gap {
        partition: 0,
        from: 1_000,
        to: 2,
        reason: GapReason::Truncated,
    };
    assert_eq!(reading.gaps, [gap]);
    fill(&brokers, 0, &["a2"]);
    reading.until_rows(1);
    assert_eq!(reading.values(), ["a2"]);
    reading.until_loss_is_told();
}

fn committed(brokers: &str, group: &str) -> Offset {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(TOPIC, 0);
    let list = consumer.committed_offsets(list, PATIENCE).unwrap();
    list.elements()[0].offset()
}

#[test]
fn positions_are_committed_under_the_group_also_when_the_reader_goes_at_once() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["a0", "a1", "a2"]);
    let mut reading = open(
        &brokers,
        Open {
            options: &[("group.id", "lag")],
            ..Open::default()
        },
    );
    reading.until_at_end();
    reading.commit(0, 1);
    reading.commit(0, 3);
    drop(reading);
    let begun = std::time::Instant::now();
    while committed(&brokers, "lag") != Offset::Offset(3) {
        assert!(begun.elapsed() < PATIENCE, "offset 3 is committed");
    }
    let mut silent = open(&brokers, Open::default());
    silent.until_at_end();
    silent.commit(0, 2);
    drop(silent);
    assert_eq!(committed(&brokers, "clickmill"), Offset::Invalid);
}

#[test]
fn readers_come_and_go_without_waiting_for_a_broker() {
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        drop(open("127.0.0.1:9", Open::default()));
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_producer_counts_failures_and_does_not_queue_without_end() {
    let properties = [
        ("queue.buffering.max.messages", "10"),
        ("message.timeout.ms", "200"),
    ];
    let producer = Producer::new("127.0.0.1:9", TOPIC, &properties).unwrap();
    let record = Record {
        payload: Some(b"x"),
        ..Record::default()
    };
    let mut accepted = 0;
    while producer.try_send(&record).unwrap() {
        accepted += 1;
        assert!(accepted <= 10, "the queue is bounded");
    }
    let delivery = producer.flush(PATIENCE);
    assert_eq!(
        (delivery.delivered, delivery.failed, delivery.pending),
        (0, accepted, 0),
        "{delivery:?}"
    );
    assert!(delivery.last_error.is_some());
    // Room again: sending waits for it instead of failing.
    for _ in 0..15 {
        producer.send(&record).unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).failed, accepted + 15);
}

#[test]
fn a_producer_refuses_what_cannot_be_sent() {
    let cluster = cluster(1);
    let producer = support::producer(&cluster.bootstrap_servers());
    let large = vec![b'x'; 2_000_000];
    let error = producer
        .send(&Record {
            payload: Some(&large),
            ..Record::default()
        })
        .unwrap_err();
    assert_eq!(error.state().0, "54000", "{error}");
    assert!(Producer::new("127.0.0.1:9", TOPIC, &[("no.such", "1")]).is_err());
}
