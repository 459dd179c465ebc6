//! The façade: catalog, jobs, sessions, snapshot queries and live results. Knows no wire protocol and no connector.

mod alter_source;
mod catalog;
mod columns;
mod continuous;
mod ddl;
mod describe;
mod dml;
mod explain;
mod infer;
mod live;
mod options;
mod produce;
mod query;
mod recovery;
mod relations;
mod scan;
mod settings;
mod show;
mod sinks;
mod system;

pub mod database;
pub mod outcome;
pub mod session;

pub use engine::{Status, ViewState};

pub use database::{Config, Database, SessionInit};
pub use durable::Place;
pub use recovery::{DataDir, Inspection, Recovery, check_data_dir, inspect};

pub use outcome::{BatchStream, Notice, Outcome, Prepared, Rows, TransactionStatus};
pub use session::{Cancel, Session};
