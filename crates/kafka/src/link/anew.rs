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
use crate::native::{self, TopicId};
use crate::shared::{Key, Moved, News};

/// How often ids are asked for that brokers do not tell.
const ASKED: u32 = 5;

/// What brokers have told of topics.
#[derive(Default)]
pub(super) struct Learned {
    /// Ids that were not known.
    pub(super) ids: BTreeMap<String, TopicId>,
    /// Topics that are others than when their saved positions were read.
    pub(super) anew: BTreeSet<String>,
}

impl Learned {
    /// The ids for the reader.
    pub(super) fn topics(&self) -> Vec<(Arc<str>, String)> {
        let each = self.ids.iter();
        each.map(|(name, id)| (name.as_str().into(), id.to_string()))
            .collect()
    }
}

impl Link {
    /// Asks for the ids of topics that are to be read from now on.
    pub(super) fn learn_ids(&self, keys: &[Key]) -> Result<Learned, Trouble> {
        let mut learned = Learned::default();
        let names = names(keys);
        let found = native::topic_ids(&self.consumer, &names, ANSWER);
        for (topic, saved) in &self.request.topics {
            match found.get(&**topic) {
                Some(id) if id.to_string() != *saved => {
                    learned.anew.insert(topic.to_string());
                }
                // It has one, and without it nobody knows what its saved positions are worth.
                None if names.contains(&&**topic) => {
                    let reason = format!("the id of topic \"{topic}\" is not told");
                    return Err(Trouble::NoAnswer(reason));
                }
                _ => {}
            }
        }
        // One that is known is looked at in its turn.
        let new = found
            .into_iter()
            .filter(|(name, _)| !self.ids.contains_key(name));
        learned.ids = new.collect();
        Ok(learned)
    }

    /// From now on these ids are known.
    pub(super) fn know_ids(&mut self, ids: &BTreeMap<String, TopicId>) {
        let known = ids.iter().map(|(name, id)| (name.clone(), *id));
        self.ids.extend(known);
    }

    /// Asks once more for ids that brokers did not tell at first; those without ids are not asked for ever.
    pub(super) fn learn_missing_ids(&mut self) {
        let missing = self.assigned.iter();
        let missing = missing.filter(|key| !self.ids.contains_key(&*key.0));
        let missing: Vec<Key> = missing.cloned().collect();
        if missing.is_empty() || self.asked_for_ids >= ASKED {
            return;
        }
        self.asked_for_ids += 1;
        if let Ok(learned) = self.learn_ids(&missing) {
            self.know_ids(&learned.ids);
            self.shared.publish(News {
                topics: learned.topics(),
                ..News::default()
            });
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
                self.begin_topic_anew(&name.as_str().into(), Some(id))?;
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
        topics
            .iter()
            .try_for_each(|topic| self.begin_topic_anew(topic, None))
    }

    /// Goes on with partitions that a topic made anew did not have at first.
    pub(super) fn go_on_with_returned(&mut self, keys: &[Key]) -> Result<(), Trouble> {
        let back = |key: &&Key| self.gone.contains(*key);
        let back: Vec<Key> = keys.iter().filter(back).cloned().collect();
        let topics: Vec<Arc<str>> = names(&back).into_iter().map(Into::into).collect();
        topics.iter().try_for_each(|topic| {
            let own: Vec<Key> = back.iter().filter(|key| key.0 == *topic).cloned().collect();
            self.begin_anew(topic, &own, Vec::new())
        })
    }

    /// Goes on at the start of a topic that was made anew, under its new id if it has one.
    fn begin_topic_anew(&mut self, topic: &Arc<str>, id: Option<TopicId>) -> Result<(), Trouble> {
        let own = self.assigned.iter().filter(|key| key.0 == *topic);
        let own: Vec<Key> = own.cloned().collect();
        let id = id.map(|id| (Arc::clone(topic), id.to_string()));
        self.begin_anew(topic, &own, id.into_iter().collect())
    }

    /// Goes on at the start of partitions of a topic that was made anew, and has another id if there is one in `topics`.
    fn begin_anew(
        &mut self,
        topic: &Arc<str>,
        own: &[Key],
        topics: Vec<(Arc<str>, String)>,
    ) -> Result<(), Trouble> {
        if self.is_bounded() {
            let message = format!("topic \"{topic}\" was made anew while it was read to its stop");
            let error = Error::new(SqlState::OBJECT_NOT_READY, message);
            return Err(Trouble::Final(error));
        }
        self.check_loss(topic)?;
        let there = self.partitions()?;
        let there: Vec<Key> = there.into_iter().filter(|key| own.contains(key)).collect();
        let starts = self.offsets(&there, Offset::Beginning)?;
        self.seek(&starts)?;
        let moved = own
            .iter()
            .map(|key| self.made_anew(key.clone(), starts.get(key).copied()));
        let moved: Vec<Moved> = moved.collect();
        tracing::warn!(target: "kafka", topic = &**topic, "the topic was made anew; reading it from its start");
        self.ends.retain(|key, _| !own.contains(key));
        self.gone.retain(|key| !own.contains(key));
        let gone = own.iter().filter(|key| !starts.contains_key(*key));
        self.gone.extend(gone.cloned());
        self.lost.extend(self.shared.take_lost());
        self.lost.retain(|lost| !own.contains(&lost.key));
        self.shared.publish(News {
            moved,
            topics,
            ..News::default()
        });
        Ok(())
    }

    /// Whether the source may lose the records of a topic that was made anew.
    pub(super) fn check_loss(&self, topic: &str) -> Result<(), Trouble> {
        match self.settings.fails_on_lost_data {
            true => Err(self.no_loss(&format!("topic \"{topic}\" was made anew"))),
            false => Ok(()),
        }
    }

    /// A partition of a topic that was made anew, which begins at `position` if it is there.
    pub(super) fn made_anew(&self, key: Key, position: Option<i64>) -> Moved {
        let at = format_utc(self.shared.clock.now());
        let then = match position {
            Some(position) => format!("went on at offset {position}"),
            None => "it does not have this partition any more".to_owned(),
        };
        let note = format!("the topic was made anew before {at}; {then}");
        Moved {
            key,
            position,
            reason: Some(GapReason::Recreated),
            note: Some(note.into()),
        }
    }

    /// Sets partitions to the starts of their new topic.
    fn seek(&mut self, starts: &BTreeMap<Key, i64>) -> Result<(), Trouble> {
        self.lost.extend(self.shared.take_lost());
        let is_stopped = |key: &Key| self.lost.iter().any(|lost| lost.key == *key);
        let mut again = Vec::new();
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for (key, at) in starts {
            match is_stopped(key) {
                true => again.push((key.clone(), *at)),
                false => drop(list.add_partition_offset(&key.0, key.1, Offset::Offset(*at))?),
            }
        }
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
