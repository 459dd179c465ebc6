//! The engine: operators over batches with signed weights, ticks, versions, and the thread that runs them.
//!
//! It knows no SQL text, no connector and no wire protocol. It is told the time and never asks for it.

pub mod aggregates;
pub mod aside;
pub mod build;
pub mod calendar;
pub mod changes;
pub mod command;
pub mod core;
pub mod engine;
pub mod expr;
pub mod faults;
pub mod feed;
pub mod journal;
pub mod matching;
pub mod operator;
pub mod ops;
mod panic;
pub mod parts;
pub mod pipeline;
mod report;
pub mod state;
pub mod status;
pub mod store;
pub mod view;
pub mod waiting;
pub mod watermark;
pub mod window;

pub use aside::AsideSpec;
pub use command::{Change, TableSpec};
pub use core::{Core, Limits, Publication, Starts, State};
pub use engine::{Engine, Idle};
pub use feed::SourceSpec;
pub use journal::{Entry, Journal, NoJournal};
pub use status::Status;
pub use store::{Store, StoreOptions};
pub use view::{Failure, Place, ViewSpec, ViewState};
pub use watermark::TimeRules;
