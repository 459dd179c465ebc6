//! `WITH (…)` of sources and views.

use dataflow::options::{OptionEntry, Options};
use dataflow::{Micros, Result};

/// Idle time of a source's partitions unless said otherwise, in microseconds.
const DEFAULT_IDLE: Micros = 10 * dataflow::time::SECOND;
/// How long append-only views keep rows behind their watermark unless said otherwise, in microseconds.
const DEFAULT_RETENTION: Micros = 24 * 60 * dataflow::time::MINUTE;

/// Options of a source that are not its connector's.
pub(crate) struct SourceOptions {
    /// `watermark.idle_timeout`.
    pub(crate) idle_after: Micros,
    /// `bad_data = 'fail'`.
    pub(crate) fail_on_bad: bool,
}

pub(crate) fn source_options(options: &mut Options) -> Result<SourceOptions> {
    let idle = options.take_duration("watermark.idle_timeout", &["scan.watermark.idle-timeout"])?;
    let bad = options.take_choice("bad_data", &["drop", "fail"])?;
    let ignore = options.take_bool("json.ignore-parse-errors")?;
    // The only policy so far is to count late rows and drop them.
    options.take_choice("late", &["drop"])?;
    Ok(SourceOptions {
        idle_after: idle.map_or(DEFAULT_IDLE, micros),
        fail_on_bad: bad.as_deref() == Some("fail") || (bad.is_none() && ignore == Some(false)),
    })
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

fn micros(duration: std::time::Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
