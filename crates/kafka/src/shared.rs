//! What a reader and its background thread share: news for the reader, wishes for the thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataflow::connector::{Connection, GapReason, Health, Partition, Position};
use dataflow::wake::Waker;
use dataflow::{Clock, Error};
use parking_lot::Mutex;

use crate::native::PartitionQueue;

/// A partition of a topic.
pub(crate) type Key = (Arc<str>, i32);

/// A partition that the thread has assigned, with its queue.
pub(crate) struct Found {
    pub(crate) partition: Partition,
    pub(crate) queue: PartitionQueue,
}

/// A partition whose next record the brokers do not have.
pub(crate) struct Lost {
    pub(crate) key: Key,
    /// The offset of that record.
    pub(crate) position: i64,
    /// Where the partition ended when that was seen, if it was told.
    pub(crate) ends_at: Option<i64>,
}

/// A partition that is not read on where it was.
pub(crate) struct Moved {
    pub(crate) key: Key,
    /// Where reading goes on; `None` when its topic was made anew without the partition.
    pub(crate) position: Option<i64>,
    /// Why; nothing when the brokers have the record after all.
    pub(crate) reason: Option<GapReason>,
    pub(crate) note: Option<Arc<str>>,
}

/// News for the reader since it last looked.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) found: Vec<Found>,
    pub(crate) moved: Vec<Moved>,
    /// Ends of partitions; newer ones replace older ones.
    pub(crate) ends: Vec<(Key, i64)>,
    /// Ids of topics.
    pub(crate) topics: Vec<(Arc<str>, String)>,
    pub(crate) failure: Option<Error>,
}

/// Shared between one reader, its thread and librdkafka's callbacks.
pub(crate) struct Shared {
    pub(crate) waker: Waker,
    pub(crate) clock: Arc<dyn Clock>,
    topic: String,
    /// The reader is gone.
    stopped: AtomicBool,
    /// A bounded reader has handed over all it will: what happens to the topics does not matter any more.
    finished: AtomicBool,
    /// There is news.
    fresh: AtomicBool,
    /// An error of the client makes a look at the connection worth while.
    suspect: AtomicBool,
    state: Mutex<State>,
}

struct State {
    news: News,
    health: Health,
    connected: bool,
    connection: Connection,
    last_error: Option<String>,
    /// What was lost since the last look at the connection.
    loss: Option<String>,
    lost: Vec<Lost>,
    commit: Option<Vec<Position>>,
    committing: bool,
}

impl Shared {
    pub(crate) fn new(topic: &str, waker: Waker, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            news: News::default(),
            health: Health::Connecting { reason: None },
            connected: false,
            connection: Connection::Down,
            last_error: None,
            loss: None,
            lost: Vec::new(),
            commit: None,
            committing: false,
        };
        Self {
            waker,
            clock,
            topic: topic.to_owned(),
            stopped: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            fresh: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    pub(crate) fn health(&self) -> Health {
        self.state.lock().health.clone()
    }

    /// News since the last call, if there is any.
    pub(crate) fn take_news(&self) -> Option<News> {
        if !self.fresh.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut self.state.lock().news))
    }

    /// Drops queues that the reader never took.
    pub(crate) fn clear_news(&self) {
        let news = std::mem::take(&mut self.state.lock().news);
        drop(news);
    }

    /// Partitions are read, or read on elsewhere, and what tells their topics from others of their names: all at once, as one
    /// is not true without the other.
    pub(crate) fn publish(&self, news: News) {
        let News {
            found,
            moved,
            topics,
            ..
        } = news;
        let mut state = self.state.lock();
        if !moved.is_empty() {
            // Ends asked before may be those of old topics.
            state.news.ends.clear();
        }
        let is_loss = |moved: &&Moved| {
            matches!(
                moved.reason,
                Some(GapReason::Deleted | GapReason::Truncated)
            )
        };
        if let Some(note) = moved.iter().find(is_loss).and_then(|m| m.note.as_deref()) {
            state.loss = Some(format!("records are gone: {note}"));
        }
        state.news.found.extend(found);
        state.news.moved.extend(moved);
        state.news.topics.extend(topics);
        drop(state);
        self.is_news();
    }

    /// The ends of all partitions, asked of the brokers just now: so they answer.
    pub(crate) fn ends(&self, ends: Vec<(Key, i64)>) {
        self.state.lock().news.ends = ends;
        self.fresh.store(true, Ordering::Release);
        self.running();
    }

    /// Ends the source with a final error.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(target: "kafka", topic = self.topic, "{error}");
        self.state.lock().news.failure.get_or_insert(error);
        self.is_news();
    }

    fn is_news(&self) {
        self.fresh.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether brokers answer.
    pub(crate) fn connection(&self) -> Connection {
        self.state.lock().connection
    }

    /// The brokers have just answered, whatever the answer was.
    fn answered(&self, state: &mut State) {
        let now = self.clock.now();
        state.connection = Connection::Worked {
            since: match state.connection {
                Connection::Worked { since, .. } => since,
                _ => now,
            },
            until: now,
        };
        // Whoever waits for that looks again.
        self.waker.wake();
    }

    /// Reading works.
    pub(crate) fn running(&self) {
        let mut state = self.state.lock();
        self.answered(&mut state);
        state.last_error = None;
        let reason = state.loss.take();
        if let Some(reason) = reason {
            // Shown until the next look at the connection.
            state.health = Health::Retrying {
                reason,
                since: self.clock.now(),
            };
        } else if state.health == Health::Running {
            return;
        } else {
            if state.connected {
                tracing::info!(target: "kafka", topic = self.topic, "reading again");
            }
            state.health = Health::Running;
        }
        state.connected = true;
        drop(state);
        self.waker.wake();
    }

    /// Reading does not work now: the brokers gave no answer. What the client told last says better why than
    /// `what`, the name of what failed.
    pub(crate) fn no_answer(&self, what: &str) {
        let mut state = self.state.lock();
        state.connection = Connection::Down;
        let told = state.last_error.clone();
        drop(state);
        self.not_reading(told.unwrap_or_else(|| what.to_owned()));
    }

    /// Reading does not work now, as the brokers say.
    pub(crate) fn trouble(&self, reason: String) {
        let mut state = self.state.lock();
        self.answered(&mut state);
        drop(state);
        self.not_reading(reason);
    }

    fn not_reading(&self, reason: String) {
        let mut state = self.state.lock();
        let health = match &state.health {
            _ if !state.connected => Health::Connecting {
                reason: Some(reason),
            },
            Health::Retrying { since, .. } => Health::Retrying {
                reason,
                since: *since,
            },
            _ => Health::Retrying {
                reason,
                since: self.clock.now(),
            },
        };
        if health == state.health {
            return;
        }
        let is_news = !matches!(
            (&state.health, &health),
            (Health::Retrying { .. }, Health::Retrying { .. })
                | (
                    Health::Connecting { reason: Some(_) },
                    Health::Connecting { .. }
                )
        );
        if is_news
            && let Health::Retrying { reason, .. }
            | Health::Connecting {
                reason: Some(reason),
            } = &health
        {
            tracing::warn!(target: "kafka", topic = self.topic, "not reading, retrying: {reason}");
        }
        state.health = health;
        drop(state);
        self.waker.wake();
    }

    /// An error of the client, with librdkafka's words for it.
    pub(crate) fn note_error(&self, reason: &str, all_down: bool) {
        let mut state = self.state.lock();
        // "1/1 brokers are down" says less than what was told just before.
        if !(all_down && state.last_error.is_some()) {
            state.last_error = Some(shorten(reason));
        }
        drop(state);
        self.suspect.store(true, Ordering::Release);
    }

    /// Whether an error came since the last call.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.suspect.swap(false, Ordering::AcqRel)
    }

    /// The brokers do not have a record that was to be read next.
    pub(crate) fn lost(&self, lost: Lost) {
        self.state.lock().lost.push(lost);
    }

    /// What was lost since the last call.
    pub(crate) fn take_lost(&self) -> Vec<Lost> {
        std::mem::take(&mut self.state.lock().lost)
    }

    /// Wishes `positions` committed; a wish not yet fulfilled is replaced.
    pub(crate) fn commit(&self, positions: &[Position]) {
        self.state.lock().commit = Some(positions.to_vec());
    }

    /// The positions to commit now; none while a commit is under way.
    pub(crate) fn begin_commit(&self) -> Option<Vec<Position>> {
        let mut state = self.state.lock();
        if state.committing {
            return None;
        }
        let positions = state.commit.take()?;
        state.committing = true;
        Some(positions)
    }

    pub(crate) fn commit_done(&self) {
        self.state.lock().committing = false;
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.state.lock().committing
    }
}

/// librdkafka's words without what changes from one attempt to the next: `connect to ipv4#127.0.0.1:9092
/// failed: Connection refused` of `127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection
/// refused (after 0ms in state CONNECT, 1 identical error(s) suppressed)`.
fn shorten(reason: &str) -> String {
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    match reason.split_once(": Connect to ") {
        Some((_, rest)) => format!("connect to {rest}"),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn reasons_are_the_same_for_every_attempt() {
        let first = "GroupCoordinator: h:1: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
        let second = "h:1/1: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 9ms in state CONNECT, 1 identical error(s) suppressed)";
        assert_eq!(
            shorten(first),
            "connect to ipv4#10.0.0.1:1 failed: Connection refused"
        );
        assert_eq!(shorten(first), shorten(second));
        assert_eq!(shorten("1/1 brokers are down"), "1/1 brokers are down");
    }
}
