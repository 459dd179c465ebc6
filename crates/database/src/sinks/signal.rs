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

    /// Gives an order; the last one counts, but none to go on after one to end.
    pub(super) fn give(&self, order: Order) {
        let mut state = self.state.lock();
        let ends = matches!(state.order, Order::Quit | Order::Drain { .. });
        if !ends || order == Order::Quit {
            state.order = order;
        }
        drop(state);
        self.heard.notify_one();
    }

    /// The order at the moment.
    pub(super) fn order(&self) -> Order {
        self.state.lock().order
    }

    /// Waits until the order is to try again, which is an order for once, or to end; says whether it is the first.
    pub(super) fn wait_for_resume(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            match state.order {
                Order::Go => self.heard.wait(&mut state),
                Order::Resume => {
                    state.order = Order::Go;
                    return true;
                }
                Order::Drain { .. } | Order::Quit => return false,
            }
        }
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
