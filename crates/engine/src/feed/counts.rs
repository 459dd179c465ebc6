//! What is counted of a read.

use dataflow::{Error, SqlState};

use serde::{Deserialize, Serialize};

use super::Feed;
use crate::aside::Aside;

/// Counts of a feed since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedCounts {
    /// Records read.
    pub records: u64,
    /// Payload bytes read.
    pub bytes: u64,
    /// Records that could not be used.
    pub bad: u64,
    /// Records without a value.
    pub tombstones: u64,
}

/// Counts of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCounts {
    /// Records read.
    pub records: u64,
    /// Records that could not be used.
    pub bad: u64,
    /// What the last of them was.
    pub last_bad: Option<String>,
    /// Offset one past the last record read.
    read_to: i64,
}

impl Feed {
    /// Counts of each partition of the reader.
    pub fn partition_counts(&self) -> impl Iterator<Item = &PartitionCounts> {
        let counts = |number: &u32| self.partition_counts.get(*number as usize);
        self.numbers.iter().filter_map(counts)
    }

    /// Offsets that go back are those of a topic that was made anew: what was known of the old one's is forgotten.
    pub(super) fn note_offsets(&mut self, partition: usize, id: i32, aside: &mut Aside) {
        let (Some(first), Some(last)) = (self.slab.offsets.first(), self.slab.offsets.last())
        else {
            return;
        };
        let number = self.numbers[partition] as usize;
        let read_to = &mut self.partition_counts[number].read_to;
        if first < read_to {
            aside.forget(&self.slab.topic, id);
            for consumer in &mut self.consumers {
                if let Some(skip) = consumer.skip.get_mut(number) {
                    *skip = 0;
                }
            }
        }
        *read_to = last + 1;
    }

    /// Counts bad records; gives the error when they must fail the views.
    pub(super) fn note_bad(
        &mut self,
        partition: usize,
        decoded: &formats::Decoded,
    ) -> Option<Error> {
        let (first, last) = (decoded.bad.first()?, decoded.bad.last()?);
        self.counts.bad += decoded.bad.len() as u64;
        let counts = &mut self.partition_counts[self.numbers[partition] as usize];
        counts.bad += decoded.bad.len() as u64;
        let (topic, id) = (&self.slab.topic, self.reader.partitions()[partition].id);
        let text = |bad: &formats::BadRecord| {
            let offset = self.slab.offsets[bad.row as usize];
            let place = format!("{topic} partition {id} offset {offset}");
            format!("{}: {} ({place})", bad.reason.code(), bad.message)
        };
        let failure = self.spec.fail_on_bad.then(|| {
            let message = format!("bad record: {}", text(first));
            Error::new(SqlState::INVALID_TEXT, message)
        });
        counts.last_bad = Some(text(last));
        failure
    }
}
