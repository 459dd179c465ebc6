//! Records that are gone before they were read: deleted because they were older than their topic keeps them, or lost when the
//! leader of a partition changed. librdkafka stops at such a place (`auto.offset.reset = error`) behind everything that it has
//! read before, so a gap comes in its order.

use std::collections::{BTreeMap, BTreeSet};

use dataflow::connector::GapReason;
use dataflow::time::format_utc;
use dataflow::{Error, SqlState};
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::{Link, Trouble};
use crate::shared::{Key, Lost, Moved, News};

impl Link {
    /// Goes on with partitions whose next records the brokers do not have; `ends` are those of the partitions that answer, asked
    /// just now. What was lost because a topic was made anew has been seen to; `same` are topics of which it is known that they
    /// were not.
    pub(super) fn go_on_behind_lost(
        &mut self,
        ends: &BTreeMap<Key, i64>,
        same: &BTreeSet<String>,
    ) -> Result<(), Trouble> {
        let is_known = |topic: &str| !self.ids.contains_key(topic) || same.contains(topic);
        let keys = self.lost.iter().map(|lost| &lost.key);
        let keys = keys.filter(|key| is_known(&key.0) && ends.contains_key(*key));
        let keys: Vec<Key> = keys.cloned().collect();
        if keys.is_empty() {
            return Ok(());
        }
        let starts = self.offsets(&keys, Offset::Beginning)?;
        let mut moved = Vec::new();
        for lost in &self.lost {
            if let (Some(start), Some(end)) = (starts.get(&lost.key), ends.get(&lost.key)) {
                moved.push(self.behind(lost, *start, *end));
            }
        }
        let has_lost = moved.iter().find(|moved| moved.reason.is_some());
        if let Some(Moved { key, note, .. }) = has_lost
            && self.settings.fails_on_lost_data
        {
            let note = note.as_deref().unwrap_or_default();
            let message = format!("topic \"{}\" partition {}: {note}", key.0, key.1);
            return Err(self.no_loss(&message));
        }
        let places = moved
            .iter()
            .filter_map(|moved| Some((moved.key.clone(), moved.position?)));
        let places: Vec<(Key, i64)> = places.collect();
        self.assign_again(&places)?;
        self.lost
            .retain(|lost| !places.iter().any(|(key, _)| *key == lost.key));
        for Moved { key, note, .. } in &moved {
            if let Some(note) = note {
                tracing::warn!(target: "kafka", topic = &*key.0, partition = key.1, "records are gone: {note}");
            }
        }
        self.shared.publish(News {
            moved,
            ..News::default()
        });
        Ok(())
    }

    /// Where to go on when a record is not there, and why it is not.
    fn behind(&self, lost: &Lost, start: i64, end: i64) -> Moved {
        let at = format_utc(self.shared.clock.now());
        let position = lost.position;
        // It may have grown since.
        let ended = lost.ends_at.unwrap_or(end).min(end);
        let (to, reason, note) = if position < start {
            let note = format!("those from offset {position} to {start} were deleted before {at}");
            (start, Some(GapReason::Deleted), Some(note))
        } else if position > ended {
            let note = format!(
                "the partition ended at offset {ended}, before {position}, at {at}: the brokers have lost its newest records"
            );
            (ended, Some(GapReason::Truncated), Some(note))
        } else {
            // A replica did not have it yet.
            (position, None, None)
        };
        Moved {
            key: lost.key.clone(),
            position: Some(to),
            reason,
            note: note.map(Into::into),
        }
    }

    /// Has librdkafka read partitions at which it has stopped.
    pub(super) fn assign_again(&mut self, places: &[(Key, i64)]) -> Result<(), Trouble> {
        if places.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (key, at) in places {
            list.add_partition_offset(&key.0, key.1, Offset::Offset(*at))?;
        }
        self.consumer.incremental_unassign(&list)?;
        self.consumer.incremental_assign(&list)?;
        Ok(())
    }

    /// The end of a source that is to have all records.
    pub(super) fn no_loss(&self, message: &str) -> Trouble {
        let error = Error::new(SqlState::OBJECT_NOT_READY, message)
            .detail("lost_data = 'fail' ends the views that read the source")
            .hint("ALTER MATERIALIZED VIEW … RESUME builds a view from what is there");
        Trouble::Final(error)
    }
}
