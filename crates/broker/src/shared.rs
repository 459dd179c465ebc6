//! What all connections of a broker share: topics, groups, counters, and the bell that wakes waiting fetches.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::BrokerConfig;
use crate::groups::Groups;
use crate::log::Limits;
use crate::topics::Topics;

/// The state of one broker.
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) config: BrokerConfig,
    pub(crate) topics: Topics,
    pub(crate) groups: Mutex<Groups>,
    /// Rung when records arrive or a topic goes.
    pub(crate) changed: Notify,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) records_in: AtomicU64,
    next_producer: AtomicI64,
}

impl Shared {
    pub(crate) fn new(config: BrokerConfig, address: SocketAddr) -> Self {
        let limits = Limits::new(config.max_partition_bytes, config.max_age);
        Self {
            address,
            topics: Topics::new(limits),
            groups: Mutex::new(Groups::new(config.clock.now())),
            changed: Notify::new(),
            bytes_out: AtomicU64::new(0),
            records_in: AtomicU64::new(0),
            next_producer: AtomicI64::new(1),
            config,
        }
    }

    /// An id for a new idempotent producer.
    pub(crate) fn new_producer(&self) -> i64 {
        self.next_producer.fetch_add(1, Ordering::Relaxed)
    }

    /// Drops what is too old, in logs and in groups.
    pub(crate) fn tick(&self) {
        self.topics.expire(self.config.clock.now());
        self.groups.lock().tick(Instant::now());
    }
}
