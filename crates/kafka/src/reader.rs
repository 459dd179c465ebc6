//! The reader of one topic: drains partition queues in turn and never waits.

use std::sync::Arc;

use dataflow::connector::{Health, Partition, PollLimits, SourceReader, Wants};
use dataflow::{Error, Micros, Result, Slab};

use crate::drain::Drain;
use crate::native::PartitionQueue;
use crate::shared::{News, Shared};

/// Reads what its background thread has assigned.
pub(crate) struct KafkaReader {
    shared: Arc<Shared>,
    wants: Wants,
    /// Whether positions are published under a group.
    commits: bool,
    partitions: Vec<Partition>,
    /// Beside `partitions`.
    lanes: Vec<Lane>,
    /// The partition that is looked at first in the next poll.
    next: usize,
    failure: Option<Error>,
}

struct Lane {
    queue: PartitionQueue,
    paused: bool,
    trouble: Option<Trouble>,
}

struct Trouble {
    reason: String,
    since: Micros,
}

impl KafkaReader {
    pub(crate) fn new(shared: Arc<Shared>, wants: Wants, commits: bool) -> Self {
        Self {
            shared,
            wants,
            commits,
            partitions: Vec::new(),
            lanes: Vec::new(),
            next: 0,
            failure: None,
        }
    }

    fn absorb(&mut self, news: News) {
        for found in news.found {
            self.partitions.push(found.partition);
            self.lanes.push(Lane {
                queue: found.queue,
                paused: false,
                trouble: None,
            });
        }
        for (id, end) in news.ends {
            if let Some(partition) = self
                .partitions
                .iter_mut()
                .find(|partition| partition.id == id)
            {
                partition.end = end.max(partition.position);
                partition.at_end &= partition.end == partition.position;
            }
        }
        if news.failure.is_some() {
            self.failure = news.failure;
        }
    }

    /// Drains one partition into the empty `slab`.
    fn drain(&mut self, at: usize, slab: &mut Slab, limits: PollLimits) {
        let (partition, lane) = (&mut self.partitions[at], &mut self.lanes[at]);
        slab.partition = at;
        let mut drain = Drain {
            slab,
            wants: self.wants,
            max_records: limits.max_records,
            max_bytes: limits.max_bytes,
            stop: partition.stop,
            position: partition.position,
            at_end: partition.at_end,
            trouble: None,
            entries: 0,
        };
        lane.queue.drain(&mut drain);
        if drain.entries == 0 {
            return;
        }
        partition.position = drain.position;
        partition.at_end = drain.at_end;
        partition.end = if drain.at_end {
            drain.position
        } else {
            partition.end.max(drain.position)
        };
        let since = match (&lane.trouble, &drain.trouble) {
            (Some(before), Some(_)) => before.since,
            (None, Some(reason)) => {
                tracing::warn!(target: "kafka", partition = partition.id, "not reading, retrying: {reason}");
                self.shared.clock.now()
            }
            _ => 0,
        };
        lane.trouble = drain.trouble.map(|reason| Trouble { reason, since });
    }
}

impl SourceReader for KafkaReader {
    fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    fn poll(&mut self, slab: &mut Slab, limits: PollLimits) -> Result<()> {
        slab.clear();
        if let Some(news) = self.shared.take_news() {
            self.absorb(news);
        }
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let count = self.partitions.len();
        for step in 0..count {
            let at = (self.next + step) % count;
            if self.lanes[at].paused || self.partitions[at].finished() {
                continue;
            }
            self.drain(at, slab, limits);
            if !slab.is_empty() {
                self.next = at + 1;
                break;
            }
        }
        Ok(())
    }

    fn set_paused(&mut self, partition: usize, paused: bool) {
        // The queue of a paused partition fills up to its limit, then librdkafka stops fetching for it.
        if let Some(lane) = self.lanes.get_mut(partition) {
            lane.paused = paused;
        }
    }

    fn commit(&mut self, positions: &[(i32, i64)]) {
        if self.commits && !positions.is_empty() {
            self.shared.commit(positions);
        }
    }

    fn health(&self) -> Health {
        let health = self.shared.health();
        if health != Health::Running {
            return health;
        }
        let troubled = self.partitions.iter().zip(&self.lanes);
        troubled
            .filter_map(|(partition, lane)| Some((partition.id, lane.trouble.as_ref()?)))
            .map(|(id, trouble)| Health::Retrying {
                reason: format!("partition {id}: {}", trouble.reason),
                since: trouble.since,
            })
            .next()
            .unwrap_or(health)
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        // Queues first: the thread then holds the last reference to the client and does the slow closing.
        self.lanes.clear();
        self.shared.stop();
    }
}
