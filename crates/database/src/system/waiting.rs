//! `clickmill.waiting_windows`: for every view the window that closes next, what holds it back, and since when.

use std::sync::Arc;

use dataflow::{Micros, Result, Watermark};
use datafusion::arrow::array::{Int32Array, RecordBatch};
use engine::status::{PartitionStatus, SourceStatus, ViewStatus};
use engine::{Status, ViewState};

use super::{batch, health, shown, text, times};

/// A window that waits.
struct Waiting<'a> {
    view: &'a ViewStatus,
    window_end: Micros,
    /// What the view reads that is farthest behind, if a source is.
    source: Option<&'a SourceStatus>,
    partition: Option<&'a PartitionStatus>,
    reason: String,
}

pub(super) fn windows(status: &Status) -> Result<RecordBatch> {
    let waiting: Vec<Waiting<'_>> = status
        .views
        .iter()
        .filter_map(|view| waiting(status, view))
        .collect();
    let each = || waiting.iter();
    let partition = |w: &Waiting<'_>| w.partition.map(|p| p.id);
    batch(vec![
        ("view", text(each().map(|w| Some(w.view.name.clone())))),
        ("window_end", times(each().map(|w| Some(w.window_end)))),
        ("watermark", times(each().map(|w| shown(w.view.watermark)))),
        (
            "source",
            text(each().map(|w| w.source.map(|s| s.name.clone()))),
        ),
        (
            "partition",
            Arc::new(each().map(partition).collect::<Int32Array>()),
        ),
        (
            "partition_watermark",
            times(each().map(|w| w.partition.and_then(|p| shown(p.watermark)))),
        ),
        (
            "since",
            times(each().map(|w| w.partition.map(|p| p.last_row))),
        ),
        ("reason", text(each().map(|w| Some(w.reason.clone())))),
    ])
}

fn waiting<'a>(status: &'a Status, view: &'a ViewStatus) -> Option<Waiting<'a>> {
    let window_end = view.counters.next_close?;
    if matches!(view.state, ViewState::Failed(_) | ViewState::Suspended) {
        return None;
    }
    let source = status
        .sources
        .iter()
        .filter(|s| view.reads.contains(&s.name))
        .min_by_key(|s| s.watermark);
    let partition = source.filter(|s| !s.follows_clock).and_then(slowest);
    Some(Waiting {
        view,
        window_end,
        source,
        partition,
        reason: reason(view, source, partition),
    })
}

/// The partition that holds the watermark: of those that are not idle the one that is farthest behind.
fn slowest(source: &SourceStatus) -> Option<&PartitionStatus> {
    let active = source.partitions.iter().filter(|p| p.idle_since.is_none());
    active.min_by_key(|p| p.watermark)
}

fn reason(
    view: &ViewStatus,
    source: Option<&SourceStatus>,
    partition: Option<&PartitionStatus>,
) -> String {
    let Some(source) = source else {
        return match view.reads.first() {
            Some(name) => format!("it closes when the watermark of \"{name}\" passes its end"),
            None => "nothing is read".to_owned(),
        };
    };
    if view.state == ViewState::CatchingUp {
        return format!("the view reads history: {} records to go", view.behind);
    }
    match health(source.health.as_ref()) {
        (state, detail) if state != "running" => {
            let detail = detail.map(|d| format!(": {d}")).unwrap_or_default();
            return format!("the source is {state}{detail}");
        }
        _ => {}
    }
    if source.follows_clock {
        return "the clock, which is the time of the source, has not reached its end".to_owned();
    }
    let Some(partition) = partition else {
        return "all partitions are idle: new rows move the watermark, or the clock with watermark.idle_advance = 'wall'"
            .to_owned();
    };
    if let Some(lag) = partition.lag.filter(|lag| *lag > 0) {
        return format!(
            "partition {} has {lag} records that are not read yet",
            partition.id
        );
    }
    if partition.watermark == Watermark::MIN {
        return format!("partition {} has had no row yet", partition.id);
    }
    format!("partition {} has had no row late enough yet", partition.id)
}
