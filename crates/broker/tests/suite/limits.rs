//! What bounds the broker: bytes and age of a partition, connections, the address it listens on.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, BrokerConfig};
use dataflow::ManualClock;
use rdkafka::Offset;

use crate::support::{Running, eventually, next, payload, produce};

#[test]
fn a_million_small_messages_are_kept_and_read() {
    const MESSAGES: i64 = 1_000_000;
    let running = Running::new();
    running.topic("all", 1);
    produce(
        &running,
        "all",
        0,
        (0..MESSAGES).map(|n| (n, n.to_string())),
    );
    assert_eq!(running.watermarks("all", 0), (0, MESSAGES));
    assert_eq!(
        running.broker().records_in(),
        u64::try_from(MESSAGES).unwrap()
    );
    let reader = running.reader("all", 0, Offset::Beginning);
    let mut read = 0;
    while let Some(message) = next(&reader) {
        assert_eq!(payload(&message), read.to_string());
        read += 1;
    }
    assert_eq!(read, MESSAGES);
    running.stop();
}

#[test]
fn beyond_its_bytes_a_partition_drops_the_oldest() {
    const BOUND: u64 = 1 << 20;
    let running = Running::with(BrokerConfig {
        max_partition_bytes: BOUND,
        ..BrokerConfig::default()
    });
    running.topic("bounded", 1);
    produce(
        &running,
        "bounded",
        0,
        (0..200_000).map(|n| (n, format!("{n:020}"))),
    );
    let (start, end) = running.watermarks("bounded", 0);
    assert_eq!(end, 200_000);
    assert!(start > 100_000, "{start}");
    let before = running.broker().bytes_out();
    let read = running.read("bounded", 0, Offset::Beginning);
    assert!(
        read.iter()
            .map(payload)
            .eq((start..end).map(|n| format!("{n:020}")))
    );
    let kept = running.broker().bytes_out() - before;
    assert!((BOUND / 4..BOUND + BOUND / 8).contains(&kept), "{kept}");
    running.stop();
}

#[test]
fn records_grow_too_old() {
    let clock = ManualClock::new(1_000_000_000);
    let config = BrokerConfig {
        max_age: Duration::from_secs(60),
        clock: Arc::new(clock.clone()),
        ..BrokerConfig::default()
    };
    let running = Running::with(config);
    running.topic("aging", 1);
    produce(&running, "aging", 0, [(0, "old".to_owned())].into_iter());
    clock.advance(40_000_000);
    produce(&running, "aging", 0, [(0, "young".to_owned())].into_iter());
    assert_eq!(running.watermarks("aging", 0), (0, 2));
    clock.advance(40_000_000);
    eventually("the old one is gone", || {
        running.watermarks("aging", 0) == (1, 2)
    });
    clock.advance(40_000_000);
    eventually("both are gone", || running.watermarks("aging", 0) == (2, 2));
    running.stop();
}

#[test]
fn one_connection_too_many_is_closed() {
    let running = Running::with(BrokerConfig {
        max_connections: 3,
        ..BrokerConfig::default()
    });
    let mut kept: Vec<_> = (0..3).map(|_| running.wire()).collect();
    for wire in &mut kept {
        crate::wire::ask_versions(wire);
    }
    let mut refused = running.wire();
    assert!(matches!(refused.stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    crate::wire::ask_versions(&mut kept[2]);
    drop(kept);
    eventually("there is room again", || running.wire().is_answered());
    running.stop();
}

#[test]
fn only_loopback_is_listened_on() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let config = BrokerConfig {
            listen: address.parse().unwrap(),
            ..BrokerConfig::default()
        };
        let error = runtime.block_on(Broker::start(config)).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("loopback"), "{error}");
    }
}

#[test]
fn a_topic_that_cannot_be_created_says_why() {
    let running = Running::new();
    running.topic("there", 1);
    let message = |name, partitions| running.broker().create_topic(name, partitions).unwrap_err();
    assert_eq!(
        message("there", 1).message(),
        "cannot create topic \"there\": a topic of that name exists"
    );
    assert_eq!(
        message("there", 1).state(),
        dataflow::SqlState::DUPLICATE_TABLE
    );
    assert!(message("a/b", 1).message().contains("letters, digits"));
    assert!(
        message("none", 0)
            .message()
            .contains("1 to 1000 partitions")
    );
    running.stop();
}

#[test]
fn stopping_closes_connections_and_dropping_stops() {
    let running = Running::new();
    let mut wire = running.wire();
    crate::wire::ask_versions(&mut wire);
    let address = running.address();
    running.stop();
    assert!(matches!(wire.stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(std::net::TcpStream::connect(address).is_err());

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let broker = runtime
        .block_on(Broker::start(BrokerConfig::default()))
        .unwrap();
    let address = broker.address();
    drop(broker);
    eventually("nobody listens", || {
        std::net::TcpStream::connect(address).is_err()
    });
}
