//! Seeded click events: the same seed gives the same bytes on every machine. No I/O, no clock.
#![warn(missing_docs)]

mod event;
mod mix;
mod pages;
mod rng;
mod sessions;
mod zipf;

pub use event::{ClickConfig, ClickGenerator, EventKind, EventMeta};
pub use mix::{EventType, Mix};

/// Largest distance, in milliseconds, between the time of sending and the event time of an event that is not late.
pub const MAX_DISORDER_MS: i64 = 5_000;
