//! Puts the engine's status together.

use std::sync::Arc;

use dataflow::Watermark;

use crate::core::{Core, FeedSlot};
use crate::feed::Feed;
use crate::status::{PartitionStatus, SourceStatus, Status, ViewStatus};

impl Core {
    /// The status of everything that runs, as of the last tick.
    pub fn status(&self) -> Status {
        let mut sources: Vec<SourceStatus> = self
            .sources
            .values()
            .map(|spec| self.source_status(&spec.name, spec.factory.topic()))
            .collect();
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        let views = self
            .views
            .iter()
            .filter(|(_, v)| !v.spec.ephemeral)
            .map(|(id, v)| ViewStatus {
                name: v.spec.name.clone(),
                state: v.state.clone(),
                reads: v.spec.plan.reads(),
                watermark: v.watermark,
                rows_out: v.rows_out,
                rows: v.spec.store.len() as u64,
                behind: self.behind_of(*id),
                waits_for: self
                    .held
                    .iter()
                    .find(|(view, _)| view == id)
                    .map(|(_, s)| s.clone()),
                counters: v.counters(),
            })
            .collect();
        Status {
            version: self.version,
            stuck: self.stuck().map(ToString::to_string),
            sources,
            views,
        }
    }

    /// Records that a view's own read is behind the end of its topics.
    fn behind_of(&self, id: u64) -> i64 {
        let own = self
            .feeds
            .iter()
            .filter(|f| f.feed.consumers.iter().any(|c| c.view == id));
        own.map(|f| f.feed.lag()).sum()
    }

    fn source_status(&self, name: &str, topic: String) -> SourceStatus {
        // Of reads by several definitions the one by the newest tells.
        let newest = |f: &&FeedSlot| {
            let now = self.sources.get(name);
            now.is_some_and(|spec| Arc::ptr_eq(spec, f.feed.spec()))
        };
        let shared = |f: &&FeedSlot| f.shared && f.feed.spec().name == name;
        let slot = self
            .feeds
            .iter()
            .filter(shared)
            .find(newest)
            .or_else(|| self.feeds.iter().find(shared));
        let gaps = self.aside.get(name).map(|aside| aside.gaps.all());
        let gaps = gaps.unwrap_or_default();
        let Some(slot) = slot else {
            return SourceStatus {
                name: name.to_owned(),
                topic,
                health: None,
                watermark: Watermark::MIN,
                follows_clock: false,
                counts: Default::default(),
                partitions: Vec::new(),
                gaps,
            };
        };
        SourceStatus {
            name: name.to_owned(),
            topic,
            health: Some(slot.feed.reader().health()),
            watermark: slot.feed.time().watermark(),
            follows_clock: slot.feed.spec().schema.is_processing_time(),
            counts: slot.feed.counts().clone(),
            partitions: partitions(&slot.feed),
            gaps,
        }
    }
}

fn partitions(feed: &Feed) -> Vec<PartitionStatus> {
    let times = feed.time().partitions().iter().zip(feed.partition_counts());
    feed.reader()
        .partitions()
        .iter()
        .zip(times)
        .map(|(p, (t, counts))| PartitionStatus {
            topic: Arc::clone(&p.topic),
            id: p.id,
            position: p.position,
            end: p.end,
            lag: p.lag(),
            watermark: feed.time().watermark_of(t),
            idle_since: t.idle.then_some(t.last_row),
            last_row: t.last_row,
            records: counts.records,
            bad: counts.bad,
            last_bad: counts.last_bad.clone(),
            note: p.note.clone(),
        })
        .collect()
}
