//! What the end-to-end suites share: databases in this process, a real Kafka, a real psql, and the runner of `.slt` files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: what cannot be done ends the test"
)]

pub mod flink;
pub mod forms;
pub mod kafka;
pub mod memory;
pub mod psql;
pub mod slt;
pub mod tools;
pub mod world;
