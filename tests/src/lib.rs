//! What the end-to-end suites share: databases in this process, clickmill as a process, a real Kafka, psql and PostgreSQL, and the runner of `.slt` files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: what cannot be done ends the test"
)]

pub mod disk;
pub mod flink;
pub mod forms;
pub mod kafka;
pub mod memory;
pub mod numbers;
pub mod postgres;
pub mod psql;
pub mod s3;
pub mod serve;
pub mod slt;
pub mod small_disk;
pub mod tools;
pub mod world;
