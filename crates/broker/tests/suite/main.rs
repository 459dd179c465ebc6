//! The embedded broker as its clients see it: librdkafka, kcat, and frames written by hand.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_imports,
    reason = "these are tests"
)]

mod clients;
mod groups;
mod kcat;
mod lasting;
mod limits;
mod support;
mod versions;
mod wire;
