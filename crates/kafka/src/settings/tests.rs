//! Tests of the options: what is accepted, and what is refused by name.

use dataflow::Location;

use super::*;

const BASE: [(&str, &str); 2] = [("topic", "clicks"), ("brokers", "127.0.0.1:9092")];

fn take(pairs: &[(&str, &str)]) -> Result<Settings> {
    let entry = |(line, (name, value)): (u64, &(&str, &str))| OptionEntry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        location: Some(Location { line, column: 1 }),
    };
    let mut options = Options::new((1..).zip(pairs).map(entry).collect())?;
    let settings = Settings::take(&mut options)?;
    options.finish()?;
    Ok(settings)
}

fn with(name: &str, value: &str) -> Result<Settings> {
    take(&[BASE[0], BASE[1], (name, value)])
}

#[test]
fn both_spellings_give_the_same_source() {
    let own = take(&[
        ("topic", "clicks"),
        ("brokers", "a:1,b:2"),
        ("start", "latest"),
        ("group.id", "g"),
        ("properties.fetch.min.bytes", "7"),
    ])
    .unwrap();
    let flink = take(&[
        ("topic", "clicks"),
        ("properties.bootstrap.servers", "a:1,b:2"),
        ("scan.startup.mode", "latest-offset"),
        ("properties.group.id", "g"),
        ("properties.fetch.min.bytes", "7"),
        ("scan.bounded.mode", "unbounded"),
    ])
    .unwrap();
    assert_eq!(format!("{own:?}"), format!("{flink:?}"));
    assert_eq!(own.config.get("fetch.min.bytes"), Some("7"));
    assert_eq!(own.config.get("isolation.level"), Some("read_committed"));
    assert_eq!(own.config.get("bootstrap.servers"), Some("a:1,b:2"));
}

#[test]
fn defaults_may_be_overridden() {
    let settings = with("properties.isolation.level", "read_uncommitted").unwrap();
    assert_eq!(
        settings.config.get("isolation.level"),
        Some("read_uncommitted")
    );
    assert_eq!(settings.config.get("enable.partition.eof"), Some("true"));
    assert_eq!(settings.group, None);
}

#[test]
fn bad_properties_are_found_at_create_with_their_place() {
    for (name, value, message) in [
        (
            "properties.no.such.thing",
            "1",
            "\"properties.no.such.thing\" is refused by librdkafka: no such configuration",
        ),
        (
            "properties.fetch.wait.max.ms",
            "soon",
            "\"properties.fetch.wait.max.ms\" is refused by librdkafka: ",
        ),
        (
            "properties.enable.auto.commit",
            "true",
            "\"properties.enable.auto.commit\" cannot be set",
        ),
        (
            "properties.auto.offset.reset",
            "latest",
            "\"properties.auto.offset.reset\" cannot be set",
        ),
        (
            "properties.plugin.library.paths",
            "x",
            "\"properties.plugin.library.paths\" cannot be set",
        ),
        ("brokers", "", "is not a list of brokers"),
        ("topic", "a b", "is not a name of a Kafka topic"),
        ("group.id", "", "is empty"),
    ] {
        let pairs: Vec<_> = BASE
            .into_iter()
            .filter(|(base, _)| *base != name)
            .chain([(name, value)])
            .collect();
        let error = take(&pairs).unwrap_err();
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER, "{error}");
        assert!(error.message().contains(message), "{error}");
        assert_eq!(
            error.location().map(|at| at.line),
            Some(pairs.len() as u64),
            "{error}"
        );
    }
}

#[test]
fn properties_that_contradict_each_other_are_found_at_create() {
    let error = take(&[
        BASE[0],
        BASE[1],
        ("properties.security.protocol", "SASL_PLAINTEXT"),
        ("properties.sasl.mechanisms", "GSSAPI"),
    ])
    .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("the properties do not fit together: "),
        "{error}"
    );
}

#[test]
fn sasl_with_a_password_works_without_tls_and_the_password_is_never_shown() {
    let settings = take(&[
        BASE[0],
        BASE[1],
        ("properties.security.protocol", "SASL_PLAINTEXT"),
        ("properties.sasl.mechanisms", "PLAIN"),
        ("properties.sasl.username", "ada"),
        ("properties.sasl.password", "sesame"),
    ])
    .unwrap();
    assert!(!format!("{settings:?}").contains("sesame"));
}

#[test]
fn tls_and_known_forms_that_are_missing_are_refused_as_not_supported() {
    for (name, value) in [
        ("properties.security.protocol", "SSL"),
        ("properties.security.protocol", "sasl_ssl"),
        ("properties.ssl.ca.location", "/etc/ca.pem"),
        ("stop", "group"),
        ("scan.bounded.mode", "group-offsets"),
        ("scan.parallelism", "3"),
    ] {
        let error = with(name, value).unwrap_err();
        assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED, "{error}");
        assert_eq!(error.location().map(|at| at.line), Some(3), "{error}");
    }
}

#[test]
fn offsets_are_those_of_one_topic() {
    for name in ["start", "stop"] {
        let error = take(&[("topic", "a,b"), BASE[1], (name, "0:1")]).unwrap_err();
        assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED, "{error}");
        assert_eq!(error.location().map(|at| at.line), Some(3), "{error}");
        assert!(with(name, "0:1").is_ok());
    }
    assert!(take(&[("topic-pattern", "a.*"), BASE[1], ("start", "0:1")]).is_err());
}

#[test]
fn the_offsets_of_a_group_need_its_name() {
    let error = with("start", "group").unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_PARAMETER, "{error}");
    assert_eq!(error.location().map(|at| at.line), Some(3), "{error}");
    assert!(take(&[BASE[0], BASE[1], ("start", "group"), ("group.id", "g")]).is_ok());
}

#[test]
fn a_topic_or_a_pattern_but_not_both() {
    let error = with("topic-pattern", "a.*").unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_PARAMETER, "{error}");
    assert!(take(&[BASE[1], ("topic-pattern", "a.*")]).is_ok());
}

#[test]
fn required_options_and_unknown_ones() {
    assert_eq!(
        take(&[BASE[0]]).unwrap_err().message(),
        "option \"brokers\" is missing"
    );
    assert_eq!(
        take(&[BASE[1]]).unwrap_err().message(),
        "option \"topic\" is missing"
    );
    assert_eq!(
        with("starts", "latest").unwrap_err().hint_text(),
        Some("did you mean \"start\"?")
    );
    for brokers in ["host:0", "host:99999", ":9092", "a:1,,b:2", "a b:1"] {
        assert!(take(&[BASE[0], ("brokers", brokers)]).is_err(), "{brokers}");
    }
    for brokers in [
        "host",
        "host:1, other:2",
        "[::1]:9092",
        "[::1]",
        "PLAINTEXT://host:1",
    ] {
        assert!(take(&[BASE[0], ("brokers", brokers)]).is_ok(), "{brokers}");
    }
}
