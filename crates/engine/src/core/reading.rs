//! Reading sources: polls, failures, and views that pass from a read of their own to the shared one.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::{Error, Result};

use super::{Core, FeedSlot};
use crate::aside::Aside;
use crate::feed::{Clocks, Delivery};
use crate::journal::{Event, FeedId};
use crate::view::ViewState;

impl Core {
    pub(super) fn poll_all(&mut self, clocks: Clocks) -> usize {
        let mut records = 0;
        let mut deliveries = Vec::new();
        for at in 0..self.feeds.len() {
            if self.feeds[at].failed || self.must_wait(at) {
                continue;
            }
            match self.poll_feed(at, clocks, &mut deliveries) {
                Ok(read) => records += read,
                Err(error) => self.fail_feed(at, &error),
            }
        }
        self.deliver(deliveries);
        records
    }

    /// Reads once, and tells the journal.
    fn poll_feed(
        &mut self,
        at: usize,
        clocks: Clocks,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<usize> {
        let slot = &mut self.feeds[at];
        if !slot.logged {
            // What SUBSCRIBEs alone read is not in the journal, and leaves nothing.
            let mut aside = Aside::default();
            return slot.feed.poll(clocks, deliveries, &mut aside, None);
        }
        let name = slot.feed.spec().name.clone();
        let aside = self.aside.entry(name).or_default();
        let events = self.journal.is_kept().then_some(&mut self.events);
        slot.feed.poll(clocks, deliveries, aside, events)
    }

    /// Finds the views that wait: those whose rows go, also through other views, to a sink that is far behind.
    pub(super) fn hold_back(&mut self) {
        self.held.clear();
        let limit = self.limits.sink_bytes;
        let mut sinks: HashMap<String, String> = HashMap::new();
        // Readers stand behind what they read.
        for (id, view) in self.views.iter().rev() {
            let own = &view.spec.name;
            let store = &view.spec.store;
            if view.is_alive() && store.is_pinned() && store.log_bytes() > limit {
                sinks.insert(own.clone(), own.clone());
            }
            let Some(sink) = sinks.get(own).cloned() else {
                continue;
            };
            for name in view.spec.plan.reads() {
                sinks.entry(name).or_insert_with(|| sink.clone());
            }
            self.held.push((*id, sink));
        }
    }

    /// Whether a feed waits: for a sink, or, when only SUBSCRIBEs read it, for one of them.
    fn must_wait(&self, at: usize) -> bool {
        let feed = &self.feeds[at].feed;
        let limit = self.limits.sink_bytes;
        let dead = feed.spec().aside.dead.as_ref();
        if dead.is_some_and(|store| store.log_bytes() > limit) {
            return true;
        }
        let consumers = &feed.consumers;
        if !self.held.is_empty() {
            let waits = |view: u64| self.held.iter().any(|(id, _)| *id == view);
            if consumers.iter().any(|c| waits(c.view)) {
                return true;
            }
        }
        let mut behind = false;
        for consumer in consumers {
            let view = self.views.iter().find(|(id, _)| *id == consumer.view);
            match view {
                Some((_, v)) if v.spec.ephemeral => {
                    behind |= v.spec.store.backlog(0) > self.limits.ephemeral_backlog;
                }
                _ => return false,
            }
        }
        behind
    }

    pub(super) fn deliver(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let Some(at) = self.views.iter().position(|(id, _)| *id == delivery.view) else {
                continue;
            };
            let batch = delivery.batch.clone();
            if let Err(error) = self.views[at].1.try_push(delivery.leaf, batch) {
                let failure = self.failure_at(&self.views[at].1, &delivery, error);
                self.views[at].1.fail_at(failure);
            }
        }
    }

    pub(super) fn fail_feed(&mut self, at: usize, error: &Error) {
        let slot = &mut self.feeds[at];
        slot.failed = true;
        if slot.logged {
            self.events.push(Event::Failed {
                feed: slot.feed.id(),
                state: error.state().0.to_owned(),
                message: error.message().to_owned(),
            });
        }
        let readers: Vec<u64> = slot.feed.consumers.iter().map(|c| c.view).collect();
        for (id, view) in &mut self.views {
            if readers.contains(id) && view.is_alive() {
                view.fail(error.clone());
            }
        }
    }

    /// Lets views that have read their history join the shared read: the shared read stands still while they pass it.
    pub(super) fn join_shared(&mut self, clocks: Clocks) {
        // A read that failed took its views with it; a later view opens a new one.
        self.feeds.retain(|slot| !slot.failed);
        for at in (0..self.feeds.len()).rev() {
            if self.feeds[at].shared || self.feeds[at].failed {
                continue;
            }
            // Definitions of one source that differ have a shared read each.
            let spec = Arc::clone(self.feeds[at].feed.spec());
            let Some(shared) = self
                .feeds
                .iter()
                .position(|f| f.shared && Arc::ptr_eq(f.feed.spec(), &spec))
            else {
                // The view that read for all is gone: this read takes its place once it has caught up.
                self.promote(at);
                continue;
            };
            if self.feeds[at].feed.is_finished() {
                self.caught_up(at);
            }
            if self
                .behind(at, shared)
                .is_some_and(|b| b <= self.limits.join_records)
            {
                self.try_join(at, shared, clocks);
            }
        }
    }

    /// Records between a private read and the shared one; `None` while positions are not known, when the two do not end at
    /// the same places, or when the shared one has no keys or headers and views want them: then each has a read of its own.
    pub(crate) fn behind(&self, private: usize, shared: usize) -> Option<i64> {
        if self.feeds[private].feed.is_ahead() || self.feeds[shared].feed.is_ahead() {
            return None;
        }
        let mut consumers = self.feeds[private].feed.consumers.iter();
        if !consumers.all(|c| self.feeds[shared].feed.can_serve(&c.columns)) {
            return None;
        }
        let own = self.feeds[private].feed.reader().partitions();
        let others = self.feeds[shared].feed.reader().partitions();
        if own.is_empty() || own.len() != others.len() {
            return None;
        }
        let each = others.iter().map(|b| {
            let a = own.iter().find(|a| a.is_same(b) && a.stop == b.stop)?;
            Some((b.position - a.position).max(0))
        });
        each.sum()
    }

    /// A read takes the place of the shared one.
    pub(super) fn promote(&mut self, at: usize) {
        let slot = &mut self.feeds[at];
        slot.shared = true;
        if slot.logged {
            self.events.push(Event::Promoted {
                feed: slot.feed.id(),
            });
        }
        self.caught_up(at);
    }

    fn try_join(&mut self, private: usize, shared: usize, clocks: Clocks) {
        let mut deliveries = Vec::new();
        while self.behind(private, shared).is_some_and(|b| b > 0) && !self.must_wait(private) {
            match self.poll_feed(private, clocks, &mut deliveries) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.fail_feed(private, &error);
                    return;
                }
            }
        }
        self.deliver(deliveries);
        if self.behind(private, shared) != Some(0) {
            return;
        }
        let own = self.feeds[private].feed.id();
        let others = self.feeds[shared].feed.id();
        if self.feeds[private].logged {
            self.log_feed(shared);
            self.events.push(Event::Joined {
                feed: own,
                shared: others,
            });
        }
        self.join(own, others);
    }

    /// Hands the consumers of one read to the shared one, which is nearly as far.
    pub(super) fn join(&mut self, private: FeedId, shared: FeedId) {
        let place = |feeds: &[FeedSlot], id| feeds.iter().position(|slot| slot.feed.id() == id);
        let Some(at) = place(&self.feeds, private) else {
            return;
        };
        self.caught_up(at);
        let mut before = self.feeds.swap_remove(at).feed;
        let Some(at) = place(&self.feeds, shared) else {
            return;
        };
        for consumer in std::mem::take(&mut before.consumers) {
            if let Err(error) = self.feeds[at].feed.take_over(consumer, &before) {
                tracing::error!(%error, "a view cannot join the shared read");
            }
        }
    }

    /// A read has given its views their history. A view that reads in several places has a read for each, and runs when
    /// all of them have.
    pub(super) fn caught_up(&mut self, at: usize) {
        let readers: Vec<u64> = self.feeds[at]
            .feed
            .consumers
            .iter()
            .map(|c| c.view)
            .collect();
        for id in readers {
            let reads = |slot: &FeedSlot| slot.feed.consumers.iter().any(|c| c.view == id);
            let mut feeds = self.feeds.iter().enumerate();
            if !feeds.any(|(i, slot)| i != at && !slot.shared && reads(slot)) {
                self.set_state(id, ViewState::Running);
            }
        }
    }
}
