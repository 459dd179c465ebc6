//! What all connections of a broker share: topics, groups, counters, and the bell that wakes waiting fetches.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::BrokerConfig;
use crate::groups::Groups;
use crate::log::Limits;
use crate::store::{self, Store};
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
    store: Option<Arc<Store>>,
}

impl Shared {
    pub(crate) fn new(
        config: BrokerConfig,
        address: SocketAddr,
        store: Option<Store>,
    ) -> dataflow::Result<Self> {
        let limits = Limits::new(config.max_partition_bytes, config.max_age);
        let mut groups = Groups::new(config.clock.now());
        let store = store.map(Arc::new);
        let topics = match &store {
            Some(store) => {
                store.read_commits(&mut groups)?;
                Topics::open(limits, Arc::clone(store))?
            }
            None => Topics::new(limits),
        };
        topics.expire(config.clock.now());
        Ok(Self {
            address,
            topics,
            groups: Mutex::new(groups),
            changed: Notify::new(),
            bytes_out: AtomicU64::new(0),
            records_in: AtomicU64::new(0),
            // Partitions may remember producers of before.
            next_producer: AtomicI64::new(match store {
                Some(_) => config.clock.now().max(1),
                None => 1,
            }),
            store,
            config,
        })
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

    /// Makes lasting what groups have committed, and that some is not any more.
    pub(crate) fn keep_commits(&self) {
        if let Some(store) = &self.store {
            store.write_commits(|| store::commits(&self.groups.lock()));
        }
    }
}
