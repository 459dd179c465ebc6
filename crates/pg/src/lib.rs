//! PostgreSQL's wire protocol over a database: listener, connection loop, encoders. Knows sessions, not how they work.
//!
//! A connection is two tasks. One reads all the time and queues whole, well-formed messages; the other handles them in
//! order and writes. So a client that goes away, cancels, or breaks the protocol is noticed while a statement runs.

#![warn(missing_docs)]

pub mod backend;
mod cancel;
mod connection;
mod copy;
pub mod encode;
mod error;
mod extended;
mod frame;
mod opening;
mod params;
mod reader;
mod rows;
mod server;
mod simple;
mod startup;
pub mod types;
mod writer;

#[cfg(test)]
mod tests;

pub use backend::{Backend, PgSession, StartupInfo};
pub use opening::SERVER_VERSION;
pub use server::{PgConfig, PgServer};
