//! Topics that were deleted and made anew under the same name: noticed by their ids, or by ends that go back where the
//! brokers have no ids. librdkafka goes on at the old offset when the new topic has it, which leaves records out. Records
//! that it reads there before this is noticed, within a second, come twice: they cannot be told from the old topic's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataflow::connector::GapReason;
use dataflow::time::format_utc;
use dataflow::{Error, SqlState};
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode;

use super::{ANSWER, Link, Trouble};
use crate::native;
use crate::shared::{Key, Moved};

impl Link {
    /// Remembers the ids of topics that are read from now on.
    pub(super) fn learn_ids(&mut self, keys: &[Key]) {
        for (name, id) in native::topic_ids(&self.consumer, &names(keys), ANSWER) {
            self.ids.entry(name).or_insert(id);
        }
    }

    /// Looks by their ids whether topics were made anew, and goes on at the start of those that were; gives those that were not.
    pub(super) fn look_at_ids(&mut self) -> Result<BTreeSet<String>, Trouble> {
        let topics = names(&self.assigned);
        let known = topics
            .into_iter()
            .filter(|name| self.ids.contains_key(*name));
        let known: Vec<&str> = known.collect();
        let mut same = BTreeSet::new();
        if known.is_empty() {
            return Ok(same);
        }
        for (name, id) in native::topic_ids(&self.consumer, &known, ANSWER) {
            if self.ids.get(&name) != Some(&id) {
                self.begin_anew(&name.as_str().into())?;
                self.ids.insert(name, id);
            } else {
                same.insert(name);
            }
        }
        Ok(same)
    }

    /// The same for brokers without ids: `ends` are those of all partitions, asked just now.
    pub(super) fn look_at_ends(&mut self, ends: &BTreeMap<Key, i64>) -> Result<(), Trouble> {
        let went_back = |(key, end): &(&Key, &i64)| {
            let before = self.ends.get(*key);
            before.is_some_and(|before| *end < before) && !self.ids.contains_key(&*key.0)
        };
        let keys = ends.iter().filter(went_back);
        let mut topics: Vec<Arc<str>> = keys.map(|(key, _)| Arc::clone(&key.0)).collect();
        topics.dedup();
        topics.iter().try_for_each(|topic| self.begin_anew(topic))
    }

    /// Goes on with partitions that a topic made anew did not have at first.
    pub(super) fn go_on_with_returned(&mut self, keys: &[Key]) -> Result<(), Trouble> {
        let back = |key: &&Key| self.gone.contains(*key);
        let topics: Vec<Key> = keys.iter().filter(back).cloned().collect();
        names(&topics)
            .into_iter()
            .try_for_each(|topic| self.begin_anew(&topic.into()))
    }

    /// Goes on at the start of a topic that was made anew.
    fn begin_anew(&mut self, topic: &Arc<str>) -> Result<(), Trouble> {
        if self.is_bounded() {
            let message = format!("topic \"{topic}\" was made anew while it was read to its stop");
            let error = Error::new(SqlState::OBJECT_NOT_READY, message);
            return Err(Trouble::Final(error));
        }
        if self.settings.fails_on_lost_data {
            let message = format!("topic \"{topic}\" was made anew");
            return Err(self.no_loss(&message));
        }
        let there: Vec<Key> = self
            .partitions()?
            .into_iter()
            .filter(|key| key.0 == *topic && self.assigned.contains(key))
            .collect();
        let starts = self.offsets(&there, Offset::Beginning)?;
        self.seek(&starts)?;
        let at = format_utc(self.shared.clock.now());
        let own = self.assigned.iter().filter(|key| key.0 == *topic);
        let moved: Vec<Moved> = own
            .map(|key| {
                let position = starts.get(key).copied();
                let then = match position {
                    Some(position) => format!("went on at offset {position}"),
                    None => "it does not have this partition any more".to_owned(),
                };
                let note = format!("the topic was made anew before {at}; {then}");
                Moved {
                    key: key.clone(),
                    position,
                    reason: Some(GapReason::Recreated),
                    note: Some(note.into()),
                }
            })
            .collect();
        tracing::warn!(target: "kafka", topic = &**topic, "the topic was made anew; reading it from its start");
        self.ends.retain(|key, _| key.0 != *topic);
        let own = self.assigned.iter().filter(|key| key.0 == *topic);
        let gone: Vec<Key> = own
            .filter(|key| !starts.contains_key(*key))
            .cloned()
            .collect();
        self.gone.retain(|key| key.0 != *topic);
        self.gone.extend(gone);
        self.lost.extend(self.shared.take_lost());
        self.lost.retain(|(key, _)| key.0 != *topic);
        self.begun.extend(starts);
        self.shared.moved(moved);
        Ok(())
    }
}

impl Link {
    /// Sets partitions to the starts of their new topic.
    fn seek(&mut self, starts: &BTreeMap<Key, i64>) -> Result<(), Trouble> {
        self.lost.extend(self.shared.take_lost());
        let (stopped, read): (Vec<_>, Vec<_>) = starts
            .iter()
            .partition(|(key, _)| self.lost.iter().any(|(lost, _)| lost == *key));
        let mut list = TopicPartitionList::with_capacity(read.len());
        for (key, at) in read {
            list.add_partition_offset(&key.0, key.1, Offset::Offset(*at))?;
        }
        let own = |(key, at): (&Key, &i64)| (key.clone(), *at);
        let mut again: Vec<(Key, i64)> = stopped.into_iter().map(own).collect();
        if list.count() > 0 {
            for element in self.consumer.seek_partitions(list, ANSWER)?.elements() {
                match element.error() {
                    // It was stopped by an error that the reader has not met yet.
                    Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::State) => {
                        let at = element.offset().to_raw().unwrap_or(0);
                        again.push(((element.topic().into(), element.partition()), at));
                    }
                    result => result?,
                }
            }
        }
        self.assign_again(&again)
    }
}

/// The topics of partitions, each once. Partitions of a topic stand together.
fn names(keys: &[Key]) -> Vec<&str> {
    let mut names: Vec<&str> = keys.iter().map(|(topic, _)| &**topic).collect();
    names.sort_unstable();
    names.dedup();
    names
}
