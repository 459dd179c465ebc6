//! Consumer groups with librdkafka: commit and resume, sharing partitions, and looking at groups from outside.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{PATIENCE, Running, eventually, next, payload, produce};

fn member(running: &Running, group: &str, topic: &str) -> BaseConsumer {
    let settings = [
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "100"),
    ];
    let consumer: BaseConsumer = running.client(&settings).create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

#[test]
fn a_group_resumes_where_it_committed() {
    let running = Running::new();
    running.topic("log", 1);
    produce(&running, "log", 0, (0..100).map(|n| (n, n.to_string())));
    let first = member(&running, "resuming", "log");
    for n in 0..40 {
        let message = next(&first).unwrap();
        assert_eq!(payload(&message), n.to_string());
        if n == 29 {
            first.commit_message(&message, CommitMode::Sync).unwrap();
        }
    }
    drop(first);
    let second = member(&running, "resuming", "log");
    assert_eq!(payload(&next(&second).unwrap()), "30");
    let other = member(&running, "another", "log");
    assert_eq!(payload(&next(&other).unwrap()), "0");
    let metadata = second.fetch_group_list(Some("resuming"), PATIENCE).unwrap();
    let group = &metadata.groups()[0];
    assert_eq!(
        (group.state(), group.protocol_type(), group.members().len()),
        ("Stable", "consumer", 1)
    );
    assert_eq!(group.members()[0].client_host(), "/127.0.0.1");
    running.stop();
}

#[test]
fn members_share_the_partitions_and_take_over() {
    let running = Running::new();
    running.topic("shared", 4);
    let assigned = |consumer: &BaseConsumer| -> BTreeSet<i32> {
        let _ = consumer.poll(Duration::from_millis(20));
        consumer
            .assignment()
            .unwrap()
            .elements()
            .iter()
            .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
            .collect()
    };
    let first = member(&running, "sharing", "shared");
    eventually("one member has all", || assigned(&first).len() == 4);
    let second = member(&running, "sharing", "shared");
    eventually("two members share", || {
        let (one, two) = (assigned(&first), assigned(&second));
        one.len() == 2 && two.len() == 2 && one.is_disjoint(&two)
    });
    drop(first);
    eventually("the other takes over", || assigned(&second).len() == 4);
    for partition in 0..4 {
        produce(
            &running,
            "shared",
            partition,
            [(0, partition.to_string())].into_iter(),
        );
    }
    let mut read: Vec<String> = (0..4).map(|_| payload(&next(&second).unwrap())).collect();
    read.sort();
    assert_eq!(read, ["0", "1", "2", "3"]);
    running.stop();
}

#[test]
fn offsets_are_committed_without_members_and_go_with_the_topic() {
    let running = Running::new();
    running.topic("marked", 2);
    let consumer: BaseConsumer = running.client(&[("group.id", "marks")]).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("marked", 1, Offset::Offset(17))
        .unwrap();
    offsets.elements()[0].set_metadata("so far");
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    let committed = |partition| {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition("marked", partition);
        let found = consumer.committed_offsets(wanted, PATIENCE).unwrap();
        let element = &found.elements()[0];
        (element.offset(), element.metadata().to_owned())
    };
    assert_eq!(committed(1), (Offset::Offset(17), "so far".to_owned()));
    assert_eq!(committed(0).0, Offset::Invalid);
    let admin: rdkafka::admin::AdminClient<_> = running.client(&[]).create().unwrap();
    let options = rdkafka::admin::AdminOptions::new();
    futures::executor::block_on(admin.delete_topics(&["marked"], &options)).unwrap();
    running.topic("marked", 2);
    assert_eq!(committed(1).0, Offset::Invalid);
    running.stop();
}
