//! What is told of checkpoints and recoveries.

use std::collections::VecDeque;
use std::sync::OnceLock;

use dataflow::{Micros, Result};
use durable::Place;
use parking_lot::Mutex;

use super::Recovery;
use super::savepoints::Savepoints;

/// Checkpoints that are told of.
const TOLD: usize = 100;

/// A checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct CheckpointStatus {
    /// The journal's entry that follows it.
    pub(crate) id: u64,
    /// The version of the views that it holds.
    pub(crate) version: u64,
    /// When it was begun.
    pub(crate) begun: Micros,
    /// How long the engine stood still for it, in microseconds.
    pub(crate) pause: Micros,
    /// How long it took until it was on disk, in microseconds.
    pub(crate) took: Option<Micros>,
    pub(crate) bytes: Option<u64>,
    pub(crate) failure: Option<String>,
}

/// A start on a folder that had been used before.
#[derive(Clone, Debug)]
pub(crate) struct RecoveryStatus {
    /// When it was done.
    pub(crate) at: Micros,
    /// How long it took, in microseconds.
    pub(crate) took: Micros,
    pub(crate) what: Recovery,
}

/// The newest checkpoints, what was done at the start, and the savepoints.
#[derive(Default)]
pub(crate) struct History {
    savepoints: OnceLock<Savepoints>,
    checkpoints: Mutex<VecDeque<CheckpointStatus>>,
    recovery: Mutex<Option<RecoveryStatus>>,
}

impl History {
    /// The newest checkpoints, oldest first.
    pub(crate) fn checkpoints(&self) -> Vec<CheckpointStatus> {
        self.checkpoints.lock().iter().cloned().collect()
    }

    /// What was done at the start, if anything was.
    pub(crate) fn recovery(&self) -> Option<RecoveryStatus> {
        self.recovery.lock().clone()
    }

    /// The savepoints; `None` when state ends with the process.
    pub(crate) fn savepoints(&self) -> Option<&Savepoints> {
        self.savepoints.get()
    }

    /// From now on state lasts, in this folder.
    pub(super) fn lasts_in(&self, folder: &Place) -> Result<()> {
        let savepoints = Savepoints::of(folder)?;
        self.savepoints.get_or_init(|| savepoints);
        Ok(())
    }

    pub(super) fn begin(&self, checkpoint: CheckpointStatus) {
        let mut checkpoints = self.checkpoints.lock();
        if checkpoints.len() == TOLD {
            checkpoints.pop_front();
        }
        checkpoints.push_back(checkpoint);
    }

    pub(super) fn end(&self, id: u64, took: Micros, written: Result<u64, String>) {
        let mut checkpoints = self.checkpoints.lock();
        if let Some(checkpoint) = checkpoints.iter_mut().rev().find(|c| c.id == id) {
            checkpoint.took = Some(took);
            match written {
                Ok(bytes) => checkpoint.bytes = Some(bytes),
                Err(failure) => checkpoint.failure = Some(failure),
            }
        }
    }

    pub(crate) fn recovered(&self, recovery: RecoveryStatus) {
        *self.recovery.lock() = Some(recovery);
    }
}
