//! Everything that knows Kafka: the source connector, a bulk producer, and the few admin calls.
#![warn(missing_docs)]

pub mod admin;
mod connector;
mod context;
mod drain;
mod headers;
mod link;
mod native;
mod places;
mod producer;
mod properties;
mod reader;
mod settings;
mod shared;
mod sink;
mod start;
mod stop;
mod topics;
mod writer;

pub use connector::KafkaConnector;
pub use producer::{Delivery, Producer, Record};

use rdkafka::error::KafkaError;

/// What went wrong in librdkafka's own words, without the names of its calls.
fn describe(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => describe_code(code),
        None => error.to_string(),
    }
}

/// The text of an error code: `Local: Timed out` of `OperationTimedOut (Local: Timed out)`.
fn describe_code(code: rdkafka::types::RDKafkaErrorCode) -> String {
    let text = code.to_string();
    match text.split_once('(') {
        Some((_, inner)) => inner.strip_suffix(')').unwrap_or(inner).to_owned(),
        None => text,
    }
}
