//! The background thread of a reader: connects, assigns, keeps watch, commits and closes; everything that may
//! wait.

mod anew;
mod ask;
mod assign;
mod lost;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::connector::OpenRequest;
use dataflow::{Error, Micros, Result, SqlState};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::context::LinkContext;
use crate::native::{Consumer, TopicId};
use crate::settings::Settings;
use crate::shared::{Key, Lost, Shared};

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
    /// When the reader was opened.
    opened: Micros,
    /// The partitions assigned so far.
    assigned: Vec<Key>,
    /// Those of them that are not there any more.
    gone: Vec<Key>,
    /// Their ends as the brokers told them last.
    ends: BTreeMap<Key, i64>,
    /// Partitions whose next records the brokers do not have: to be read on elsewhere.
    lost: Vec<Lost>,
    /// Ids of their topics, where the brokers have some.
    ids: HashMap<String, TopicId>,
    /// How often ids were asked for once more.
    asked_for_ids: u32,
}

/// Starts the thread.
pub(crate) fn spawn(
    settings: Settings,
    request: OpenRequest,
    shared: Arc<Shared>,
    opened: Micros,
) -> Result<()> {
    let thread = std::thread::Builder::new().name("kafka-link".to_owned());
    let started = thread.spawn(move || run(settings, request, shared, opened));
    started.map(drop).map_err(|error| {
        Error::new(
            SqlState::CONFIGURATION_LIMIT,
            format!("cannot start a thread for Kafka: {error}"),
        )
    })
}

fn run(settings: Settings, request: OpenRequest, shared: Arc<Shared>, opened: Micros) {
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
        opened,
        assigned: Vec::new(),
        gone: Vec::new(),
        ends: BTreeMap::new(),
        lost: Vec::new(),
        ids: HashMap::new(),
        asked_for_ids: 0,
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

    /// Looks after the assigned partitions until the reader is gone.
    fn watch(&mut self) {
        let (mut looked, mut discovered) = (Instant::now(), Instant::now());
        let mut interval = WATCH;
        while !self.shared.is_stopped() {
            self.serve(TURN);
            self.send_commit();
            self.lost.extend(self.shared.take_lost());
            if self.shared.is_finished() {
                continue;
            }
            let is_wanted = self.shared.take_suspicion() || !self.lost.is_empty();
            if looked.elapsed() >= interval || is_wanted && looked.elapsed() >= TURN {
                interval = if self.look() { WATCH } else { RETRY };
                looked = Instant::now();
            }
            let due = !self.settings.discovery.is_zero()
                && discovered.elapsed() >= self.settings.discovery;
            if due && !self.is_bounded() {
                self.discover();
                discovered = Instant::now();
            }
        }
    }

    fn ask_ends(&mut self) -> Result<BTreeMap<Key, i64>, Trouble> {
        let same = self.look_at_ids()?;
        let there = self.assigned.iter().filter(|key| !self.gone.contains(key));
        let there: Vec<Key> = there.cloned().collect();
        let (ends, trouble) = self.offsets_told(&there, Offset::End)?;
        self.look_at_ends(&ends)?;
        self.go_on_behind_lost(&ends, &same)?;
        self.ends
            .extend(ends.iter().map(|(k, end)| (k.clone(), *end)));
        trouble.map_or(Ok(ends), Err)
    }

    /// Asks for the ends of all partitions; says whether the brokers answer.
    fn look(&mut self) -> bool {
        match self.ask_ends() {
            Ok(ends) => {
                self.shared.ends(ends.into_iter().collect());
                self.learn_missing_ids();
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
            .try_for_each(|p| {
                list.add_partition_offset(&p.topic, p.partition, Offset::Offset(p.offset))
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
