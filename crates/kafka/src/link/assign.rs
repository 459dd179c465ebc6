//! Assigning partitions: where reading of each begins and where it stops, when connecting and when more are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataflow::connector::Partition;
use dataflow::{Error, SqlState};
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::anew::Learned;
use super::{Link, Trouble};
use crate::native::PartitionQueue;
use crate::shared::{Found, Key, News};
use crate::start::Start;
use crate::stop::Stop;

/// Why a partition that is not there was to be read.
const SAVED: &str = "A saved position names that partition; the topic must have been made anew.";

impl Link {
    /// Assigns all partitions that there are.
    pub(super) fn attach(&mut self) -> Result<(), Trouble> {
        let keys = self.partitions()?;
        let saved = self.request.positions.iter();
        let mut saved = saved.map(|p| (Arc::clone(&p.topic), p.partition));
        if let Some((topic, id)) = saved.find(|key| !keys.contains(key)) {
            return Err(no_partition(&topic, id, SAVED));
        }
        self.check_options(&keys)?;
        let learned = self.learn_ids(&keys)?;
        let anew = learned.anew.iter();
        anew.clone().try_for_each(|topic| self.check_loss(topic))?;
        self.assign(&keys, &self.settings.start.clone(), &learned)
    }

    /// Partitions that the options name must be there.
    fn check_options(&self, keys: &[Key]) -> Result<(), Trouble> {
        if let Start::Offsets(offsets) = &self.settings.start {
            check_offsets(keys, offsets, "start")?;
        }
        if let Stop::Offsets(offsets) = &self.settings.stop {
            check_offsets(keys, offsets, "stop")?;
        }
        Ok(())
    }

    /// Assigns partitions: those with a given position there, the others at `start`, and all of topics that were made anew since
    /// at their beginning.
    fn assign(&mut self, keys: &[Key], start: &Start, learned: &Learned) -> Result<(), Trouble> {
        let ends = self.offsets(keys, Offset::End)?;
        let is_anew = |key: &&Key| learned.anew.contains(&*key.0);
        let anew: Vec<Key> = keys.iter().filter(is_anew).cloned().collect();
        let beginnings = match anew.is_empty() {
            true => BTreeMap::new(),
            false => self.offsets(&anew, Offset::Beginning)?,
        };
        let starts = self.starts(keys, start, &ends)?;
        let stops = self.stops(keys, &ends)?;
        let (mut found, mut list) = (Vec::new(), TopicPartitionList::with_capacity(keys.len()));
        for key in keys {
            let (topic, id) = (&key.0, key.1);
            let (Some(&end), Some(&start)) = (ends.get(key), starts.get(key)) else {
                let reason =
                    format!("the offsets of topic \"{topic}\" partition {id} are not known");
                return Err(Trouble::Refused(reason));
            };
            let mut given = self.request.positions.iter();
            let given = given.find(|p| p.topic == *topic && p.partition == id);
            let position = given.map_or(start, |p| p.offset);
            // Nothing is wanted of a partition that is left out.
            let stop_of = |stops: &BTreeMap<Key, i64>| stops.get(key).copied().unwrap_or(position);
            let stop = stops.as_ref().map(stop_of);
            let waker = self.shared.waker.clone();
            let queue =
                PartitionQueue::split(&self.consumer, topic, id, waker).ok_or_else(|| {
                    let what = "librdkafka gives no queue for";
                    Trouble::Refused(format!("{what} topic \"{topic}\" partition {id}"))
                })?;
            let begin = beginnings.get(key).copied().unwrap_or(position);
            list.add_partition_offset(topic, id, Offset::Offset(begin))?;
            found.push(Found {
                partition: Partition {
                    topic: Arc::clone(topic),
                    id,
                    position,
                    end: end.max(position),
                    at_end: false,
                    stop,
                    note: None,
                },
                queue,
            });
        }
        self.consumer.incremental_assign(&list)?;
        self.assigned.extend_from_slice(keys);
        self.ends.extend(ends);
        self.know_ids(&learned.ids);
        let moved = beginnings.into_iter();
        let moved = moved.map(|(key, begin)| self.made_anew(key, Some(begin)));
        self.shared.publish(News {
            found,
            moved: moved.collect(),
            topics: learned.topics(),
            ..News::default()
        });
        Ok(())
    }

    /// Where reading begins by the options. Partitions that they say nothing of begin at the earliest.
    fn starts(
        &self,
        keys: &[Key],
        start: &Start,
        ends: &BTreeMap<Key, i64>,
    ) -> Result<BTreeMap<Key, i64>, Trouble> {
        let mut starts = match start {
            Start::Latest => return Ok(ends.clone()),
            Start::Time(when) => {
                // No offset for a time means that every record is older.
                let mut starts = ends.clone();
                starts.extend(self.offsets(keys, Offset::Offset(when.millis(self.opened)))?);
                return Ok(starts);
            }
            Start::Earliest | Start::Offsets(_) | Start::Group => {
                self.offsets(keys, Offset::Beginning)?
            }
        };
        match start {
            Start::Group => starts.extend(self.committed(keys)?),
            Start::Offsets(offsets) => {
                for key in keys {
                    let at = offsets.iter().find(|(id, _)| *id == key.1);
                    starts.extend(at.map(|(_, at)| (key.clone(), *at)));
                }
            }
            _ => {}
        }
        Ok(starts)
    }

    /// Where reading ends, or `None` when it does not; partitions that are left out are not read.
    fn stops(
        &self,
        keys: &[Key],
        ends: &BTreeMap<Key, i64>,
    ) -> Result<Option<BTreeMap<Key, i64>>, Trouble> {
        let mut stops = match &self.settings.stop {
            Stop::Never if self.request.bounded => return Ok(Some(ends.clone())),
            Stop::Never => return Ok(None),
            Stop::Latest => return Ok(Some(ends.clone())),
            Stop::Time(when) => {
                let mut stops = ends.clone();
                stops.extend(self.offsets(keys, Offset::Offset(when.millis(self.opened)))?);
                return Ok(Some(stops));
            }
            Stop::Offsets(offsets) => {
                let at = |key: &Key| offsets.iter().find(|(id, _)| *id == key.1);
                let listed = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), at(key)?.1)));
                listed.collect::<BTreeMap<_, _>>()
            }
        };
        if self.request.bounded {
            // What is not there yet is not waited for.
            for (key, stop) in &mut stops {
                *stop = (*stop).min(ends.get(key).copied().unwrap_or(*stop));
            }
        }
        Ok(Some(stops))
    }

    /// Whether the source ends: then it reads what it found when connecting.
    pub(super) fn is_bounded(&self) -> bool {
        self.request.bounded || self.settings.stop != Stop::Never
    }

    /// Looks for partitions and topics added since. They are new, so all their records are wanted, also of a source that
    /// started at the latest.
    pub(super) fn discover(&mut self) {
        let found = self.partitions().and_then(|keys| {
            self.go_on_with_returned(&keys)?;
            let is_new = |key: &Key| !self.assigned.contains(key);
            let new: Vec<Key> = keys.into_iter().filter(is_new).collect();
            if new.is_empty() {
                return Ok(());
            }
            // One that was made anew is read anew before it gets partitions.
            self.look_at_ids()?;
            let learned = self.learn_ids(&new)?;
            let learned = Learned {
                anew: BTreeSet::new(),
                ..learned
            };
            self.assign(&new, &Start::Earliest, &learned)
        });
        match found {
            Ok(()) => {}
            Err(Trouble::NoAnswer(reason) | Trouble::Refused(reason)) => {
                tracing::debug!(target: "kafka", "looking for new partitions failed: {reason}");
            }
            Err(Trouble::Final(error)) => self.shared.fail(error),
        }
    }
}

fn check_offsets(keys: &[Key], offsets: &[(i32, i64)], option: &str) -> Result<(), Trouble> {
    let mut missing = offsets
        .iter()
        .filter(|(id, _)| !keys.iter().any(|key| key.1 == *id));
    match (missing.next(), keys.first()) {
        (Some((id, _)), Some((topic, _))) => {
            let why = format!("The option {option} names that partition.");
            Err(no_partition(topic, *id, &why))
        }
        _ => Ok(()),
    }
}

fn no_partition(topic: &str, id: i32, why: &str) -> Trouble {
    let message = format!("topic \"{topic}\" has no partition {id}");
    Trouble::Final(Error::new(SqlState::OBJECT_NOT_READY, message).detail(why))
}
