//! A read on its way to a checkpoint and back.

use std::sync::Arc;

use dataflow::connector::Position;
use dataflow::wake::Waker;
use dataflow::{Micros, Result, Watermark};
use serde::{Deserialize, Serialize};

use super::{Consumer, Feed, FeedCounts, PartitionCounts, SourceSpec};
use crate::core::Begin;
use crate::journal::{FeedId, LoggedTime};

/// A read between two ticks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FeedState {
    id: FeedId,
    source: String,
    /// How many columns the source's definition has.
    columns: u64,
    shared: bool,
    watermark: Micros,
    counts: FeedCounts,
    /// In the journal's order.
    partitions: Vec<SavedPartition>,
    consumers: Vec<SavedConsumer>,
    /// What tells the topics from others of their names.
    topics: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedPartition {
    topic: String,
    id: i32,
    position: i64,
    time: Option<LoggedTime>,
    counts: PartitionCounts,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedConsumer {
    view: String,
    leaf: u32,
    /// Records below these offsets, by number of the partition, it has already.
    skip: Vec<i64>,
}

impl FeedState {
    pub(crate) fn id(&self) -> FeedId {
        self.id
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn columns(&self) -> u64 {
        self.columns
    }

    /// Where it is, on one line.
    pub(crate) fn describe(&self) -> String {
        let place = |p: &SavedPartition| format!("{}/{} at {}", p.topic, p.id, p.position);
        let places: Vec<String> = self.partitions.iter().map(place).collect();
        let views = self.consumers.iter().map(|c| c.view.as_str());
        let views: Vec<&str> = views.collect();
        format!(
            "read of {} for {}: {}",
            self.source,
            views.join(", "),
            places.join(", ")
        )
    }

    pub(crate) fn shared(&self) -> bool {
        self.shared
    }

    /// Views, and the places in their plans.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = (&str, usize)> {
        let consumers = self.consumers.iter();
        consumers.map(|c| (c.view.as_str(), c.leaf as usize))
    }
}

impl Feed {
    /// The read as it is; `name_of` gives the names of views that last.
    pub(crate) fn save(&self, shared: bool, name_of: impl Fn(u64) -> Option<String>) -> FeedState {
        let at = |number: usize| self.numbers.iter().position(|n| *n as usize == number);
        let partitions = self.names.iter().enumerate().map(|(number, (topic, id))| {
            let at = at(number);
            let partition = at.and_then(|at| self.reader.partitions().get(at));
            let known = self.starts.get(number).map_or(0, |start| start.offset);
            SavedPartition {
                topic: topic.to_string(),
                id: *id,
                position: partition.map_or(known, |p| p.position),
                time: self.noted.get(number).copied().flatten(),
                counts: self
                    .partition_counts
                    .get(number)
                    .cloned()
                    .unwrap_or_default(),
            }
        });
        let consumers = self.consumers.iter().filter_map(|consumer| {
            Some(SavedConsumer {
                view: name_of(consumer.view)?,
                leaf: u32::try_from(consumer.leaf).unwrap_or(u32::MAX),
                skip: consumer.skip.clone(),
            })
        });
        FeedState {
            id: self.id,
            source: self.spec.name.clone(),
            columns: self.spec.schema.columns.len() as u64,
            shared,
            watermark: self.time.watermark().0,
            counts: self.counts.clone(),
            consumers: consumers.collect(),
            partitions: partitions.collect(),
            topics: self
                .topics
                .iter()
                .map(|(topic, id)| (topic.to_string(), id.clone()))
                .collect(),
        }
    }

    /// A read that goes on where it was; `later` are partitions and topics that the journal came to know after.
    pub(crate) fn load(
        state: FeedState,
        spec: Arc<SourceSpec>,
        mut consumers: Vec<Consumer>,
        later: Begin,
        waker: Waker,
    ) -> Result<Self> {
        let place = |p: &SavedPartition| Position {
            topic: p.topic.as_str().into(),
            partition: p.id,
            offset: p.position,
        };
        let mut positions: Vec<Position> = state.partitions.iter().map(place).collect();
        let is_new = |p: &Position| {
            let mut known = state.partitions.iter();
            !known.any(|k| k.id == p.partition && k.topic == *p.topic)
        };
        positions.extend(later.positions.into_iter().filter(is_new));
        let topics = state.topics.into_iter();
        let mut topics: Vec<(Arc<str>, String)> =
            topics.map(|(topic, id)| (topic.into(), id)).collect();
        for (topic, id) in later.topics {
            if !topics.iter().any(|(known, _)| *known == topic) {
                topics.push((topic, id));
            }
        }
        for (consumer, saved) in consumers.iter_mut().zip(&state.consumers) {
            consumer.skip.clone_from(&saved.skip);
        }
        let mut feed = Self::open(state.id, spec, consumers, positions, topics, waker)?;
        feed.time.advance_to(Watermark(state.watermark));
        feed.noted_watermark = Watermark(state.watermark);
        feed.counts = state.counts;
        for partition in state.partitions {
            feed.noted.push(partition.time);
            feed.partition_counts.push(partition.counts);
        }
        Ok(feed)
    }
}
