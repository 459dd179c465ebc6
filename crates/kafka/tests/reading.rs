//! What a reader hands over: starts, several partitions, keys and headers, ends, bounds, limits and pauses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use dataflow::connector::{PollLimits, Wants};
use kafka::Record;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use support::{LIMITS, Open, PATIENCE, TOPIC, cluster, fill, open, producer};

#[test]
fn earliest_reads_every_partition_in_offset_order() {
    let cluster = cluster(3);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["a0", "a1", "a2"]);
    fill(&brokers, 2, &["c0", "c1"]);
    let mut reading = open(&brokers, Open::default());
    assert!(
        reading.reader.partitions().is_empty(),
        "open returns before anything is known"
    );
    reading.until_at_end();
    for (id, expected) in [(0, &["a0", "a1", "a2"][..]), (1, &[]), (2, &["c0", "c1"])] {
        let rows: Vec<_> = reading
            .rows
            .iter()
            .filter(|row| row.partition == id)
            .collect();
        assert_eq!(
            rows.iter()
                .map(|row| row.value.as_deref().unwrap())
                .collect::<Vec<_>>(),
            expected
        );
        assert!(
            rows.iter()
                .map(|row| row.offset)
                .eq(0..expected.len() as i64)
        );
        assert!(
            rows.iter()
                .all(|row| row.key.is_none() && row.headers.is_none())
        );
        let partition = &reading.reader.partitions()[usize::try_from(id).unwrap()];
        let end = expected.len() as i64;
        assert_eq!(
            (
                partition.id,
                partition.position,
                partition.end,
                partition.stop
            ),
            (id, end, end, None)
        );
    }
    assert!(reading.is_running());
}

#[test]
fn latest_reads_only_what_comes_after() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["old", "older"]);
    let mut reading = open(
        &brokers,
        Open {
            options: &[("start", "latest")],
            ..Open::default()
        },
    );
    reading.until_at_end();
    assert_eq!(reading.reader.partitions()[0].position, 2);
    fill(&brokers, 0, &["new"]);
    fill(&brokers, 1, &["newer"]);
    reading.until_rows(2);
    let mut values = reading.values();
    values.sort_unstable();
    assert_eq!(values, ["new", "newer"]);
}

#[test]
fn given_positions_come_before_the_start_option() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["a0", "a1", "a2"]);
    fill(&brokers, 1, &["b0", "b1"]);
    let how = Open {
        options: &[("start", "latest")],
        positions: vec![(0, 1)],
        ..Open::default()
    };
    let mut reading = open(&brokers, how);
    reading.until_at_end();
    assert_eq!(reading.values(), ["a1", "a2"]);
}

#[test]
fn a_position_of_a_partition_that_is_not_there_ends_the_source() {
    let cluster = cluster(1);
    let how = Open {
        positions: vec![(0, 0), (7, 5)],
        ..Open::default()
    };
    let mut reading = open(&cluster.bootstrap_servers(), how);
    let error = loop {
        match reading.step() {
            Ok(_) => assert!(reading.waker.sleep(PATIENCE), "a failure wakes"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.message(), "topic \"clicks\" has no partition 7");
    assert!(reading.step().is_err(), "the error stays");
}

#[test]
fn keys_headers_tombstones_and_timestamps() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let raw: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .create()
        .unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "trace",
            value: Some("7\""),
        })
        .insert(Header {
            key: "raw",
            value: Some(&[0xff_u8, 0x00][..]),
        })
        .insert(Header::<&[u8]> {
            key: "none",
            value: None,
        })
        .insert(Header {
            key: "trace",
            value: Some("8"),
        });
    raw.send(
        BaseRecord::to(TOPIC)
            .key("k1")
            .payload("v1")
            .partition(0)
            .timestamp(1_000)
            .headers(headers),
    )
    .unwrap();
    raw.send(
        BaseRecord::<str, str>::to(TOPIC)
            .key("k2")
            .partition(0)
            .timestamp(2_000),
    )
    .unwrap();
    raw.send(
        BaseRecord::<str, str>::to(TOPIC)
            .payload("")
            .partition(0)
            .timestamp(3_000),
    )
    .unwrap();
    raw.flush(PATIENCE).unwrap();

    let wants = Wants {
        keys: true,
        headers: true,
    };
    let mut reading = open(
        &brokers,
        Open {
            wants,
            ..Open::default()
        },
    );
    reading.until_rows(3);
    let [first, tombstone, empty] = &reading.rows[..] else {
        panic!("three rows")
    };
    assert_eq!(
        (
            first.key.as_deref(),
            first.value.as_deref(),
            first.timestamp
        ),
        (Some("k1"), Some("v1"), 1_000)
    );
    assert_eq!(
        first.headers.as_deref(),
        Some(r#"{"raw":"\\xff00","none":null,"trace":"8"}"#)
    );
    assert_eq!(
        (tombstone.key.as_deref(), tombstone.value.as_deref()),
        (Some("k2"), None)
    );
    assert_eq!(tombstone.headers.as_deref(), Some("{}"));
    assert_eq!(
        (empty.key.as_deref(), empty.value.as_deref()),
        (None, Some(""))
    );

    let mut bare = open(&brokers, Open::default());
    bare.until_rows(3);
    assert!(
        bare.rows
            .iter()
            .all(|row| row.key.is_none() && row.headers.is_none())
    );
    assert_eq!(bare.rows[1].value, None);
}

#[test]
fn new_records_wake_the_reader_and_take_the_end_back() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let mut reading = open(&brokers, Open::default());
    reading.until_at_end();
    for round in 1..=5 {
        while reading.waker.sleep(Duration::ZERO) || reading.step().unwrap() {}
        assert!(reading.reader.partitions()[0].at_end);
        fill(&brokers, 0, &["x"]);
        while reading.rows.len() < round {
            assert!(
                reading.waker.sleep(PATIENCE),
                "a record wakes an empty reader"
            );
            reading.step().unwrap();
        }
        reading.until_at_end();
        assert_eq!(reading.reader.partitions()[0].position, round as i64);
    }
}

#[test]
fn a_bounded_reader_stops_at_the_end_it_found() {
    let cluster = cluster(3);
    let brokers = cluster.bootstrap_servers();
    fill(&brokers, 0, &["a0", "a1"]);
    fill(&brokers, 1, &["b0"]);
    let mut reading = open(
        &brokers,
        Open {
            bounded: true,
            ..Open::default()
        },
    );
    while reading.reader.partitions().is_empty() {
        let limits = PollLimits {
            max_records: 1,
            ..LIMITS
        };
        reading.limits = limits;
        reading.step().unwrap();
    }
    fill(&brokers, 0, &["too late"]);
    fill(&brokers, 2, &["too late"]);
    reading.until("finished", |reading| {
        reading.reader.partitions().iter().all(|p| p.finished())
    });
    for _ in 0..10 {
        assert!(!reading.step().unwrap());
    }
    let mut values = reading.values();
    values.sort_unstable();
    assert_eq!(values, ["a0", "a1", "b0"]);
    assert_eq!(reading.reader.partitions()[2].stop, Some(0));
}

#[test]
fn slabs_keep_their_limits_and_partitions_take_turns() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    let values: Vec<String> = (0..1_000).map(|i| format!("value-{i:04}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    fill(&brokers, 0, &values);
    fill(&brokers, 1, &values);
    let mut reading = open(&brokers, Open::default());
    reading.limits = PollLimits {
        max_records: 64,
        max_bytes: 100,
    };
    reading.until_at_end();
    assert_eq!(reading.rows.len(), 2_000);
    // Ten bytes each: the tenth record reaches the hundred.
    assert!(
        reading.slabs.iter().all(|len| *len <= 10),
        "{:?}",
        reading.slabs
    );
    for id in 0..2 {
        let rows: Vec<_> = reading
            .rows
            .iter()
            .filter(|row| row.partition == id)
            .collect();
        assert!(
            rows.iter()
                .map(|row| row.value.as_deref().unwrap())
                .eq(values.iter().copied())
        );
    }
}

#[test]
fn a_record_larger_than_the_limit_comes_alone() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    let huge = "h".repeat(300_000);
    fill(&brokers, 0, &["small", &huge, &huge, "small"]);
    let mut reading = open(&brokers, Open::default());
    reading.limits = PollLimits {
        max_records: 100,
        max_bytes: 1_000,
    };
    reading.until_at_end();
    assert_eq!(reading.rows.len(), 4);
    assert_eq!(reading.rows[1].value.as_deref(), Some(huge.as_str()));
    assert!(
        reading.slabs.iter().all(|len| *len <= 2),
        "{:?}",
        reading.slabs
    );
}

#[test]
fn a_paused_partition_waits_and_loses_nothing() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    let mut reading = open(&brokers, Open::default());
    reading.until_at_end();
    reading.reader.set_paused(0, true);
    fill(&brokers, 0, &["a0", "a1"]);
    fill(&brokers, 1, &["b0"]);
    reading.until_rows(1);
    // The end of the paused partition is known to move all the same.
    reading.until("the end of partition 0", |reading| {
        reading.reader.partitions()[0].end == 2
    });
    assert_eq!(reading.values(), ["b0"]);
    assert!(!reading.reader.partitions()[0].at_end);
    reading.reader.set_paused(0, false);
    reading.until_rows(3);
    assert_eq!(reading.values(), ["b0", "a0", "a1"]);
}

#[test]
fn many_records_come_once_and_in_order() {
    let cluster = cluster(4);
    let brokers = cluster.bootstrap_servers();
    let mut reading = open(
        &brokers,
        Open {
            wants: Wants {
                keys: true,
                headers: false,
            },
            ..Open::default()
        },
    );
    let producer = producer(&brokers);
    for i in 0..40_000_u32 {
        let (key, value) = (format!("k{}", i % 100), i.to_string());
        let record = Record {
            key: Some(key.as_bytes()),
            payload: Some(value.as_bytes()),
            ..Record::default()
        };
        producer.send(&record).unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).delivered, 40_000);
    reading.until_rows(40_000);
    reading.until_at_end();
    let mut numbers: Vec<u32> = reading
        .values()
        .iter()
        .map(|value| value.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..40_000));
    for id in 0..4 {
        let rows: Vec<_> = reading
            .rows
            .iter()
            .filter(|row| row.partition == id)
            .collect();
        assert!(rows.iter().map(|row| row.offset).eq(0..rows.len() as i64));
    }
}
