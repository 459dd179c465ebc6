//! The reader of one source: drains partition queues in turn and never waits.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::connector::{
    Connection, Gap, GapReason, Health, Partition, PollLimits, Position, SourceReader, Wants,
};
use dataflow::{Error, Micros, Result, Slab};

use crate::drain::Drain;
use crate::native::PartitionQueue;
use crate::shared::{Key, Lost, Moved, News, Shared};

/// Reads what its background thread has assigned.
pub(crate) struct KafkaReader {
    shared: Arc<Shared>,
    wants: Wants,
    /// Whether positions are published under a group.
    commits: bool,
    partitions: Vec<Partition>,
    /// Where each is among `partitions`.
    places: HashMap<Key, usize>,
    /// Beside `partitions`.
    lanes: Vec<Lane>,
    /// The partition that is looked at first in the next poll.
    next: usize,
    failure: Option<Error>,
    /// Records left out that nobody was told of.
    gaps: Vec<Gap>,
    /// Ids of topics that nobody was told of.
    topics: Vec<(Arc<str>, String)>,
}

struct Lane {
    queue: PartitionQueue,
    paused: bool,
    /// The topic was made anew without this partition.
    gone: bool,
    /// Records of a topic made anew have come before the news of it; where the old ones had ended.
    went_back: Option<i64>,
    /// The brokers do not have the next record; nothing is read until the thread says where to go on.
    lost: bool,
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
            places: HashMap::new(),
            lanes: Vec::new(),
            next: 0,
            failure: None,
            gaps: Vec::new(),
            topics: Vec::new(),
        }
    }

    fn absorb(&mut self, news: News) {
        for found in news.found {
            let key = (Arc::clone(&found.partition.topic), found.partition.id);
            self.places.insert(key, self.partitions.len());
            self.partitions.push(found.partition);
            self.lanes.push(Lane {
                queue: found.queue,
                paused: false,
                gone: false,
                went_back: None,
                lost: false,
                trouble: None,
            });
        }
        for moved in news.moved {
            self.go_on_elsewhere(moved);
        }
        for (key, end) in news.ends {
            if let Some(at) = self.places.get(&key) {
                let partition = &mut self.partitions[*at];
                partition.end = end.max(partition.position);
                partition.at_end &= partition.end == partition.position;
            }
        }
        self.topics.extend(news.topics);
        if news.failure.is_some() {
            self.failure = news.failure;
        }
    }

    /// A partition is read on elsewhere. Its queue has no records of before any more.
    fn go_on_elsewhere(&mut self, moved: Moved) {
        let Some(at) = self.places.get(&moved.key) else {
            return;
        };
        let (partition, lane) = (&mut self.partitions[*at], &mut self.lanes[*at]);
        lane.trouble = None;
        let went_back = lane.went_back.take();
        let has_begun = went_back.is_some() && !lane.lost;
        lane.lost = false;
        let from = went_back.unwrap_or(partition.position);
        match moved.position {
            Some(_) if has_begun => {}
            Some(position) => {
                partition.position = position;
                partition.at_end = false;
            }
            None => partition.at_end = true,
        }
        if let Some(reason) = moved.reason {
            partition.note = moved.note;
            lane.gone = moved.position.is_none();
            self.gaps.push(Gap {
                partition: *at,
                from,
                to: moved.position.unwrap_or(from),
                reason,
            });
        }
        partition.end = match moved.reason {
            Some(GapReason::Recreated | GapReason::Truncated) => partition.position,
            _ => partition.end.max(partition.position),
        };
    }

    /// Drains one partition into the empty `slab`.
    fn drain(&mut self, at: usize, slab: &mut Slab, limits: PollLimits) {
        let (partition, lane) = (&mut self.partitions[at], &mut self.lanes[at]);
        slab.partition = at;
        slab.topic = Arc::clone(&partition.topic);
        let mut drain = Drain {
            slab,
            wants: self.wants,
            max_records: limits.max_records,
            max_bytes: limits.max_bytes,
            stop: partition.stop,
            position: partition.position,
            at_end: partition.at_end,
            went_back: None,
            trouble: None,
            out_of_range: false,
            ends_at: None,
            entries: 0,
        };
        lane.queue.drain(&mut drain);
        if drain.entries == 0 {
            return;
        }
        lane.went_back = lane.went_back.or(drain.went_back);
        partition.position = drain.position;
        if drain.out_of_range {
            lane.lost = true;
            self.shared.lost(Lost {
                key: (Arc::clone(&partition.topic), partition.id),
                position: partition.position,
                ends_at: drain.ends_at,
            });
        }
        partition.at_end = drain.at_end && !drain.out_of_range;
        partition.end = if drain.at_end {
            drain.position
        } else {
            partition.end.max(drain.position)
        };
        let since = match (&lane.trouble, &drain.trouble) {
            (Some(before), Some(_)) => before.since,
            (None, Some(reason)) => {
                tracing::warn!(target: "kafka", topic = &*partition.topic, partition = partition.id, "not reading, retrying: {reason}");
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
        if let Some(failure) = &self.failure
            && !self.shared.is_finished()
        {
            return Err(failure.clone());
        }
        let count = self.partitions.len();
        if count > 0 && self.partitions.iter().all(Partition::finished) {
            self.shared.finish();
            return Ok(());
        }
        for step in 0..count {
            let at = (self.next + step) % count;
            let lane = &self.lanes[at];
            if lane.paused || lane.gone || lane.lost || self.partitions[at].finished() {
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

    fn commit(&mut self, positions: &[Position]) {
        if self.commits && !positions.is_empty() {
            self.shared.commit(positions);
        }
    }

    fn take_topics(&mut self) -> Vec<(Arc<str>, String)> {
        std::mem::take(&mut self.topics)
    }

    fn connection(&self) -> Connection {
        match self.shared.is_finished() {
            true => Connection::Always,
            false => self.shared.connection(),
        }
    }

    fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    fn health(&self) -> Health {
        if self.shared.is_finished() {
            return Health::Running;
        }
        let health = self.shared.health();
        if health != Health::Running {
            return health;
        }
        let troubled = self.partitions.iter().zip(&self.lanes);
        troubled
            .filter_map(|(partition, lane)| Some((partition, lane.trouble.as_ref()?)))
            .map(|(Partition { topic, id, .. }, trouble)| Health::Retrying {
                reason: format!("topic \"{topic}\" partition {id}: {}", trouble.reason),
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
