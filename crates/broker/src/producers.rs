//! What a partition remembers of idempotent producers, so that a repeated batch is stored once.

use std::collections::{HashMap, VecDeque};

use kafka_protocol::ResponseError;

use crate::batch::Header;

/// Batches remembered per producer: as many as a client may have in flight.
const REMEMBERED: usize = 5;
/// Producers remembered per partition; beyond them the one that has been silent longest is forgotten.
const MAX_PRODUCERS: usize = 1_000;

/// The idempotent producers of one partition.
#[derive(Default)]
pub(crate) struct Producers(HashMap<i64, Producer>);

struct Producer {
    epoch: i16,
    recent: VecDeque<Sent>,
}

struct Sent {
    first: i32,
    last: i32,
    base_offset: i64,
}

impl Producers {
    /// The offset at which the batch is stored already, or `None` when it is the producer's next one.
    pub(crate) fn repeated(&self, header: &Header) -> Result<Option<i64>, ResponseError> {
        let Some(known) = self.0.get(&header.producer_id) else {
            return Ok(None);
        };
        if header.producer_epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        let in_order = if header.producer_epoch > known.epoch {
            header.first_sequence == 0
        } else {
            let last = last_sequence(header);
            let mut same = known
                .recent
                .iter()
                .filter(|sent| sent.first == header.first_sequence && sent.last == last);
            if let Some(sent) = same.next() {
                return Ok(Some(sent.base_offset));
            }
            known
                .recent
                .back()
                .is_none_or(|sent| header.first_sequence == advance(sent.last, 1))
        };
        if in_order {
            Ok(None)
        } else {
            Err(ResponseError::OutOfOrderSequenceNumber)
        }
    }

    /// Remembers a batch that has been stored at `base_offset`.
    pub(crate) fn stored(&mut self, header: &Header, base_offset: i64) {
        if header.producer_id < 0 {
            return;
        }
        if self.0.len() >= MAX_PRODUCERS && !self.0.contains_key(&header.producer_id) {
            let silent = self
                .0
                .iter()
                .min_by_key(|(_, producer)| producer.recent.back().map(|sent| sent.base_offset));
            if let Some(id) = silent.map(|(id, _)| *id) {
                self.0.remove(&id);
            }
        }
        let producer = self.0.entry(header.producer_id).or_insert(Producer {
            epoch: header.producer_epoch,
            recent: VecDeque::new(),
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.recent.clear();
        }
        if producer.recent.len() == REMEMBERED {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Sent {
            first: header.first_sequence,
            last: last_sequence(header),
            base_offset,
        });
    }
}

fn last_sequence(header: &Header) -> i32 {
    advance(header.first_sequence, header.records - 1)
}

/// Sequence numbers begin again at 0 after the largest i32.
fn advance(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first_sequence: i32, records: i32) -> Header {
        Header {
            records,
            max_timestamp: 0,
            producer_id: 7,
            producer_epoch: epoch,
            first_sequence,
        }
    }

    #[test]
    fn a_repeated_batch_is_found_and_a_gap_is_refused() {
        let mut producers = Producers::default();
        for round in 0..6 {
            let header = batch(0, round * 10, 10);
            assert_eq!(producers.repeated(&header), Ok(None));
            producers.stored(&header, i64::from(round) * 10);
        }
        assert_eq!(producers.repeated(&batch(0, 50, 10)), Ok(Some(50)));
        assert_eq!(producers.repeated(&batch(0, 10, 10)), Ok(Some(10)));
        assert_eq!(
            producers.repeated(&batch(0, 0, 10)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(
            producers.repeated(&batch(0, 61, 1)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        assert_eq!(
            producers.repeated(&batch(1, 3, 1)),
            Err(ResponseError::OutOfOrderSequenceNumber)
        );
        producers.stored(&batch(1, 0, 1), 60);
        assert_eq!(
            producers.repeated(&batch(0, 60, 1)),
            Err(ResponseError::InvalidProducerEpoch)
        );
    }

    #[test]
    fn sequences_wrap_and_producers_are_bounded() {
        let mut producers = Producers::default();
        producers.stored(&batch(0, i32::MAX - 1, 2), 0);
        assert_eq!(producers.repeated(&batch(0, 0, 3)), Ok(None));
        for id in 0..5_000 {
            producers.stored(
                &Header {
                    producer_id: id,
                    ..batch(0, 0, 1)
                },
                10 + id,
            );
        }
        assert_eq!(producers.0.len(), MAX_PRODUCERS);
        assert!(producers.0.contains_key(&4_999) && !producers.0.contains_key(&0));
    }
}
