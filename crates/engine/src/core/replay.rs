//! The journal run again: after a restart, everything happens as it happened before.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dataflow::connector::{Health, Position};
use dataflow::wake::Waker;
use dataflow::{Error, Result, SqlState};
use plan::RelationKind;

use super::state::sql_state;
use super::{Core, FeedSlot};
use crate::command::Change;
use crate::feed::{Clocks, Feed, Recorded, SourceSpec};
use crate::journal::{Entry, Event, FeedId, Logged};
use crate::pipeline::Leaf;
use crate::view::ViewState;

/// Longest wait for records that should be there, while the connection is well.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait until looking again: at first, and at most.
const NAPS: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(100));
/// How often a long wait is told of.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What the journal says of the reads, gathered before it is run again.
#[derive(Debug, Default)]
pub struct Starts(HashMap<FeedId, Lives>);

/// A read may be in the journal several times, with SUBSCRIBEs alone in between.
#[derive(Debug, Default)]
struct Lives {
    /// What came to a read that was there before.
    later: Begin,
    /// Where it begins each time.
    begun: VecDeque<Begin>,
}

/// Where a read begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begin {
    pub(crate) positions: Vec<Position>,
    /// What tells their topics from others of their names, as it was known first.
    pub(crate) topics: Vec<(Arc<str>, String)>,
}

impl Starts {
    /// Gathers from one entry after the other.
    pub fn note(&mut self, entry: &Entry) {
        for event in &entry.events {
            match event {
                Event::Introduced { feed } => {
                    let lives = self.0.entry(*feed).or_default();
                    lives.begun.push_back(Begin::default());
                }
                Event::Partition {
                    feed,
                    topic,
                    id,
                    position,
                } => {
                    self.begin(*feed).positions.push(Position {
                        topic: topic.as_str().into(),
                        partition: *id,
                        offset: *position,
                    });
                }
                Event::Topic { feed, topic, id } => {
                    let topics = &mut self.begin(*feed).topics;
                    if !topics.iter().any(|(known, _)| **known == **topic) {
                        topics.push((topic.as_str().into(), id.clone()));
                    }
                }
                _ => {}
            }
        }
    }
}

impl Starts {
    /// The newest beginning of a read.
    fn begin(&mut self, feed: FeedId) -> &mut Begin {
        let lives = self.0.entry(feed).or_default();
        lives.begun.back_mut().unwrap_or(&mut lives.later)
    }
}

/// A journal that is run again.
pub(crate) struct Replay {
    starts: Starts,
    stop: Arc<AtomicBool>,
}

impl Core {
    /// From now on the journal says what happens. Setting `stop` ends that with an error.
    pub fn begin_replay(&mut self, starts: Starts, stop: Arc<AtomicBool>) {
        self.replay = Some(Replay { starts, stop });
    }

    /// Makes changes again that a journal has, as what they were when it was written.
    ///
    /// # Errors
    /// When they cannot be made any more.
    pub fn change_again(&mut self, changes: Vec<Change>) -> Result<()> {
        let result = self.apply_all(changes);
        self.logged.clear();
        result
    }

    /// A view that is new now, and was not when the journal was written, has no read: the one that it took the place of has failed
    /// only this time.
    fn fail_unread(&mut self, first: u64) {
        let feeds = &self.feeds;
        for (id, view) in self.views.iter_mut().filter(|(id, _)| *id >= first) {
            let has_read = |leaf: usize| {
                let mut consumers = feeds.iter().flat_map(|slot| &slot.feed.consumers);
                consumers.any(|consumer| consumer.view == *id && consumer.leaf == leaf)
            };
            let leaves = view.pipeline.leaves().iter().enumerate();
            let mut sources = leaves.filter(|(_, leaf)| leaf.kind == RelationKind::Source);
            if view.is_alive() && sources.any(|(leaf, _)| !has_read(leaf)) {
                let message = "what it had before its query was replaced is lost";
                view.fail(Error::new(SqlState::DATA_CORRUPTED, message));
            }
        }
    }

    /// Runs a tick again; `changes_of` gives the changes that the journal has as one.
    ///
    /// # Errors
    /// `57P01` when told to stop, and those of `changes_of`.
    pub fn tick_again(
        &mut self,
        entry: &Entry,
        mut changes_of: impl FnMut(&Logged) -> Result<Vec<Change>>,
    ) -> Result<()> {
        if entry.moved {
            self.flush()?;
            self.moved = false;
        }
        let first_new = self.next_view;
        for logged in &entry.changes {
            self.change_again(changes_of(logged)?)?;
        }
        let clocks = Clocks {
            before: entry.before,
            began: entry.began,
        };
        for event in &entry.events {
            self.event_again(event, clocks)?;
        }
        self.fail_unread(first_new);
        for slot in &mut self.feeds {
            let id = slot.feed.id();
            let time = entry.times.iter().find(|time| time.feed == id);
            slot.feed.end_tick_again(time, entry.wall);
        }
        self.last_wall = entry.wall;
        self.inserted = false;
        self.run_views(entry.wall, entry.flush)?;
        if entry.version > self.version {
            self.version = entry.version;
            self.publish()?;
        }
        self.events.clear();
        Ok(())
    }

    /// The journal has nothing more: from now on things happen by themselves.
    pub fn end_replay(&mut self) {
        self.replay = None;
        for slot in &mut self.feeds {
            slot.feed.go_live();
        }
        // Time has passed since the last tick.
        self.last_wall = self.clock.now();
    }

    fn event_again(&mut self, event: &Event, clocks: Clocks) -> Result<()> {
        match event {
            Event::Attached {
                view,
                leaf,
                feed,
                columns,
                shared,
            } => self.attach_again(view, *leaf as usize, *feed, *columns, *shared),
            // The reader has been told, or will be when the read takes this name.
            Event::Introduced { .. } | Event::Partition { .. } => Ok(()),
            Event::Topic { feed, topic, id } => {
                if let Some(at) = self.feed_at(*feed) {
                    self.feeds[at].feed.topic_is(topic, id);
                }
                Ok(())
            }
            Event::Read {
                feed,
                partition,
                records,
                to,
            } => {
                let recorded = Recorded {
                    partition: *partition,
                    records: *records as usize,
                    to: *to,
                };
                self.read_again(*feed, clocks, |feed, wait| feed.read_again(recorded, wait))
            }
            Event::Gap { feed, .. } => {
                if let Some(at) = self.feed_at(*feed) {
                    let feed = &self.feeds[at].feed;
                    let aside = self.aside.entry(feed.spec().name.clone()).or_default();
                    feed.note_gap(event, clocks, aside);
                }
                Ok(())
            }
            Event::Records { feed, .. } => {
                self.read_again(*feed, clocks, |feed, wait| feed.take_records(event, wait))
            }
            Event::Joined { feed, shared } => {
                self.join_again(*feed, *shared);
                Ok(())
            }
            Event::Promoted { feed } => {
                if let Some(at) = self.feed_at(*feed) {
                    self.promote(at);
                }
                Ok(())
            }
            Event::Failed {
                feed,
                state,
                message,
            } => {
                if let Some(at) = self.feed_at(*feed) {
                    self.fail_feed(at, &Error::new(sql_state(state), message.as_str()));
                    self.feeds.retain(|slot| !slot.failed);
                }
                Ok(())
            }
        }
    }

    fn feed_at(&self, id: FeedId) -> Option<usize> {
        self.feeds.iter().position(|slot| slot.feed.id() == id)
    }

    fn attach_again(
        &mut self,
        view: &str,
        leaf_at: usize,
        id: FeedId,
        columns: u64,
        shared: bool,
    ) -> Result<()> {
        self.next_feed = self.next_feed.max(id + 1);
        let Some((view, leaf)) = self.leaf_of(view, leaf_at) else {
            return Ok(());
        };
        let source = leaf.relation.clone();
        let consumer = self.consumer(view, leaf_at, leaf);
        if !shared {
            self.set_state(view, ViewState::CatchingUp);
        }
        if let Some(at) = self.feed_at(id) {
            return self.feeds[at].feed.add(consumer);
        }
        let Some(spec) = self.definition(&source, columns) else {
            let message = format!("source \"{source}\" has no such definition");
            return Err(Error::internal(message));
        };
        let starts = self.begin_of(id);
        let Begin { positions, topics } = starts;
        let waker = self.waker.clone();
        match Feed::open(id, spec, vec![consumer], positions, topics, waker) {
            Ok(feed) => self.go_on_with(feed, shared),
            Err(error) => self.fail_view(view, &error),
        }
        Ok(())
    }

    /// The view of a name, and a place in its plan.
    pub(super) fn leaf_of(&self, view: &str, leaf_at: usize) -> Option<(u64, Leaf)> {
        let mut views = self.views.iter();
        let (id, found) = views.find(|(_, v)| v.spec.name == view)?;
        let leaf = found.pipeline.leaves().get(leaf_at)?;
        Some((*id, leaf.clone()))
    }

    /// The definition of a source that has so many columns.
    pub(super) fn definition(&self, source: &str, columns: u64) -> Option<Arc<SourceSpec>> {
        let mut definitions = self.definitions.get(source)?.iter();
        let found = definitions.find(|d| d.schema.columns.len() as u64 == columns);
        found.cloned()
    }

    /// A read that the journal has is there again.
    pub(super) fn go_on_with(&mut self, feed: Feed, shared: bool) {
        self.feeds.push(FeedSlot {
            feed,
            shared,
            failed: false,
            logged: true,
        });
    }

    /// Partitions that the journal came to know of a read that was there before.
    pub(super) fn later_of(&self, feed: FeedId) -> Begin {
        let lives = self
            .replay
            .as_ref()
            .and_then(|replay| replay.starts.0.get(&feed));
        lives.map_or_else(Begin::default, |lives| lives.later.clone())
    }

    /// Where a read begins that is opened now.
    fn begin_of(&mut self, feed: FeedId) -> Begin {
        let replay = self.replay.as_mut();
        let lives = replay.and_then(|replay| replay.starts.0.get_mut(&feed));
        lives
            .and_then(|lives| lives.begun.pop_front())
            .unwrap_or_default()
    }

    pub(super) fn fail_view(&mut self, id: u64, error: &Error) {
        if let Some((_, view)) = self.views.iter_mut().find(|(i, _)| *i == id) {
            view.fail(error.clone());
        }
    }

    /// Has a read do `read`, and hands on what it has read. A read that cannot takes its views with it.
    fn read_again(
        &mut self,
        id: FeedId,
        clocks: Clocks,
        read: impl FnOnce(&mut Feed, &mut dyn FnMut(&Health) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let (Some(at), Some(replay)) = (self.feed_at(id), &self.replay) else {
            return Ok(());
        };
        let feed = &mut self.feeds[at].feed;
        let source = feed.spec().name.clone();
        let mut waiting = Waiting::new(&source, &replay.stop, &self.waker);
        let result = read(feed, &mut |health| waiting.nap(health));
        let mut deliveries = Vec::new();
        let aside = self.aside.entry(source).or_default();
        let result = result.and_then(|()| feed.take_in(clocks, &mut deliveries, aside));
        match result {
            Ok(_) => self.deliver(deliveries),
            Err(error) if error.state() == SqlState::ADMIN_SHUTDOWN => return Err(error),
            Err(error) => {
                self.fail_feed(at, &error);
                self.feeds.retain(|slot| !slot.failed);
            }
        }
        Ok(())
    }

    fn join_again(&mut self, private: FeedId, shared: FeedId) {
        let Some(at) = self.feed_at(private) else {
            return;
        };
        if self.feed_at(shared).is_none() {
            // It was there for SUBSCRIBEs, which are not any more.
            self.next_feed = self.next_feed.max(shared + 1);
            let begin = self.begin_of(shared);
            let own = &self.feeds[at].feed;
            let (spec, consumers) = (Arc::clone(own.spec()), own.consumers.clone());
            let Begin { positions, topics } = begin;
            let waker = self.waker.clone();
            match Feed::open(shared, spec, consumers, positions, topics, waker) {
                Ok(mut feed) => {
                    // Until they join they have none of it.
                    feed.consumers.clear();
                    self.go_on_with(feed, true);
                }
                Err(error) => {
                    self.fail_feed(at, &error);
                    self.feeds.retain(|slot| !slot.failed);
                    return;
                }
            }
        }
        self.join(private, shared);
    }
}

/// A wait for records.
struct Waiting<'a> {
    source: &'a str,
    stop: &'a AtomicBool,
    waker: &'a Waker,
    /// Since when nothing has come though the connection is well.
    well_since: Option<Instant>,
    told: Instant,
    nap: Duration,
}

impl<'a> Waiting<'a> {
    fn new(source: &'a str, stop: &'a AtomicBool, waker: &'a Waker) -> Self {
        Self {
            source,
            stop,
            waker,
            well_since: None,
            told: Instant::now(),
            nap: NAPS.0,
        }
    }

    /// Waits a little. A broker that is away is waited for without an end, records of one that is there are not.
    fn nap(&mut self, health: &Health) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            let message = "told to stop while what happened before was run again";
            return Err(Error::new(SqlState::ADMIN_SHUTDOWN, message));
        }
        let source = self.source;
        if *health == Health::Running {
            let since = self.well_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= PATIENCE {
                let message =
                    format!("source \"{source}\" does not give the records that it gave before");
                return Err(Error::new(SqlState::OBJECT_NOT_READY, message));
            }
        } else {
            self.well_since = None;
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            tracing::warn!(source, ?health, "waiting for records that were read before");
        }
        self.waker.sleep(self.nap);
        self.nap = (self.nap * 2).min(NAPS.1);
        Ok(())
    }
}
