//! The vocabulary of clickmill: time, batches, slabs, source readers, options and errors. Knows Arrow and nothing else.
#![warn(missing_docs)]

pub mod batch;
pub mod clock;
pub mod connector;
pub mod error;
pub mod failpoint;
pub mod options;
pub mod schema;
pub mod sink;
pub mod slab;
mod sql_types;
pub mod time;
pub mod upsert;
pub mod wake;

pub use batch::{DeltaBatch, Weights};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, Location, Result, SqlState};
pub use slab::{Slab, Span};
pub use sql_types::with_sql_types;
pub use time::{Micros, Watermark};
