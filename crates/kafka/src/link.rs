//! The background thread of a reader: connects, assigns, keeps watch, commits and closes; everything that may
//! wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::connector::{OpenRequest, Partition};
use dataflow::{Error, Result, SqlState};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::context::LinkContext;
use crate::native::{Consumer, PartitionQueue};
use crate::settings::Settings;
use crate::shared::{Found, Shared};
use crate::start::Start;

/// How long one question to the brokers may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How long the thread waits for events of the client before it looks after everything else.
const TURN: Duration = Duration::from_millis(100);
/// The wait between two attempts to connect, and between two looks at a connection that is lost.
const RETRY: Duration = Duration::from_millis(250);
/// How often the ends of the partitions are asked for while all is well.
const WATCH: Duration = Duration::from_secs(1);
/// How long the last commit may hold up closing.
const LAST_COMMIT: Duration = Duration::from_secs(1);

/// Why something did not work.
enum Trouble {
    /// The brokers gave no answer; what the client told before may say why.
    NoAnswer(String),
    /// The brokers' answer was no; worth another attempt.
    Refused(String),
    /// The source is at its end.
    Final(Error),
}

impl From<KafkaError> for Trouble {
    fn from(error: KafkaError) -> Self {
        Self::NoAnswer(crate::describe(&error))
    }
}

struct Link {
    settings: Settings,
    request: OpenRequest,
    shared: Arc<Shared>,
    consumer: Arc<Consumer>,
    /// Ids of the partitions assigned so far.
    assigned: Vec<i32>,
}

/// Starts the thread.
pub(crate) fn spawn(settings: Settings, request: OpenRequest, shared: Arc<Shared>) -> Result<()> {
    let thread = std::thread::Builder::new().name("kafka-link".to_owned());
    let started = thread.spawn(move || run(settings, request, shared));
    started.map(drop).map_err(|error| {
        Error::new(
            SqlState::CONFIGURATION_LIMIT,
            format!("cannot start a thread for Kafka: {error}"),
        )
    })
}

fn run(settings: Settings, request: OpenRequest, shared: Arc<Shared>) {
    let context = LinkContext {
        shared: Arc::clone(&shared),
    };
    let consumer = match settings
        .config
        .create_with_context::<LinkContext, Consumer>(context)
    {
        Ok(consumer) => Arc::new(consumer),
        Err(error) => {
            let message = format!("cannot make a Kafka client: {error}");
            return shared.fail(Error::new(SqlState::CONNECTION_FAILURE, message));
        }
    };
    let mut link = Link {
        settings,
        request,
        shared,
        consumer,
        assigned: Vec::new(),
    };
    match link.connect() {
        Ok(()) => link.watch(),
        Err(error) => link.shared.fail(error),
    }
    while !link.shared.is_stopped() {
        link.serve(TURN);
    }
    link.close();
}

impl Link {
    /// Tries until partitions are assigned or the reader is gone.
    fn connect(&mut self) -> Result<()> {
        while !self.shared.is_stopped() {
            match self.attach() {
                Ok(()) => {
                    self.shared.running();
                    break;
                }
                Err(Trouble::NoAnswer(what)) => self.shared.no_answer(&what),
                Err(Trouble::Refused(reason)) => self.shared.trouble(reason),
                Err(Trouble::Final(error)) => return Err(error),
            }
            self.serve(RETRY);
        }
        Ok(())
    }

    fn attach(&mut self) -> Result<(), Trouble> {
        let ids = self.partition_ids()?;
        if let Some((missing, _)) = self
            .request
            .positions
            .iter()
            .find(|(id, _)| !ids.contains(id))
        {
            let message = format!(
                "topic \"{}\" has no partition {missing}",
                self.settings.topic
            );
            return Err(Trouble::Final(
                Error::new(SqlState::OBJECT_NOT_READY, message).detail(
                    "A saved position names that partition; the topic must have been made anew.",
                ),
            ));
        }
        self.assign(&ids, self.settings.start)
    }

    /// The topic's partitions as the brokers know them, ascending.
    fn partition_ids(&self) -> Result<Vec<i32>, Trouble> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(&self.settings.topic), ANSWER)?;
        let topic = metadata.topics().first();
        if let Some(error) = topic.and_then(|topic| topic.error()) {
            use rdkafka::types::RDKafkaRespErr as Code;
            let (topic, brokers) = (&self.settings.topic, &self.settings.brokers);
            return Err(Trouble::Refused(match error {
                Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                    format!("topic \"{topic}\" does not exist on {brokers}")
                }
                other => format!("topic \"{topic}\": {}", crate::describe_code(other.into())),
            }));
        }
        let mut ids: Vec<i32> = topic
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(|partition| partition.id())
            .collect();
        if ids.is_empty() {
            return Err(Trouble::Refused(format!(
                "topic \"{}\" has no partitions yet",
                self.settings.topic
            )));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Assigns partitions: those with a given position there, the others at `start`.
    fn assign(&mut self, ids: &[i32], start: Start) -> Result<(), Trouble> {
        let ends = self.offsets(ids, Offset::End)?;
        let starts = match start {
            Start::Earliest => self.offsets(ids, Offset::Beginning)?,
            Start::Latest => BTreeMap::new(),
            Start::Timestamp(at) => self.offsets(ids, Offset::Offset(at))?,
        };
        let (mut found, mut list) = (Vec::new(), TopicPartitionList::with_capacity(ids.len()));
        for &id in ids {
            let Some(&end) = ends.get(&id) else {
                return Err(Trouble::Refused(format!(
                    "the end of partition {id} is not known"
                )));
            };
            let given = self
                .request
                .positions
                .iter()
                .find(|(given, _)| *given == id)
                .map(|(_, at)| *at);
            // No offset for a timestamp means that every record is older.
            let position = given.or_else(|| starts.get(&id).copied()).unwrap_or(end);
            let waker = self.shared.waker.clone();
            let queue = PartitionQueue::split(&self.consumer, &self.settings.topic, id, waker)
                .ok_or_else(|| {
                    Trouble::Refused(format!("librdkafka gives no queue for partition {id}"))
                })?;
            list.add_partition_offset(&self.settings.topic, id, Offset::Offset(position))?;
            let stop = self.request.bounded.then_some(end);
            let end = end.max(position);
            found.push(Found {
                partition: Partition {
                    id,
                    position,
                    end,
                    at_end: false,
                    stop,
                },
                queue,
            });
        }
        self.consumer.incremental_assign(&list)?;
        self.assigned.extend(ids);
        self.shared.found(found);
        Ok(())
    }

    /// Asks the brokers for an offset of each partition: the end (the last stable offset when reading
    /// committed records), the beginning, or the first record at or after a time in milliseconds; partitions
    /// without are left out.
    fn offsets(&self, ids: &[i32], at: Offset) -> Result<BTreeMap<i32, i64>, Trouble> {
        let mut list = TopicPartitionList::with_capacity(ids.len());
        for id in ids {
            list.add_partition_offset(&self.settings.topic, *id, at)?;
        }
        let list = self.consumer.offsets_for_times(list, ANSWER)?;
        let mut offsets = BTreeMap::new();
        for element in list.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    /// Looks after an assigned topic until the reader is gone.
    fn watch(&mut self) {
        let (mut looked, mut discovered) = (Instant::now(), Instant::now());
        let mut interval = WATCH;
        while !self.shared.is_stopped() {
            self.serve(TURN);
            self.send_commit();
            if looked.elapsed() >= interval || self.shared.take_suspicion() {
                interval = if self.look() { WATCH } else { RETRY };
                looked = Instant::now();
            }
            let due = !self.settings.discovery.is_zero()
                && discovered.elapsed() >= self.settings.discovery;
            if due && !self.request.bounded {
                self.discover();
                discovered = Instant::now();
            }
        }
    }

    /// Asks for the ends of all partitions; says whether the brokers answer.
    fn look(&self) -> bool {
        match self.offsets(&self.assigned, Offset::End) {
            Ok(ends) => {
                self.shared.ends(ends.into_iter().collect());
                true
            }
            Err(Trouble::NoAnswer(what)) => {
                self.shared.no_answer(&what);
                false
            }
            Err(Trouble::Refused(reason)) => {
                self.shared.trouble(reason);
                false
            }
            Err(Trouble::Final(error)) => {
                self.shared.fail(error);
                false
            }
        }
    }

    /// Looks for partitions added since. They are new to the topic, so all their records are wanted, also of
    /// a source that started at the latest.
    fn discover(&mut self) {
        let found = self.partition_ids().and_then(|ids| {
            let new: Vec<i32> = ids
                .into_iter()
                .filter(|id| !self.assigned.contains(id))
                .collect();
            if new.is_empty() {
                Ok(())
            } else {
                self.assign(&new, Start::Earliest)
            }
        });
        match found {
            Ok(()) => {}
            Err(Trouble::NoAnswer(reason) | Trouble::Refused(reason)) => {
                tracing::debug!(target: "kafka", "looking for new partitions failed: {reason}");
            }
            Err(Trouble::Final(error)) => self.shared.fail(error),
        }
    }

    /// Serves the client's events (log lines, errors, results of commits) for at most `limit`.
    fn serve(&self, limit: Duration) {
        let begun = Instant::now();
        while let Some(left) = limit
            .checked_sub(begun.elapsed())
            .filter(|left| !left.is_zero())
        {
            if self.shared.is_stopped() {
                return;
            }
            match self.consumer.poll(left.min(TURN)) {
                // Every queue is split off before its partition is assigned, so records never come this way;
                // if one did, going on would leave it out.
                Some(Ok(_)) => self.shared.fail(Error::internal(
                    "a record came outside its partition's queue",
                )),
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let message = format!("Kafka client failed: {}", crate::describe_code(code));
                    self.shared
                        .fail(Error::new(SqlState::CONNECTION_FAILURE, message));
                }
                // Errors of the client have gone to the context.
                Some(Err(_)) | None => {}
            }
        }
    }

    fn send_commit(&self) {
        let Some(positions) = self.shared.begin_commit() else {
            return;
        };
        let mut list = TopicPartitionList::with_capacity(positions.len());
        let sent = positions
            .iter()
            .try_for_each(|(id, at)| {
                list.add_partition_offset(&self.settings.topic, *id, Offset::Offset(*at))
            })
            .and_then(|()| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = sent {
            tracing::warn!(target: "kafka", "committing offsets failed: {}", crate::describe(&error));
            self.shared.commit_done();
        }
    }

    /// Commits what is left to commit and closes the client. The reader's queues are gone by now.
    fn close(self) {
        self.shared.clear_news();
        let begun = Instant::now();
        self.send_commit();
        while self.shared.is_committing() && begun.elapsed() < LAST_COMMIT {
            drop(self.consumer.poll(TURN));
        }
        drop(self.consumer);
    }
}
