//! The topics of a broker and their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::{Error, Micros, SqlState};
use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};

use crate::log::{Limits, Log};

/// Partitions that one topic may have.
const MAX_TOPIC_PARTITIONS: i32 = 1_000;
/// Partitions of all topics together.
const MAX_PARTITIONS: usize = 4_000;

/// All topics, by name.
pub(crate) struct Topics {
    limits: Limits,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
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
}

impl Topics {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            by_name: RwLock::new(BTreeMap::new()),
        }
    }

    /// Whether a topic could be created.
    pub(crate) fn check(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        check(&self.by_name.read(), name, partitions)
    }

    pub(crate) fn create(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        let mut topics = self.by_name.write();
        check(&topics, name, partitions)?;
        let partitions = (0..partitions)
            .map(|_| Mutex::new(Log::new(self.limits)))
            .collect();
        topics.insert(name.to_owned(), Arc::new(Topic { partitions }));
        Ok(())
    }

    /// Removes a topic; false when there was none.
    pub(crate) fn delete(&self, name: &str) -> bool {
        self.by_name.write().remove(name).is_some()
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
            Self::TooMany => format!("the embedded broker has at most {MAX_PARTITIONS} partitions"),
        }
    }

    pub(crate) fn of_topic(self, name: &str) -> Error {
        let state = match self {
            Self::Exists => SqlState::DUPLICATE_TABLE,
            Self::Name | Self::Partitions => SqlState::INVALID_PARAMETER,
            Self::TooMany => SqlState::CONFIGURATION_LIMIT,
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
    if present + partitions.unsigned_abs() as usize > MAX_PARTITIONS {
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
