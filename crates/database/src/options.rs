//! `WITH (…)` of sources and views.

use std::sync::Arc;

use dataflow::connector::{Connector, SourceFactory};
use dataflow::options::{OptionEntry, Options};
use dataflow::schema::Encoding;
use dataflow::{Error, Micros, Result, SqlState};
use engine::TimeRules;
use sql::ast::Name;

use crate::database::Shared;

/// Idle time of a source's partitions unless said otherwise, in microseconds.
const DEFAULT_IDLE: Micros = 10 * dataflow::time::SECOND;
/// How long append-only views keep rows behind their watermark unless said otherwise, in microseconds.
const DEFAULT_RETENTION: Micros = 24 * 60 * dataflow::time::MINUTE;

/// How far event times may be ahead of the clock unless said otherwise, in microseconds.
const DEFAULT_AHEAD: Micros = 24 * 60 * dataflow::time::MINUTE;

/// Options of a source that are not its connector's.
pub(crate) struct SourceOptions {
    /// `watermark.idle_timeout`, `watermark.idle_advance`, `watermark.max_drift`.
    pub(crate) time: TimeRules,
    /// `watermark.max_ahead`.
    pub(crate) max_ahead: Micros,
    /// `bad_data = 'fail'`.
    pub(crate) fail_on_bad: bool,
    /// `bad_data = 'store'`.
    pub(crate) store_bad: bool,
    /// `late = 'store'`.
    pub(crate) store_late: bool,
    /// `bad_data = 'dead_letter'`.
    pub(crate) dead: Option<DeadLetters>,
}

/// Where bad records go as they were.
pub(crate) struct DeadLetters {
    /// Options of the sink: `topic` and the like.
    pub(crate) options: Vec<OptionEntry>,
    /// `dead_letter.delivery`.
    pub(crate) delivery: Option<OptionEntry>,
}

fn source_options(options: &mut Options, encoding: &Encoding) -> Result<SourceOptions> {
    let idle = options.take_duration("watermark.idle_timeout", &["scan.watermark.idle-timeout"])?;
    let advance = options.take_choice("watermark.idle_advance", &["hold", "wall"])?;
    let drift = options.take_duration("watermark.max_drift", &[])?;
    let ahead = options.take_duration("watermark.max_ahead", &[])?;
    let bad = options.take_choice("bad_data", &["drop", "fail", "store", "dead_letter"])?;
    let dead = dead_letters(options, bad.as_deref() == Some("dead_letter"))?;
    let ignore = match encoding {
        Encoding::Json => options.take_bool("json.ignore-parse-errors")?,
        Encoding::Csv(_) => options.take_bool("csv.ignore-parse-errors")?,
        Encoding::Parquet => None,
    };
    let late = options.take_choice("late", &["drop", "store"])?;
    Ok(SourceOptions {
        time: TimeRules {
            delay: 0,
            idle_after: idle.map_or(DEFAULT_IDLE, micros),
            idle_advance: advance.as_deref() == Some("wall"),
            processing: false,
            max_drift: drift.map(micros),
        },
        max_ahead: ahead.map_or(DEFAULT_AHEAD, micros),
        store_bad: bad.as_deref() == Some("store"),
        store_late: late.as_deref() == Some("store"),
        dead,
        fail_on_bad: bad.as_deref() == Some("fail") || (bad.is_none() && ignore == Some(false)),
    })
}

/// The options of dead letters, as those of a sink. Brokers and properties are the source's unless said otherwise.
fn dead_letters(options: &mut Options, wanted: bool) -> Result<Option<DeadLetters>> {
    const PREFIX: &str = "dead_letter.";
    let entries: Vec<OptionEntry> = options.entries().cloned().collect();
    let topic = options.take_any("dead_letter.topic", &[])?;
    let brokers = options.take_any("dead_letter.brokers", &[])?;
    let partitions = options.take_any("dead_letter.partitions", &[])?;
    let delivery = options.take_any("dead_letter.delivery", &[])?;
    let given = [&topic, &brokers, &partitions, &delivery];
    if !wanted {
        return match given.into_iter().flatten().next() {
            None => Ok(None),
            Some(entry) => {
                let message = format!("option \"{}\" has no effect", entry.name);
                Err(Error::new(SqlState::INVALID_PARAMETER, message)
                    .at(entry.location)
                    .hint("bad_data = 'dead_letter' goes with it"))
            }
        };
    }
    if topic.is_none() {
        let message = "bad_data = 'dead_letter' needs the option \"dead_letter.topic\"";
        let place = entries.iter().find(|entry| entry.name == "bad_data");
        return Err(Error::new(SqlState::INVALID_PARAMETER, message)
            .at(place.and_then(|entry| entry.location)));
    }
    let plain = |entry: OptionEntry| OptionEntry {
        name: entry.name.trim_start_matches(PREFIX).to_owned(),
        ..entry
    };
    let own: Vec<OptionEntry> = [topic, brokers, partitions].into_iter().flatten().collect();
    let mut own: Vec<OptionEntry> = own.into_iter().map(plain).collect();
    let has_brokers = own.iter().any(|entry| entry.name == "brokers");
    let of_source = |entry: &OptionEntry| match entry.name.as_str() {
        "brokers" | "properties.bootstrap.servers" => !has_brokers,
        "properties.group.id" => false,
        name => name.starts_with("properties."),
    };
    own.extend(entries.into_iter().filter(of_source));
    Ok(Some(DeadLetters {
        options: own,
        delivery: delivery.map(plain),
    }))
}

/// The connector of that name.
pub(crate) fn find_connector<'a>(
    shared: &'a Shared,
    named: &Name,
) -> Result<&'a Arc<dyn Connector>> {
    shared.connectors.get(&named.value).ok_or_else(|| {
        let message = format!("connector \"{}\" does not exist", named.value);
        let names = shared.connectors.names().join(", ");
        Error::new(SqlState::UNDEFINED_OBJECT, message)
            .at(named.location)
            .hint(format!("connectors: {names}"))
    })
}

/// Finds the connector and has it read its options; what nobody read is refused. The connector is not asked for anything.
pub(crate) fn open_source(
    shared: &Shared,
    connector: &Name,
    options: Vec<OptionEntry>,
    encoding: &Encoding,
    now: Micros,
) -> Result<(SourceOptions, Arc<dyn SourceFactory>)> {
    let found = find_connector(shared, connector)?;
    if !found.encodings().contains(&encoding.name()) {
        let what = format!(
            "ENCODE {} with connector \"{}\"",
            encoding.name(),
            connector.value
        );
        let hint = format!("its records are {}", found.encodings().join(", "));
        return Err(Error::unsupported(what).hint(hint).at(connector.location));
    }
    let mut options = Options::new(options)?.written_at(now);
    let own = source_options(&mut options, encoding)?;
    let factory = found.source(&mut options)?;
    options.finish()?;
    Ok((own, factory))
}

/// Options of a materialized view.
pub(crate) struct ViewOptions {
    /// `retention`: `None` keeps rows for ever.
    pub(crate) retention: Option<Micros>,
    /// Whether retention was written.
    pub(crate) retention_given: bool,
    pub(crate) state_ttl: Option<Micros>,
    pub(crate) unbounded_state: bool,
}

pub(crate) fn view_options(entries: Vec<OptionEntry>) -> Result<ViewOptions> {
    let mut options = Options::new(entries)?;
    let retention = options.take_duration("retention", &[])?;
    let state_ttl = options.take_duration("state_ttl", &[])?;
    let unbounded_state = options.take_bool("unbounded_state")?.unwrap_or(false);
    options.finish()?;
    Ok(ViewOptions {
        retention: Some(retention.map_or(DEFAULT_RETENTION, micros)),
        retention_given: retention.is_some(),
        state_ttl: state_ttl.map(micros),
        unbounded_state,
    })
}

/// Options of a sink: those of its query's state, and the rest.
pub(crate) fn sink_options(entries: Vec<OptionEntry>) -> Result<(ViewOptions, Vec<OptionEntry>)> {
    let of_state =
        |entry: &OptionEntry| matches!(entry.name.as_str(), "state_ttl" | "unbounded_state");
    let (state, rest) = entries.into_iter().partition(of_state);
    Ok((view_options(state)?, rest))
}

fn micros(duration: std::time::Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
