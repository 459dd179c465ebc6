//! A latch that lets readers and sessions wake the engine's thread.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Cheap to clone; every clone wakes the same sleeper.
#[derive(Clone, Default)]
pub struct Waker(Arc<Latch>);

#[derive(Default)]
struct Latch {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Waker {
    /// Raises the latch: the sleeper returns at once, or its next sleep does.
    pub fn wake(&self) {
        let mut raised = self.0.raised.lock();
        if !*raised {
            *raised = true;
            self.0.changed.notify_one();
        }
    }

    /// Sleeps until woken, at most `limit`, and lowers the latch. Says whether it was woken.
    pub fn sleep(&self, limit: Duration) -> bool {
        let mut raised = self.0.raised.lock();
        if !*raised {
            self.0.changed.wait_for(&mut raised, limit);
        }
        std::mem::take(&mut *raised)
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}
