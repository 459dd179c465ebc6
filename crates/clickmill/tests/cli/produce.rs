//! `clickmill produce` against a broker in the test's process.

use std::path::Path;

use broker::{Broker, BrokerConfig};

use crate::process::{Ended, Process, clickmill, command};

/// A broker with the topic `clicks`, and the runtime that it lives on.
struct Kafka {
    broker: Option<Broker>,
    address: String,
    runtime: tokio::runtime::Runtime,
}

impl Kafka {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let broker = runtime
            .block_on(Broker::start(BrokerConfig::default()))
            .unwrap();
        broker.create_topic("clicks", 3).unwrap();
        Self {
            address: broker.address().to_string(),
            broker: Some(broker),
            runtime,
        }
    }

    fn records(&self) -> u64 {
        self.broker.as_ref().unwrap().records_in()
    }

    fn words<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["produce", "--brokers", &self.address];
        words.extend(more);
        words
    }

    fn produce(&self, more: &[&str]) -> Ended {
        clickmill(Path::new("."), &self.words(more))
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let broker = self.broker.take().unwrap();
        self.runtime.block_on(broker.shutdown());
    }
}

#[test]
fn so_many_events_are_sent() {
    let kafka = Kafka::start();
    let ended = kafka.produce(&["--topic", "clicks", "--events", "2500", "--rate", "0"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .starts_with("2,500 events delivered to topic clicks in "),
        "{ended:?}"
    );
    assert_eq!(kafka.records(), 2_500);
}

#[test]
fn so_many_a_second_are_sent_to_a_topic_that_is_made() {
    let kafka = Kafka::start();
    let words = [
        "--topic",
        "new",
        "--partitions",
        "2",
        "--rate",
        "200",
        "--seconds",
        "1",
    ];
    let ended = kafka.produce(&words);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("note: created topic new with 2 partitions\n"),
        "{ended:?}"
    );
    assert_eq!(kafka.records(), 200);
    let again = kafka.produce(&words);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(!again.stderr.contains("created"), "{again:?}");
}

#[test]
fn failed_deliveries_have_exit_code_1() {
    let kafka = Kafka::start();
    let ended = kafka.produce(&[
        "--topic",
        "missing",
        "--events",
        "5",
        "--property",
        "message.timeout.ms=500",
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("error: 5 events were not delivered: "),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("hint: is there a broker at "),
        "{ended:?}"
    );
}

#[test]
fn a_setting_that_librdkafka_does_not_know_is_refused() {
    let words = ["produce", "--events", "5", "--property", "no.such=1"];
    let ended = clickmill(Path::new("."), &words);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no.such"), "{ended:?}");
}

#[test]
fn an_interrupt_ends_it_with_a_summary() {
    let kafka = Kafka::start();
    for (more, code) in [(&[][..], 0), (&["--seconds", "1000"][..], 130)] {
        let before = kafka.records();
        let mut words = vec!["--topic", "clicks", "--rate", "500"];
        words.extend(more);
        let process = Process::start(&mut command(Path::new("."), &kafka.words(&words)));
        wait_until(|| kafka.records() > before + 100);
        process.signal("INT");
        let ended = process.end();
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(
            ended
                .stderr
                .contains(" events delivered to topic clicks in "),
            "{ended:?}"
        );
        assert!(ended.stderr.contains(" 0 failed\n"), "{ended:?}");
    }
}

fn wait_until(holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + crate::process::PATIENCE;
    while !holds() {
        assert!(
            std::time::Instant::now() < deadline,
            "it did not come about"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
