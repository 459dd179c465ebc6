//! A broker with a folder: topics, records and commits outlive it.

use std::path::Path;

use broker::{Broker, BrokerConfig};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{PATIENCE, Running, eventually, payload, produce};

fn on(folder: &Path) -> BrokerConfig {
    BrokerConfig {
        folder: Some(folder.to_owned()),
        ..BrokerConfig::default()
    }
}

fn committed(running: &Running) -> Offset {
    let consumer: BaseConsumer = running.client(&[("group.id", "lag")]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition("clicks", 1);
    let list = consumer.committed_offsets(list, PATIENCE).unwrap();
    list.elements()[0].offset()
}

fn commit(running: &Running, offset: i64) {
    let consumer: BaseConsumer = running.client(&[("group.id", "lag")]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("clicks", 1, Offset::Offset(offset))
        .unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

fn values(running: &Running, partition: i32) -> Vec<String> {
    let messages = running.read("clicks", partition, Offset::Beginning);
    messages.iter().map(payload).collect()
}

fn numbered(numbers: std::ops::Range<i64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

#[test]
fn topics_records_and_commits_are_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut end = 0;
    for start in 0..4 {
        let running = Running::with(on(folder.path()));
        if start == 0 {
            running.topic("clicks", 2);
            running.topic("gone", 1);
        } else {
            assert_eq!(committed(&running), Offset::Offset(end - 1));
        }
        assert_eq!(values(&running, 1), numbered(0..end));
        assert_eq!(running.watermarks("clicks", 1), (0, end));
        let more = end..end + 50;
        produce(&running, "clicks", 1, more.map(|n| (n, n.to_string())));
        end += 50;
        assert_eq!(values(&running, 1), numbered(0..end));
        assert_eq!(values(&running, 0), numbered(0..0));
        commit(&running, end - 1);
        if start == 1 {
            let deleted = running.client(&[]).create().map(
                |admin: rdkafka::admin::AdminClient<rdkafka::client::DefaultClientContext>| {
                    let options = rdkafka::admin::AdminOptions::new();
                    futures::executor::block_on(admin.delete_topics(&["gone"], &options))
                },
            );
            deleted.unwrap().unwrap()[0].as_ref().unwrap();
        }
        if start < 2 {
            running.stop();
        } else {
            // As a crash does, but for what is written every second.
            eventually("the commit is on disk", || {
                let commits = std::fs::read(folder.path().join("commits"));
                let offset = (end - 1).to_le_bytes();
                commits.is_ok_and(|bytes| bytes.windows(8).any(|bytes| bytes == offset))
            });
            drop(running);
        }
    }
    let running = Running::with(on(folder.path()));
    assert!(running.broker().create_topic("clicks", 1).is_err());
    running.topic("gone", 3);
    assert_eq!(running.watermarks("gone", 2), (0, 0));
}

#[test]
fn what_is_too_much_goes_from_disk_too_and_offsets_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = BrokerConfig {
        max_partition_bytes: 4 << 20,
        ..on(folder.path())
    };
    let running = Running::with(config.clone());
    running.topic("clicks", 1);
    let text = "x".repeat(1 << 10);
    produce(
        &running,
        "clicks",
        0,
        (0..60_000).map(|n| (n, text.clone())),
    );
    let (start, end) = running.watermarks("clicks", 0);
    assert!(start > 0 && end == 60_000);
    running.stop();
    let logs = folder.path().join("logs/clicks/0");
    let files = std::fs::read_dir(&logs).unwrap().flatten();
    let bytes: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes < 40 << 20, "{bytes} bytes stay on disk");
    let running = Running::with(config);
    let (again, end) = running.watermarks("clicks", 0);
    assert!(again > 0 && end == 60_000, "{again} {end}");
}

#[test]
fn a_folder_has_one_broker() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::with(on(folder.path()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Err(error) = runtime.block_on(Broker::start(on(folder.path()))) else {
        panic!("two brokers have one folder");
    };
    assert!(
        error.to_string().contains("another clickmill uses"),
        "{error}"
    );
    running.stop();
    runtime.block_on(Broker::start(on(folder.path()))).unwrap();
}
