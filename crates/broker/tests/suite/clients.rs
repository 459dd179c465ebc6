//! librdkafka against the broker: every codec, offsets by time, waiting, topics, idempotence, and refusals.

use std::time::{Duration, Instant};

use broker::BrokerConfig;
use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{PATIENCE, Running, delivered, next, payload, produce, send};

/// The offset at which a time is reached.
fn offset_at(running: &Running, topic: &str, at: i64) -> Offset {
    let consumer: BaseConsumer = running.client(&[]).create().unwrap();
    let mut times = TopicPartitionList::new();
    times
        .add_partition_offset(topic, 0, Offset::Offset(at))
        .unwrap();
    consumer
        .offsets_for_times(times, PATIENCE)
        .unwrap()
        .elements()[0]
        .offset()
}

#[test]
fn every_codec_goes_in_and_out_and_is_searched_by_time() {
    let running = Running::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        running.topic(codec, 1);
        let producer = running.producer(&[("compression.codec", codec), ("linger.ms", "50")]);
        let sent: Vec<String> = (0..2_000)
            .map(|n| format!("{codec} {n} {}", "x".repeat(40)))
            .collect();
        for (n, payload) in (0..).zip(&sent) {
            send(&producer, codec, 0, 1_000_000 + n * 10, payload);
        }
        let offsets: Vec<i64> = delivered(&producer)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(offsets, (0..2_000).collect::<Vec<_>>());
        let read = running.read(codec, 0, Offset::Beginning);
        assert!(read.iter().map(payload).eq(sent));
        assert_eq!(read[7].timestamp().to_millis(), Some(1_000_070));
        assert_eq!(running.read(codec, 0, Offset::Offset(1_990)).len(), 10);
        assert_eq!(offset_at(&running, codec, 0), Offset::Offset(0));
        assert_eq!(
            offset_at(&running, codec, 1_000_000 + 7_771),
            Offset::Offset(778)
        );
        assert_eq!(offset_at(&running, codec, 2_000_000), Offset::End);
    }
    assert_eq!(running.broker().records_in(), 10_000);
    running.stop();
}

#[test]
fn partitions_have_offsets_of_their_own_and_bytes_out_are_counted() {
    let running = Running::new();
    running.topic("many", 8);
    let producer = running.producer(&[]);
    for n in 0..800 {
        send(&producer, "many", n % 8, 0, &"y".repeat(1_000));
    }
    assert!(delivered(&producer).iter().all(Result::is_ok));
    for partition in 0..8 {
        assert_eq!(running.watermarks("many", partition), (0, 100));
    }
    let before = running.broker().bytes_out();
    assert_eq!(running.read("many", 3, Offset::Beginning).len(), 100);
    let bytes = running.broker().bytes_out() - before;
    assert!((100_000..150_000).contains(&bytes), "{bytes}");
    running.stop();
}

#[test]
fn a_waiting_consumer_is_woken_by_a_message() {
    let running = Running::new();
    running.topic("poll", 1);
    let settings = [("fetch.wait.max.ms", "20000"), ("fetch.min.bytes", "1")];
    let reader = running.reader_with("poll", 0, Offset::Beginning, &settings);
    let producer = running.producer(&[("linger.ms", "0")]);
    send(
        &producer,
        "poll",
        0,
        0,
        "the first may find the consumer still connecting",
    );
    next_message(&reader);
    let mut waits: Vec<Duration> = (0..21)
        .map(|n| {
            let begin = Instant::now();
            send(&producer, "poll", 0, 0, &n.to_string());
            assert_eq!(next_message(&reader), n.to_string());
            begin.elapsed()
        })
        .collect();
    waits.sort();
    assert!(
        waits[10] < Duration::from_millis(250),
        "median {:?}",
        waits[10]
    );
    running.stop();
}

fn next_message(reader: &BaseConsumer) -> String {
    std::iter::repeat_with(|| next(reader).map(|message| payload(&message)))
        .flatten()
        .next()
        .unwrap()
}

#[test]
fn an_offset_out_of_range_and_a_topic_that_is_missing_are_said() {
    let running = Running::new();
    running.topic("short", 1);
    produce(&running, "short", 0, (0..5).map(|n| (n, n.to_string())));
    let reader = running.reader_with(
        "short",
        0,
        Offset::Offset(99),
        &[("auto.offset.reset", "error")],
    );
    let error = reader.poll(PATIENCE).unwrap().err().unwrap();
    assert_eq!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::AutoOffsetReset),
        "{error}"
    );
    let reset = running.reader_with(
        "short",
        0,
        Offset::Offset(99),
        &[("auto.offset.reset", "earliest")],
    );
    assert_eq!(next_message(&reset), "0");
    let producer = running.producer(&[("topic.metadata.propagation.max.ms", "200")]);
    send(&producer, "nowhere", 0, 0, "lost");
    let report = delivered(&producer).remove(0).unwrap_err();
    let expected = [
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownTopicOrPartition,
    ];
    assert!(
        expected.contains(&report.rdkafka_error_code().unwrap()),
        "{report}"
    );
    running.stop();
}

#[test]
fn topics_come_into_being_by_asking_only_where_that_is_configured() {
    let running = Running::with(BrokerConfig {
        auto_create_partitions: Some(3),
        ..BrokerConfig::default()
    });
    produce(&running, "asked", 2, [(0, "first".to_owned())].into_iter());
    assert_eq!(running.watermarks("asked", 2), (0, 1));
    let consumer: BaseConsumer = running.client(&[]).create().unwrap();
    let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
    let topics: Vec<_> = metadata
        .topics()
        .iter()
        .map(|topic| (topic.name(), topic.partitions().len()))
        .collect();
    assert_eq!(topics, [("asked", 3)]);
    assert_eq!(metadata.brokers()[0].id(), 1);
    running.stop();
}

#[test]
fn topics_are_created_described_and_deleted() {
    let running = Running::new();
    let admin: AdminClient<DefaultClientContext> = running.client(&[]).create().unwrap();
    let options = AdminOptions::new();
    let create = |topic: NewTopic<'_>| {
        block_on(admin.create_topics([&topic], &options))
            .unwrap()
            .remove(0)
    };
    assert_eq!(
        create(NewTopic::new("made", 2, TopicReplication::Fixed(1))),
        Ok("made".to_owned())
    );
    let refused = [
        (
            NewTopic::new("made", 2, TopicReplication::Fixed(1)),
            RDKafkaErrorCode::TopicAlreadyExists,
        ),
        (
            NewTopic::new("a b", 2, TopicReplication::Fixed(1)),
            RDKafkaErrorCode::InvalidTopic,
        ),
        (
            NewTopic::new("wide", 5_000, TopicReplication::Fixed(1)),
            RDKafkaErrorCode::InvalidPartitions,
        ),
        (
            NewTopic::new("copied", 1, TopicReplication::Fixed(3)),
            RDKafkaErrorCode::InvalidReplicationFactor,
        ),
        (
            NewTopic::new("kept", 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact"),
            RDKafkaErrorCode::InvalidConfig,
        ),
    ];
    for (topic, code) in refused {
        assert_eq!(create(topic).unwrap_err().1, code);
    }
    let same = NewTopic::new("same", 1, TopicReplication::Fixed(1)).set("cleanup.policy", "delete");
    assert!(create(same).is_ok());

    let describe = |resource| {
        block_on(admin.describe_configs([&resource], &options))
            .unwrap()
            .remove(0)
    };
    let described = describe(ResourceSpecifier::Topic("made")).unwrap();
    let retention = described.get("retention.ms").unwrap();
    assert_eq!(retention.value.as_deref(), Some("86400000"));
    assert_eq!(retention.source, ConfigSource::Default);
    let broker = describe(ResourceSpecifier::Broker(1)).unwrap();
    assert!(broker.get("num.partitions").is_some());

    produce(&running, "made", 1, (0..10).map(|n| (n, n.to_string())));
    let deleted = block_on(admin.delete_topics(&["made", "none"], &options)).unwrap();
    assert_eq!(deleted[0], Ok("made".to_owned()));
    assert_eq!(
        deleted[1].as_ref().unwrap_err().1,
        RDKafkaErrorCode::UnknownTopicOrPartition
    );
    running.topic("made", 1);
    assert_eq!(running.watermarks("made", 0), (0, 0));
    running.stop();
}

#[test]
fn an_idempotent_producer_delivers_each_message_once_and_in_order() {
    let running = Running::new();
    running.topic("once", 1);
    let producer = running.producer(&[
        ("enable.idempotence", "true"),
        ("linger.ms", "1"),
        ("batch.num.messages", "100"),
    ]);
    for n in 0..20_000 {
        send(&producer, "once", 0, 0, &n.to_string());
    }
    assert!(delivered(&producer).iter().all(Result::is_ok));
    let read = running.read("once", 0, Offset::Beginning);
    assert!(
        read.iter()
            .map(payload)
            .eq((0..20_000).map(|n| n.to_string()))
    );
    assert_eq!(running.broker().records_in(), 20_000);
    running.stop();
}

#[test]
fn a_transactional_producer_is_refused_by_its_error_at_once() {
    let running = Running::new();
    let producer = running.producer(&[("transactional.id", "bank")]);
    let begin = Instant::now();
    let error = producer.init_transactions(PATIENCE).unwrap_err();
    assert_eq!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed),
        "{error}"
    );
    assert!(begin.elapsed() < PATIENCE / 3);
    running.stop();
}
