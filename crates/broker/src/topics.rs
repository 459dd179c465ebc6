//! The topics of a broker and their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::{Error, Micros, SqlState};
use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};

use crate::log::{Limits, Log};
use crate::store::Store;

/// Partitions that one topic may have.
const MAX_TOPIC_PARTITIONS: i32 = 1_000;
/// Partitions of all topics together.
const MAX_PARTITIONS: usize = 4_000;

/// The same of a broker that lasts: each has a file open.
const MAX_LASTING: usize = 400;

/// All topics, by name.
pub(crate) struct Topics {
    limits: Limits,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
    store: Option<Arc<Store>>,
}

/// One topic.
pub(crate) struct Topic {
    partitions: Vec<Mutex<Log>>,
}

/// Why a topic cannot be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicError {
    Name,
    Exists,
    Partitions,
    TooMany,
    Storage,
}

impl Topics {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            by_name: RwLock::new(BTreeMap::new()),
            store: None,
        }
    }

    /// The topics of a folder, which lasts.
    pub(crate) fn open(limits: Limits, store: Arc<Store>) -> dataflow::Result<Self> {
        let mut topics = Self::new(limits);
        topics.store = Some(store);
        let known = topics.store.as_ref().map(|store| store.topics());
        for (name, partitions) in known.transpose()?.unwrap_or_default() {
            let topic = topics.topic(&name, partitions)?;
            topics.by_name.get_mut().insert(name, Arc::new(topic));
        }
        Ok(topics)
    }

    /// A topic with what is on disk of it.
    fn topic(&self, name: &str, partitions: i32) -> dataflow::Result<Topic> {
        let log = |partition: i32| {
            Ok(Mutex::new(match &self.store {
                Some(store) => {
                    let folder = store.partition(name, partition);
                    Log::open(self.limits, &folder, &store.claim())?
                }
                None => Log::new(self.limits),
            }))
        };
        let partitions: dataflow::Result<_> = (0..partitions).map(log).collect();
        Ok(Topic {
            partitions: partitions?,
        })
    }

    /// Makes it lasting which topics there are.
    fn keep(&self, topics: &BTreeMap<String, Arc<Topic>>) -> dataflow::Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let each = topics.iter();
        store.write_topics(each.map(|(name, topic)| (name, topic.partitions())))
    }

    /// Whether a topic could be created.
    pub(crate) fn check(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        check(&self.by_name.read(), name, partitions, self.most())
    }

    fn most(&self) -> usize {
        match self.store {
            Some(_) => MAX_LASTING,
            None => MAX_PARTITIONS,
        }
    }

    pub(crate) fn create(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        let mut topics = self.by_name.write();
        check(&topics, name, partitions, self.most())?;
        if let Some(store) = &self.store {
            // What is left of a topic whose deletion was cut off is not of this one.
            store.remove(name);
        }
        let made = self.topic(name, partitions).and_then(|topic| {
            topics.insert(name.to_owned(), Arc::new(topic));
            self.keep(&topics)
        });
        made.map_err(|error| {
            topics.remove(name);
            tracing::warn!(%error, "the embedded broker cannot make a topic");
            TopicError::Storage
        })
    }

    /// Removes a topic; false when there was none.
    pub(crate) fn delete(&self, name: &str) -> bool {
        let mut topics = self.by_name.write();
        let was_there = topics.remove(name).is_some();
        if was_there && let Some(store) = &self.store {
            match self.keep(&topics) {
                Ok(()) => store.remove(name),
                Err(error) => tracing::warn!(%error, "a deleted topic will be there again"),
            }
        }
        was_there
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.by_name.read().keys().cloned().collect()
    }

    /// Does something with a partition's log, if there is that partition.
    pub(crate) fn with_log<T>(
        &self,
        name: &str,
        partition: i32,
        work: impl FnOnce(&mut Log) -> T,
    ) -> Result<T, ResponseError> {
        let topic = self.get(name);
        let log = topic
            .as_ref()
            .and_then(|topic| topic.partitions.get(usize::try_from(partition).ok()?));
        Ok(work(
            &mut log.ok_or(ResponseError::UnknownTopicOrPartition)?.lock(),
        ))
    }

    /// Drops what is too old.
    pub(crate) fn expire(&self, now: Micros) {
        for topic in self.by_name.read().values() {
            for log in &topic.partitions {
                log.lock().expire(now);
            }
        }
    }
}

impl Topic {
    /// How many partitions it has.
    pub(crate) fn partitions(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("the number of partitions was an i32")
    }
}

impl TopicError {
    /// As the protocol says it.
    pub(crate) fn response(self) -> ResponseError {
        match self {
            Self::Name => ResponseError::InvalidTopicException,
            Self::Exists => ResponseError::TopicAlreadyExists,
            Self::Partitions => ResponseError::InvalidPartitions,
            Self::TooMany => ResponseError::PolicyViolation,
            Self::Storage => ResponseError::KafkaStorageError,
        }
    }

    /// The same in words.
    pub(crate) fn message(self) -> String {
        match self {
            Self::Name => {
                "a topic's name has 1 to 249 letters, digits, dots, underscores or hyphens"
                    .to_owned()
            }
            Self::Exists => "a topic of that name exists".to_owned(),
            Self::Partitions => format!("a topic has 1 to {MAX_TOPIC_PARTITIONS} partitions"),
            Self::TooMany => format!(
                "the embedded broker has at most {MAX_PARTITIONS} partitions, {MAX_LASTING} with --data-dir"
            ),
            Self::Storage => "the embedded broker cannot write it to its folder".to_owned(),
        }
    }

    pub(crate) fn of_topic(self, name: &str) -> Error {
        let state = match self {
            Self::Exists => SqlState::DUPLICATE_TABLE,
            Self::Name | Self::Partitions => SqlState::INVALID_PARAMETER,
            Self::TooMany => SqlState::CONFIGURATION_LIMIT,
            Self::Storage => SqlState::IO_ERROR,
        };
        Error::new(
            state,
            format!("cannot create topic {name:?}: {}", self.message()),
        )
    }
}

fn check(
    topics: &BTreeMap<String, Arc<Topic>>,
    name: &str,
    partitions: i32,
    most: usize,
) -> Result<(), TopicError> {
    if !is_name(name) {
        return Err(TopicError::Name);
    }
    if topics.contains_key(name) {
        return Err(TopicError::Exists);
    }
    if !(1..=MAX_TOPIC_PARTITIONS).contains(&partitions) {
        return Err(TopicError::Partitions);
    }
    let present: usize = topics.values().map(|topic| topic.partitions.len()).sum();
    if present + partitions.unsigned_abs() as usize > most {
        return Err(TopicError::TooMany);
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_checked() {
        let topics = Topics::new(Limits { bytes: 1, age: 1 });
        for name in ["", ".", "..", "a b", "ä", &"x".repeat(250)] {
            assert_eq!(topics.create(name, 1), Err(TopicError::Name));
        }
        assert_eq!(topics.create("a", 0), Err(TopicError::Partitions));
        assert_eq!(topics.create("a", 1_001), Err(TopicError::Partitions));
        assert_eq!(topics.create("a", 1_000), Ok(()));
        assert_eq!(topics.create("a", 1_000), Err(TopicError::Exists));
        for name in ["b", "c", "d"] {
            assert_eq!(topics.create(name, 1_000), Ok(()));
        }
        assert_eq!(topics.create("e", 1), Err(TopicError::TooMany));
        assert!(topics.delete("a") && !topics.delete("a"));
        assert_eq!(topics.create("e", 1), Ok(()));
    }
}
