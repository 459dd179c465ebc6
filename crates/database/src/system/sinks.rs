//! `clickmill.sinks`: where rows go, how far they are, and what keeps them.

use dataflow::Result;
use datafusion::arrow::array::RecordBatch;

use super::{batch, count, int, text, times};
use crate::sinks::SinkStatus;

/// One row a sink.
pub(crate) fn sinks(sinks: &[SinkStatus]) -> Result<RecordBatch> {
    let each = || sinks.iter();
    let delivery = |s: &SinkStatus| s.delivery.map(|d| d.name().to_owned());
    batch(vec![
        ("sink", text(each().map(|s| Some(s.name.clone())))),
        ("target", text(each().map(|s| Some(s.target.clone())))),
        ("delivery", text(each().map(delivery))),
        (
            "state",
            text(each().map(|s| Some(s.state.name().to_owned()))),
        ),
        ("detail", text(each().map(|s| s.detail.clone()))),
        (
            "committed_version",
            int(each().map(|s| s.version.and_then(count))),
        ),
        ("committed_at", times(each().map(|s| s.committed_at))),
        ("commits", int(each().map(|s| count(s.commits)))),
        ("rows", int(each().map(|s| count(s.rows)))),
        ("pending_rows", int(each().map(|s| count(s.pending.0)))),
        ("pending_bytes", int(each().map(|s| count(s.pending.1)))),
    ])
}
