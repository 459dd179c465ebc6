//! The properties of a consumer: clickmill's defaults, the user's `properties.*`, and those that nobody may
//! set.

use dataflow::options::{OptionEntry, Options};
use dataflow::{Error, Result, SqlState};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

const PREFIX: &str = "properties.";

/// Properties with a default of clickmill's own, which the user may change.
///
/// `fetch.queue.backoff.ms` matters most: with librdkafka's default of a second, a reader that is slower than
/// the broker stalls for that long each time the queue is full. The queue limits are per partition.
const DEFAULTS: [(&str, &str); 14] = [
    ("client.id", "clickmill"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.queue.backoff.ms", "2"),
    ("fetch.error.backoff.ms", "100"),
    ("queued.min.messages", "50000"),
    ("queued.max.messages.kbytes", "16384"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "1000"),
    ("topic.metadata.refresh.fast.interval.ms", "100"),
    ("socket.keepalive.enable", "true"),
    ("log.connection.close", "false"),
    ("allow.auto.create.topics", "false"),
];

/// Properties that the reader relies on.
const OWNED: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
];

/// Properties that the user may not set, and what to do instead.
const REFUSED: [(&str, &str); 15] = [
    (
        "enable.auto.commit",
        "clickmill commits offsets itself when group.id is given",
    ),
    (
        "auto.commit.interval.ms",
        "clickmill commits offsets itself when group.id is given",
    ),
    (
        "enable.auto.offset.store",
        "clickmill commits offsets itself when group.id is given",
    ),
    (
        "offset.store.method",
        "clickmill commits offsets itself when group.id is given",
    ),
    (
        "auto.offset.reset",
        "the option start says where reading begins",
    ),
    (
        "enable.partition.eof",
        "clickmill needs to know where partitions end",
    ),
    ("metadata.broker.list", "use the option brokers"),
    ("group.instance.id", "clickmill assigns partitions itself"),
    ("group.protocol", "clickmill assigns partitions itself"),
    (
        "partition.assignment.strategy",
        "clickmill assigns partitions itself",
    ),
    (
        "statistics.interval.ms",
        "select from clickmill.sources instead",
    ),
    ("log.queue", "clickmill reads librdkafka's log itself"),
    (
        "test.mock.num.brokers",
        "give real brokers in the option brokers",
    ),
    ("plugin.library.paths", "clickmill loads no libraries"),
    ("sasl.kerberos.kinit.cmd", "clickmill starts no programs"),
];

/// Takes every `properties.*` and gives the whole configuration of a consumer, checked by librdkafka.
pub(crate) fn take_config(
    options: &mut Options,
    brokers: &str,
    group: Option<&str>,
) -> Result<ClientConfig> {
    let places: Vec<OptionEntry> = options
        .entries()
        .filter(|entry| entry.name.starts_with(PREFIX))
        .cloned()
        .collect();
    let given = options.take_prefixed(PREFIX);
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in DEFAULTS {
        config.set(name, value);
    }
    for (name, value) in given {
        if matches!(name.as_str(), "bootstrap.servers" | "group.id") {
            continue;
        }
        let place = places
            .iter()
            .find(|entry| entry.name[PREFIX.len()..] == name)
            .and_then(|e| e.location);
        refuse(&name, &value).map_err(|error| error.at(place))?;
        config.set(name, value);
    }
    for (name, value) in OWNED {
        config.set(name, value);
    }
    config.set("group.id", group.unwrap_or("clickmill"));
    check(&config).map_err(|(name, error)| {
        let place = places
            .iter()
            .find(|entry| Some(&entry.name[PREFIX.len()..]) == name.as_deref());
        error.at(place.and_then(|entry| entry.location))
    })?;
    config.set("bootstrap.servers", brokers);
    Ok(config)
}

/// The properties of a producer beside a consumer with `config`: what its user has set. librdkafka passes over those
/// that only consumers have.
pub(crate) fn for_producer(config: &ClientConfig) -> Vec<(&str, &str)> {
    let own = |name: &str, value: &str| {
        let defaults = DEFAULTS.iter().chain(&OWNED);
        defaults
            .into_iter()
            .any(|default| *default == (name, value))
            || matches!(name, "group.id" | "bootstrap.servers")
    };
    let given = config.config_map().into_iter();
    given.filter(|(name, value)| !own(name, value)).collect()
}

fn refuse(name: &str, value: &str) -> Result<()> {
    if name == "security.protocol" && value.to_ascii_lowercase().ends_with("ssl") {
        let what = format_args!("TLS to Kafka (\"{PREFIX}{name}\" = '{value}')");
        return Err(
            Error::unsupported(what).hint("reach the brokers by PLAINTEXT or SASL_PLAINTEXT")
        );
    }
    match REFUSED.iter().find(|(refused, _)| *refused == name) {
        Some((_, instead)) => {
            let message = format!("option \"{PREFIX}{name}\" cannot be set");
            Err(Error::new(SqlState::INVALID_PARAMETER, message).hint(*instead))
        }
        None => Ok(()),
    }
}

/// Makes a consumer without brokers, so that librdkafka looks at every property and at how they fit together.
/// An error comes with the property's name when there is one.
fn check(config: &ClientConfig) -> Result<(), (Option<String>, Error)> {
    match config.create::<BaseConsumer>() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, text, name, _)) => {
            let error = if text.contains("not available at build time") {
                Error::unsupported(format_args!("option \"{PREFIX}{name}\"")).detail(text)
            } else {
                let message = format!(
                    "option \"{PREFIX}{name}\" is refused by librdkafka: {}",
                    lower_first(&text)
                );
                Error::new(SqlState::INVALID_PARAMETER, message)
                    .hint("properties are those of librdkafka's CONFIGURATION.md")
            };
            Err((Some(name), error))
        }
        Err(KafkaError::ClientCreation(text)) => {
            let message = format!("the properties do not fit together: {}", lower_first(&text));
            Err((None, Error::new(SqlState::INVALID_PARAMETER, message)))
        }
        Err(other) => Err((
            None,
            Error::new(SqlState::INVALID_PARAMETER, other.to_string()),
        )),
    }
}

/// Messages of clickmill begin with a small letter.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
