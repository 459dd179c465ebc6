//! Numbers that are sent to a topic, each in a record of its own, until somebody says stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::world::PATIENCE;

/// The topic.
pub const TOPIC: &str = "numbers";
/// Its partitions.
pub const PARTITIONS: i32 = 4;
/// Event time of the first record: 2026-01-01 00:00:00 UTC, in milliseconds.
pub const FIRST_MS: i64 = 1_767_225_600_000;
/// Event time from one record to the next, in milliseconds.
pub const STEP_MS: i64 = 10;

/// Sends numbers until it is told to stop.
pub struct Numbers {
    sent: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Numbers {
    /// Makes the topic and begins to send.
    pub fn start(brokers: &str) -> Self {
        kafka::admin::create_topic(brokers, TOPIC, PARTITIONS).unwrap();
        let producer = kafka::Producer::new(
            brokers,
            TOPIC,
            &[
                ("enable.idempotence", "true"),
                ("message.timeout.ms", "120000"),
            ],
        )
        .unwrap();
        let (sent, stop) = (
            Arc::new(AtomicI64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let send = move || {
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    put(&producer, n, FIRST_MS + n * STEP_MS);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // An hour later in every partition: all windows of numbers close.
            let n = count.load(Ordering::Relaxed);
            for partition in 0..i64::from(PARTITIONS) {
                put(
                    &producer,
                    partition - i64::from(PARTITIONS),
                    FIRST_MS + n * STEP_MS + 3_600_000,
                );
            }
            let delivery = producer.flush(PATIENCE);
            assert_eq!(delivery.failed + delivery.pending, 0, "{delivery:?}");
        };
        Self {
            sent,
            stop,
            thread: std::thread::spawn(send),
        }
    }

    /// How many numbers were sent so far.
    pub fn sent(&self) -> i64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; gives how many numbers there are, besides the four that close the windows.
    pub fn end(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

/// Sends a number.
fn put(producer: &kafka::Producer, n: i64, ts: i64) {
    let payload = format!(r#"{{"n":{n},"user":"u{}","ts":{ts}}}"#, n.rem_euclid(50));
    let partition = i32::try_from(n.rem_euclid(i64::from(PARTITIONS))).unwrap();
    let record = kafka::Record {
        payload: Some(payload.as_bytes()),
        partition: Some(partition),
        ..kafka::Record::default()
    };
    producer.send(&record).unwrap();
}
