//! Where reading begins and ends, which topics are read, and topics that are made anew.

use crate::scratch::Scratch;
use crate::support::{Open, PATIENCE, Reading, Row, open_topic, reason};
use dataflow::{Clock as _, SystemClock};
use kafka::{Producer, Record, admin};

fn with<'a>(options: &'a [(&'a str, &'a str)]) -> Open<'a> {
    Open {
        options,
        ..Open::default()
    }
}

fn finished(scratch: &Scratch, options: &[(&str, &str)]) -> Reading {
    let mut reading = scratch.open(with(options));
    reading.until_finished();
    reading
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn offsets_as_start() {
    let scratch = Scratch::new("start-offsets", 3);
    scratch.fill(0, &["a0", "a1", "a2"]);
    scratch.fill(1, &["b0", "b1"]);
    scratch.fill(2, &["c0"]);
    for options in [
        &[("start", "0:2,1:0")][..],
        &[
            ("scan.startup.mode", "specific-offsets"),
            (
                "scan.startup.specific-offsets",
                "partition:0,offset:2;partition:1,offset:0",
            ),
        ],
    ] {
        let mut reading = scratch.open(with(options));
        reading.until_at_end();
        // The third is not listed.
        assert_eq!(reading.sorted(), ["a2", "b0", "b1", "c0"]);
    }
    let mut wrong = scratch.open(with(&[("start", "7:1")]));
    let error = wrong.until_failed();
    assert!(error.message().ends_with("has no partition 7"), "{error}");
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn times_relative_to_now_as_start_and_stop() {
    let scratch = Scratch::new("ago", 1);
    let now = SystemClock.now() / 1_000;
    let producer = Producer::new(&scratch.brokers, &scratch.topic, &[("linger.ms", "0")]).unwrap();
    for (minutes, value) in [(180, "old"), (90, "middle"), (1, "new")] {
        let record = Record {
            payload: Some(value.as_bytes()),
            partition: Some(0),
            timestamp_ms: Some(now - minutes * 60_000),
            ..Record::default()
        };
        producer.send(&record).unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).delivered, 3);
    let mut since = scratch.open(with(&[("start", "-2 hours")]));
    since.until_at_end();
    assert_eq!(since.values(), ["middle", "new"]);
    let until = finished(&scratch, &[("stop", "-2 hours")]);
    assert_eq!(until.values(), ["old"]);
    let between = [("start", "-2 hours"), ("stop", "-10 min")];
    assert_eq!(finished(&scratch, &between).values(), ["middle"]);
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn committed_offsets_as_start() {
    let scratch = Scratch::new("group", 2);
    scratch.fill(0, &["a0", "a1", "a2"]);
    scratch.fill(1, &["b0"]);
    let group = [("group.id", scratch.topic.as_str())];
    let mut first = scratch.open(with(&group));
    first.until_at_end();
    first.commit(0, 2);
    drop(first);
    for mode in [("start", "group"), ("scan.startup.mode", "group-offsets")] {
        let begun = std::time::Instant::now();
        // The commit is sent while the reader closes.
        loop {
            let mut second = scratch.open(with(&[group[0], mode]));
            second.until_at_end();
            // Nothing is committed of the other partition.
            if second.sorted() == ["a2", "b0"] {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{:?}", second.values());
        }
    }
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn the_latest_as_stop() {
    let scratch = Scratch::new("stop-latest", 2);
    scratch.fill(0, &["a0", "a1"]);
    for options in [
        &[("stop", "latest")][..],
        &[("scan.bounded.mode", "latest-offset")],
    ] {
        let mut reading = scratch.open(with(options));
        reading.until("connected", |reading| {
            !reading.reader.partitions().is_empty()
        });
        let before: Vec<_> = reading.reader.partitions().iter().map(|p| p.stop).collect();
        scratch.fill(0, &["later"]);
        reading.until_finished();
        let stop = before[0].unwrap();
        assert_eq!(before[1], Some(0), "an empty partition is finished at once");
        assert_eq!(reading.rows.len(), usize::try_from(stop).unwrap());
        assert!(reading.rows.iter().all(|row| row.offset < stop));
    }
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn what_happens_to_a_topic_behind_its_stop_does_not_matter() {
    let scratch = Scratch::new("behind", 1);
    scratch.fill(0, &["a"]);
    let mut done = finished(&scratch, &[("stop", "latest")]);
    let mut waiting = scratch.open(with(&[("stop", "0:9")]));
    waiting.until_rows(1);
    assert!(!done.step().unwrap());
    scratch.make_anew(1);
    let error = waiting.until_failed();
    assert!(error.message().contains("was made anew"), "{error}");
    assert!(!done.step().unwrap());
    assert!(done.is_running() && done.reader.partitions()[0].finished());
    assert_eq!(done.reader.partitions()[0].lag(), Some(0));
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn times_and_offsets_as_stop() {
    let scratch = Scratch::new("stop-places", 2);
    // At 1000, 1001, 1002 milliseconds.
    scratch.fill(0, &["a0", "a1", "a2"]);
    scratch.fill(1, &["b0"]);
    for options in [
        &[("stop", "1001")][..],
        &[
            ("scan.bounded.mode", "timestamp"),
            ("scan.bounded.timestamp-millis", "1001"),
        ],
    ] {
        // All of the second partition is older: its end is its stop.
        assert_eq!(finished(&scratch, options).sorted(), ["a0", "b0"]);
    }
    for options in [
        &[("stop", "0:2")][..],
        &[
            ("scan.bounded.mode", "specific-offsets"),
            ("scan.bounded.specific-offsets", "partition:0,offset:2"),
        ],
    ] {
        // The second partition is not listed: nothing of it is read.
        assert_eq!(finished(&scratch, options).sorted(), ["a0", "a1"]);
    }
    let mut waiting = scratch.open(with(&[("stop", "0:4")]));
    waiting.until_rows(3);
    assert!(!waiting.reader.partitions()[0].finished());
    scratch.fill(0, &["a3", "a4"]);
    waiting.until_finished();
    assert_eq!(waiting.values(), ["a0", "a1", "a2", "a3"]);
    // A query does not wait for what is not there yet.
    let mut query = scratch.open(Open {
        bounded: true,
        ..with(&[("stop", "0:9,1:9")])
    });
    query.until_finished();
    assert_eq!(query.rows.len(), 6);
    // Nothing lies between a start and an earlier stop.
    assert!(
        finished(&scratch, &[("start", "0:3"), ("stop", "0:2")])
            .rows
            .is_empty()
    );
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn several_topics_are_one_source() {
    let scratch = Scratch::new("several", 2);
    let other = scratch.another("other");
    scratch.fill(0, &["a0"]);
    scratch.fill(1, &["a1"]);
    other.fill(0, &["b0", "b1"]);
    let both = format!("{},{}", scratch.topic, other.topic);
    let mut reading = open_topic(&scratch.brokers, &both, Open::default());
    reading.until_at_end();
    assert_eq!(reading.sorted(), ["a0", "a1", "b0", "b1"]);
    let topics = reading.reader.partitions().iter();
    let topics: Vec<(&str, i32)> = topics.map(|p| (&*p.topic, p.id)).collect();
    let (own, its) = (scratch.topic.as_str(), other.topic.as_str());
    assert_eq!(topics, [(own, 0), (own, 1), (its, 0)]);
    let of =
        |row: &Row| (row.topic == other.topic) == row.value.as_deref().unwrap().starts_with('b');
    assert!(reading.rows.iter().all(of), "{:?}", reading.rows);
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn a_topic_of_a_list_that_is_missing_is_waited_for() {
    let scratch = Scratch::new("missing", 1);
    scratch.fill(0, &["a"]);
    let name = format!("{}-late", scratch.topic);
    let both = format!("{};{name}", scratch.topic);
    let mut reading = open_topic(&scratch.brokers, &both, Open::default());
    let expected = format!("topic \"{name}\" does not exist");
    reading.until("a reason", |reading| {
        reason(&reading.reader.health()).is_some_and(|reason| reason.contains(&expected))
    });
    let late = scratch.another("late");
    late.fill(0, &["b"]);
    reading.until_rows(2);
    assert_eq!(reading.sorted(), ["a", "b"]);
    reading.until("running", |reading| reading.is_running());
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn topics_that_match_a_pattern_are_read_also_later_ones() {
    let scratch = Scratch::new("pattern", 1);
    let pattern = format!("{}-[ab]", scratch.topic);
    let options = [
        ("topic-pattern", pattern.as_str()),
        ("start", "latest"),
        ("scan.topic-partition-discovery.interval", "200 ms"),
    ];
    let mut reading = scratch.open(with(&options));
    reading.until("a reason", |reading| {
        reason(&reading.reader.health()).is_some_and(|reason| reason.contains("no topic"))
    });
    let first = scratch.another("a");
    reading.until("connected", |reading| reading.is_running());
    first.fill(0, &["a0"]);
    reading.until_rows(1);
    let (second, not) = (scratch.another("b"), scratch.another("abc"));
    second.fill(0, &["b0"]);
    not.fill(0, &["c0"]);
    reading.until_rows(2);
    reading.until_at_end();
    assert_eq!(reading.sorted(), ["a0", "b0"]);
    assert_eq!(reading.reader.partitions().len(), 2);
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn a_topic_made_anew_with_more_records_is_read_from_its_start() {
    let scratch = Scratch::new("anew", 2);
    scratch.fill(0, &["a0", "a1"]);
    scratch.fill(1, &["b0"]);
    let mut reading = scratch.open(Open::default());
    reading.until_at_end();
    scratch.make_anew(1);
    // More than before: the old offset is a good one in the new topic.
    let new = ["n0", "n1", "n2", "n3", "n4"];
    scratch.fill(0, &new);
    reading.until("the new records from the first on", |reading| {
        let values = reading.values();
        values[3..].contains(&"n0") && values.last() == Some(&"n4")
    });
    reading.until("a note", |reading| {
        let notes = reading.reader.partitions().iter();
        notes.filter(|p| p.note.is_some()).count() == 2
    });
    // What librdkafka read at the old offset before the change was noticed comes twice, and nothing is left out.
    let values = reading.values();
    let first = values.iter().rposition(|value| *value == "n0").unwrap();
    assert_eq!(values[first..], new, "{values:?}");
    assert!(
        values[3..first]
            .iter()
            .all(|value| new[2..].contains(value))
    );
    let partitions = reading.reader.partitions();
    let note = partitions[0].note.as_deref().unwrap();
    assert!(note.contains("the topic was made anew") && note.ends_with("went on at offset 0"));
    assert!(
        partitions[1]
            .note
            .as_deref()
            .unwrap()
            .contains("does not have this partition")
    );
    scratch.fill(0, &["n5"]);
    reading.until("the record after", |reading| {
        reading.values().ends_with(&["n4", "n5"])
    });
    reading.until("running", |reading| reading.is_running());
    assert_eq!(reading.reader.partitions()[0].position, 6);
    assert!(admin::create_topic(&scratch.brokers, &scratch.topic, 1).is_ok_and(|made| !made));
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn batches_of_every_codec_are_read() {
    let scratch = Scratch::new("codecs", 1);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let mut sent = Vec::new();
    for codec in codecs {
        let properties = [("compression.type", codec), ("linger.ms", "50")];
        let producer = Producer::new(&scratch.brokers, &scratch.topic, &properties).unwrap();
        for at in 0..200 {
            let value = format!("{codec} {at:03} {}", "clicks ".repeat(20));
            let record = Record {
                payload: Some(value.as_bytes()),
                partition: Some(0),
                ..Record::default()
            };
            producer.send(&record).unwrap();
            sent.push(value);
        }
        assert_eq!(producer.flush(PATIENCE).delivered, 200);
    }
    let mut reading = scratch.open(Open::default());
    reading.until_rows(sent.len());
    assert_eq!(reading.values(), sent);
}
