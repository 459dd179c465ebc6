//! How a sink's thread is told that there is something to write, and when to end.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What a sink's thread is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Write.
    #[default]
    Go,
    /// Try again after a failure.
    Resume,
    /// Write what there is and end; end in any case at this time.
    Drain {
        /// The time.
        until: Instant,
    },
    /// End.
    Quit,
}

#[derive(Default)]
struct State {
    order: Order,
    changed: bool,
}

/// The orders of one thread.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    heard: Condvar,
}

impl Signal {
    /// There is a new version.
    pub(super) fn changed(&self) {
        self.state.lock().changed = true;
        self.heard.notify_one();
    }

    /// Gives an order; the last one counts, but nothing after [`Order::Quit`].
    pub(super) fn give(&self, order: Order) {
        let mut state = self.state.lock();
        if state.order != Order::Quit {
            state.order = order;
        }
        drop(state);
        self.heard.notify_one();
    }

    /// The order at the moment.
    pub(super) fn order(&self) -> Order {
        self.state.lock().order
    }

    /// Whether to try again; that is an order for once.
    pub(super) fn take_resume(&self) -> bool {
        let mut state = self.state.lock();
        let resumed = state.order == Order::Resume;
        if resumed {
            state.order = Order::Go;
        }
        resumed
    }

    /// Waits for a version or an order, at most so long.
    pub(super) fn wait(&self, most: Duration) {
        let mut state = self.state.lock();
        let before = state.order;
        let until = Instant::now() + most;
        while !state.changed && state.order == before {
            if self.heard.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.changed = false;
    }

    /// Waits for an order, at most so long.
    pub(super) fn wait_for_order(&self, most: Duration) {
        let mut state = self.state.lock();
        let before = state.order;
        let until = Instant::now() + most;
        while state.order == before {
            if self.heard.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
    }
}
