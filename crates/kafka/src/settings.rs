//! The options of a Kafka source, read and checked.

use std::time::Duration;

use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::{Error, Location, Result, SqlState};
use rdkafka::ClientConfig;

use crate::properties;
use crate::start::Start;
use crate::stop::Stop;
use crate::topics::Topics;

/// How often a reader looks for new partitions and topics unless told otherwise.
const DISCOVERY: Duration = Duration::from_secs(30);

/// A source as it was declared.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) topics: Topics,
    pub(crate) brokers: String,
    pub(crate) start: Start,
    pub(crate) stop: Stop,
    /// Offsets are committed under this group when it is given.
    pub(crate) group: Option<String>,
    /// How often to look for new partitions and topics; never when zero.
    pub(crate) discovery: Duration,
    /// Whether records that are gone before they were read end the source.
    pub(crate) fails_on_lost_data: bool,
    pub(crate) config: ClientConfig,
}

/// Options of the dialect and of Flink's Kafka connector that clickmill knows and does not have.
const UNSUPPORTED: [&str; 2] = ["scan.parallelism", "scan.check.duplicated.group.id"];

impl Settings {
    /// Takes the connector's own options.
    pub(crate) fn take(options: &mut Options) -> Result<Self> {
        if let Some(entry) = options
            .entries()
            .find(|entry| UNSUPPORTED.contains(&entry.name.as_str()))
        {
            return Err(
                Error::unsupported(format_args!("option \"{}\"", entry.name)).at(entry.location),
            );
        }
        let topics = Topics::take(options)?;
        let brokers = take_brokers(options)?;
        let start = Start::take(options)?;
        let stop = Stop::take(options)?;
        check_offsets(options, &topics, &start, &stop)?;
        let discovery = options
            .take_duration("scan.topic-partition-discovery.interval", &[])?
            .unwrap_or(DISCOVERY);
        let lost = options.take_choice("lost_data", &["skip", "fail"])?;
        let group = options.take_any("group.id", &["properties.group.id"])?;
        if let Some(entry) = group.as_ref().filter(|entry| entry.value.is_empty()) {
            return Err(bad_value(entry, "is empty"));
        }
        let group = group.map(|entry| entry.value);
        if group.is_none() && start == Start::Group {
            let message = "the offsets of a consumer group need the option \"group.id\"";
            return Err(Error::new(SqlState::INVALID_PARAMETER, message)
                .at(place_of(options, &["start", "scan.startup.mode"]))
                .hint("add group.id = '…' to WITH (…)"));
        }
        let config = properties::take_config(options, &brokers, group.as_deref())?;
        Ok(Self {
            topics,
            brokers,
            start,
            stop,
            group,
            discovery,
            fails_on_lost_data: lost.as_deref() == Some("fail"),
            config,
        })
    }
}

/// Offsets are those of one topic.
fn check_offsets(options: &Options, topics: &Topics, start: &Start, stop: &Stop) -> Result<()> {
    let names: &[&str] = if matches!(start, Start::Offsets(_)) {
        &["start", "scan.startup.mode"]
    } else if matches!(stop, Stop::Offsets(_)) {
        &["stop", "scan.bounded.mode"]
    } else {
        return Ok(());
    };
    if topics.is_one() {
        return Ok(());
    }
    Err(
        Error::unsupported("offsets for a source of more than one topic")
            .at(place_of(options, names))
            .hint("declare a source for each topic and unite them by UNION ALL"),
    )
}

fn place_of(options: &Options, names: &[&str]) -> Option<Location> {
    let mut entries = options.entries();
    let entry = entries.find(|entry| names.contains(&entry.name.as_str()));
    entry.and_then(|entry| entry.location)
}

pub(crate) fn take_brokers(options: &mut Options) -> Result<String> {
    let entry = require(
        options,
        "brokers",
        &["properties.bootstrap.servers"],
        "brokers = '127.0.0.1:9092'",
    )?;
    for broker in entry.value.split(',') {
        check_broker(broker.trim(), &entry)?;
    }
    Ok(entry.value)
}

fn check_broker(broker: &str, entry: &OptionEntry) -> Result<()> {
    let address = match broker.split_once("://") {
        Some((scheme, _)) if scheme.to_ascii_lowercase().ends_with("ssl") => {
            return Err(
                Error::unsupported(format_args!("TLS to Kafka ('{broker}')")).at(entry.location),
            );
        }
        Some((_, address)) => address,
        None => broker,
    };
    let (host, port) = match address.rsplit_once(':') {
        // An IPv6 address in brackets may have colons and no port.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host.is_empty() || host.contains(char::is_whitespace) || !port_is_good {
        return Err(bad_value(entry, "is not a list of brokers")
            .hint("write host:port, several of them with commas between"));
    }
    Ok(())
}

fn require(
    options: &mut Options,
    name: &'static str,
    synonyms: &[&'static str],
    example: &str,
) -> Result<OptionEntry> {
    options.take_any(name, synonyms)?.ok_or_else(|| {
        Error::new(
            SqlState::INVALID_PARAMETER,
            format!("option \"{name}\" is missing"),
        )
        .hint(format!("add {example} to WITH (…)"))
    })
}

#[cfg(test)]
mod tests;
