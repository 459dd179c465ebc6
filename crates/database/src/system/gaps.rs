//! `clickmill.source_gaps`: records that were gone before they were read.

use std::sync::Arc;

use dataflow::Result;
use datafusion::arrow::array::{Int32Array, RecordBatch};
use engine::Status;

use super::{batch, int, text, times};

/// One row a gap, of each source's newest thousand.
pub(super) fn source_gaps(status: &Status) -> Result<RecordBatch> {
    let sources = status.sources.iter();
    let rows: Vec<_> = sources
        .flat_map(|source| source.gaps.iter().map(|gap| (source.name.clone(), gap)))
        .collect();
    let each = || rows.iter().map(|(_, gap)| gap);
    // Of a topic that was made anew nobody knows how many records it would have had.
    let records = each().map(|gap| (gap.reason == "deleted").then(|| gap.to - gap.from));
    let partitions = each().map(|gap| Some(gap.partition));
    batch(vec![
        (
            "source",
            text(rows.iter().map(|(name, _)| Some(name.clone()))),
        ),
        ("topic", text(each().map(|gap| Some(gap.topic.clone())))),
        ("partition", Arc::new(partitions.collect::<Int32Array>())),
        ("reason", text(each().map(|gap| Some(gap.reason.clone())))),
        ("from_offset", int(each().map(|gap| Some(gap.from)))),
        ("to_offset", int(each().map(|gap| Some(gap.to)))),
        ("records", int(records)),
        ("noticed_at", times(each().map(|gap| Some(gap.noticed)))),
    ])
}
