//! What the link asks the brokers: which partitions there are, and where records begin, end, or were committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};

use super::{ANSWER, Link, Trouble};
use crate::shared::Key;
use crate::topics::{MAX_TOPICS, Topics};

impl Link {
    /// All partitions of the source's topics as the brokers know them, by topic in the order of names, then by number.
    pub(super) fn partitions(&self) -> Result<Vec<Key>, Trouble> {
        let mut keys = match &self.settings.topics {
            Topics::Named(names) => {
                let mut keys = Vec::new();
                for name in names {
                    keys.extend(self.partitions_of(name)?);
                }
                keys
            }
            Topics::Matching(_) => self.matching_partitions()?,
        };
        keys.sort_unstable();
        Ok(keys)
    }

    fn partitions_of(&self, name: &Arc<str>) -> Result<Vec<Key>, Trouble> {
        let metadata = self.consumer.fetch_metadata(Some(name), ANSWER)?;
        let topic = metadata.topics().first();
        if let Some(error) = topic.and_then(MetadataTopic::error) {
            let code = Code::from(error);
            return Err(match code {
                Code::UnknownTopicOrPartition | Code::UnknownTopicId => self.no_topic(name),
                other => {
                    Trouble::Refused(format!("topic \"{name}\": {}", crate::describe_code(other)))
                }
            });
        }
        let keys: Vec<Key> = topic
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(|partition| (Arc::clone(name), partition.id()))
            .collect();
        if keys.is_empty() {
            let reason = format!("topic \"{name}\" has no partitions yet");
            return Err(Trouble::Refused(reason));
        }
        Ok(keys)
    }

    fn matching_partitions(&self) -> Result<Vec<Key>, Trouble> {
        let metadata = self.consumer.fetch_metadata(None, ANSWER)?;
        let topics: Vec<&MetadataTopic> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && self.settings.topics.has(topic.name()))
            .collect();
        let (topics_, brokers) = (&self.settings.topics, &self.settings.brokers);
        if topics.is_empty() {
            let reason = format!("no topic on {brokers} matches '{topics_}'");
            return Err(Trouble::Refused(reason));
        }
        if topics.len() > MAX_TOPICS {
            let reason = format!("more than {MAX_TOPICS} topics match '{topics_}'");
            return Err(Trouble::Refused(reason));
        }
        let mut keys = Vec::new();
        for topic in topics {
            let name: Arc<str> = topic.name().into();
            let ids = topic.partitions().iter().map(|partition| partition.id());
            keys.extend(ids.map(|id| (Arc::clone(&name), id)));
        }
        Ok(keys)
    }

    pub(super) fn no_topic(&self, name: &str) -> Trouble {
        Trouble::Refused(format!(
            "topic \"{name}\" does not exist on {}",
            self.settings.brokers
        ))
    }

    /// Asks for an offset of each partition: the end (the last stable offset when reading committed records), the
    /// beginning, or the first record at or after a time in milliseconds; partitions without are left out.
    pub(super) fn offsets(&self, keys: &[Key], at: Offset) -> Result<BTreeMap<Key, i64>, Trouble> {
        let (offsets, trouble) = self.offsets_told(keys, at)?;
        trouble.map_or(Ok(offsets), Err)
    }

    /// As [`Link::offsets`], of the partitions that the brokers tell something of, and what is wrong with the others.
    pub(super) fn offsets_told(
        &self,
        keys: &[Key],
        at: Offset,
    ) -> Result<(BTreeMap<Key, i64>, Option<Trouble>), Trouble> {
        let list = self.consumer.offsets_for_times(list(keys, at)?, ANSWER)?;
        Ok(self.found(&list))
    }

    /// What the consumer group has committed; partitions without are left out.
    pub(super) fn committed(&self, keys: &[Key]) -> Result<BTreeMap<Key, i64>, Trouble> {
        let list = list(keys, Offset::Invalid)?;
        let list = self.consumer.committed_offsets(list, ANSWER)?;
        let (offsets, trouble) = self.found(&list);
        trouble.map_or(Ok(offsets), Err)
    }

    fn found(&self, list: &TopicPartitionList) -> (BTreeMap<Key, i64>, Option<Trouble>) {
        let mut offsets = BTreeMap::new();
        let mut trouble = None;
        for element in list.elements() {
            if let Err(error) = element.error() {
                trouble.get_or_insert(match error.rdkafka_error_code() {
                    Some(Code::UnknownTopicOrPartition | Code::UnknownTopicId) => {
                        self.no_topic(element.topic())
                    }
                    _ => error.into(),
                });
                continue;
            }
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert((element.topic().into(), element.partition()), offset);
            }
        }
        (offsets, trouble)
    }
}

/// A list of partitions, each at the same offset.
pub(super) fn list(keys: &[Key], at: Offset) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(keys.len());
    for (topic, id) in keys {
        list.add_partition_offset(topic, *id, at)?;
    }
    Ok(list)
}
