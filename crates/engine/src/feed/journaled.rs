//! What the journal has of a read, and a read that the journal tells what to do.

use std::sync::Arc;

use dataflow::connector::{Gap, Health, Partition, PollLimits};
use dataflow::{Error, Micros, Result, Slab, SqlState, Watermark};

use super::{Clocks, Consumer, Feed, POLL, PartitionCounts};
use crate::aside::{Aside, SourceGap};
use crate::faults::{self, Fault};
use crate::journal::{Bytes, Event, FeedId, FeedTime, LoggedTime};
use crate::watermark::PartitionTime;

/// Records as the journal names them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    /// The partition's number in the journal.
    pub(crate) partition: u32,
    /// How many.
    pub(crate) records: usize,
    /// Offset one past the last.
    pub(crate) to: i64,
}

impl Feed {
    /// Gives numbers to partitions that are new, and notes those that the journal does not know.
    pub(super) fn number_partitions(&mut self) {
        let partitions = self.reader.partitions();
        for (at, partition) in partitions.iter().enumerate().skip(self.numbers.len()) {
            let is_it =
                |(topic, id): &(Arc<str>, i32)| *id == partition.id && *topic == partition.topic;
            let number = self.names.iter().position(is_it).unwrap_or_else(|| {
                let begins_with = (self.slab.partition == at).then(|| self.slab.offsets.first());
                let position = begins_with.flatten().copied();
                self.untold.push(Event::Partition {
                    feed: self.id,
                    topic: partition.topic.to_string(),
                    id: partition.id,
                    position: position.unwrap_or(partition.position),
                });
                self.names
                    .push((Arc::clone(&partition.topic), partition.id));
                self.names.len() - 1
            });
            self.numbers.push(as_u32(number));
            if number >= self.partition_counts.len() {
                let counts = PartitionCounts::default();
                self.partition_counts.resize(number + 1, counts);
            }
            if let Some(Some(noted)) = self.noted.get(number) {
                self.time.grow(at + 1, noted.last_row);
                self.time.set(at, noted);
            }
        }
    }

    /// Tells of all partitions, and where they are, to a journal that has had nothing of this read.
    pub(crate) fn introduce(&mut self, events: &mut Vec<Event>) {
        self.noted.clear();
        self.noted_watermark = Watermark::MIN;
        events.push(Event::Introduced { feed: self.id });
        let topics = self.topics.iter();
        events.extend(topics.map(|(topic, id)| topic_event(self.id, topic, id)));
        for (topic, id) in &self.names {
            let mut partitions = self.reader.partitions().iter();
            let found = partitions.find(|p| p.id == *id && p.topic == *topic);
            events.push(Event::Partition {
                feed: self.id,
                topic: topic.to_string(),
                id: *id,
                position: found.map_or(0, |p| p.position),
            });
        }
    }

    /// Notes what tells topics from others of their names, for the journal, too.
    pub(super) fn learn_topics(&mut self) {
        for (topic, id) in self.reader.take_topics() {
            if self
                .topics
                .iter()
                .any(|known| (&known.0, &known.1) == (&topic, &id))
            {
                continue;
            }
            self.untold.push(topic_event(self.id, &topic, &id));
            self.topic_is(&topic, &id);
        }
    }

    /// From now on this tells a topic from others of its name.
    pub(crate) fn topic_is(&mut self, topic: &str, id: &str) {
        self.topics.retain(|(known, _)| **known != *topic);
        self.topics.push((topic.into(), id.to_owned()));
    }

    /// Notes records that were not there; gives what the journal has of those that are news.
    pub(super) fn note_gaps(
        &self,
        gaps: Vec<Gap>,
        clocks: Clocks,
        aside: &mut Aside,
    ) -> Vec<Event> {
        let events = gaps.into_iter().map(|gap| self.gap_event(gap));
        events
            .filter(|event| self.note_gap(event, clocks, aside))
            .collect()
    }

    fn gap_event(&self, gap: Gap) -> Event {
        Event::Gap {
            feed: self.id,
            partition: self.numbers[gap.partition],
            from: gap.from,
            to: gap.to,
            reason: gap.reason.name().to_owned(),
        }
    }

    /// Notes records that were not there; says whether that is news.
    pub(crate) fn note_gap(&self, event: &Event, clocks: Clocks, aside: &mut Aside) -> bool {
        let Event::Gap {
            partition,
            from,
            to,
            reason,
            ..
        } = event
        else {
            return false;
        };
        let Some((topic, id)) = self.names.get(*partition as usize) else {
            return false;
        };
        aside.gaps.note(SourceGap {
            topic: topic.to_string(),
            partition: *id,
            from: *from,
            to: *to,
            reason: reason.clone(),
            noticed: clocks.began,
        })
    }

    /// What the journal has of the slab at hand.
    pub(super) fn read_event(&self) -> Event {
        let (feed, partition) = (self.id, self.numbers[self.slab.partition]);
        if self.spec.factory.replays() {
            return Event::Read {
                feed,
                partition,
                records: as_u32(self.slab.len()),
                to: self.slab.offsets.last().map_or(0, |last| last + 1),
            };
        }
        let mut data = Vec::with_capacity(self.slab.data.len());
        let ends = (0..self.slab.len()).map(|row| {
            let value = self.slab.value(row)?;
            data.extend_from_slice(value);
            i64::try_from(data.len()).ok()
        });
        let ends = ends.map(|end| end.unwrap_or(-1)).collect();
        Event::Records {
            feed,
            partition,
            offsets: self.slab.offsets.clone(),
            timestamps: self.slab.timestamps.clone(),
            ends,
            data: Bytes(data),
        }
    }

    /// Event time since the journal was told last, if it moved.
    pub(crate) fn moved_time(&mut self) -> Option<FeedTime> {
        let watermark = self.time.watermark();
        self.noted.resize(self.names.len(), None);
        let mut partitions = Vec::new();
        for (number, time) in self.numbers.iter().zip(self.time.partitions()) {
            let now = logged(*number, time);
            let noted = &mut self.noted[*number as usize];
            if *noted != Some(now) {
                *noted = Some(now);
                partitions.push(now);
            }
        }
        if partitions.is_empty() && self.noted_watermark == watermark {
            return None;
        }
        self.noted_watermark = watermark;
        Some(FeedTime {
            feed: self.id,
            watermark: watermark.0,
            partitions,
        })
    }

    /// Takes a consumer that had everything that `before` has handed over.
    pub(crate) fn take_over(&mut self, mut consumer: Consumer, before: &Self) -> Result<()> {
        let handed_over = |(topic, id): &(Arc<str>, i32)| before.next_of(topic, *id);
        consumer.skip = self.names.iter().map(handed_over).collect();
        self.add(consumer)
    }

    /// Offset of the next record of a partition to be handed over.
    fn next_of(&self, topic: &Arc<str>, id: i32) -> i64 {
        let mut partitions = self.reader.partitions().iter();
        let at = partitions.position(|p| p.id == id && p.topic == *topic);
        let waits = |at: usize| self.ahead.iter().find(|slab| slab.partition == at);
        if let Some(offset) = at.and_then(waits).and_then(|slab| slab.offsets.first()) {
            return *offset;
        }
        let mut starts = self.starts.iter();
        let start = starts.find(|p| p.partition == id && p.topic == *topic);
        let read = at.map(|at| self.reader.partitions()[at].position);
        read.or(start.map(|p| p.offset)).unwrap_or(0)
    }

    /// Reads what the journal says was read, and nothing else. `wait` is called while nothing comes.
    pub(crate) fn read_again(
        &mut self,
        recorded: Recorded,
        wait: &mut dyn FnMut(&Health) -> Result<()>,
    ) -> Result<()> {
        let at = self.find_partition(recorded.partition, wait)?;
        for other in 0..self.reader.partitions().len() {
            self.reader.set_paused(other, other != at);
        }
        let mut whole = Slab::default();
        while whole.len() < recorded.records {
            let missing = recorded.records - whole.len();
            if let Some(next) = self.ahead.iter().position(|slab| slab.partition == at) {
                whole.append(&self.ahead[next].take_front(missing)?)?;
                if self.ahead[next].is_empty() {
                    self.ahead.remove(next);
                }
                continue;
            }
            let limits = PollLimits {
                max_records: missing,
                ..POLL
            };
            self.reader.poll(&mut self.slab, limits)?;
            self.number_partitions();
            if self.slab.is_empty() {
                let partition = &self.reader.partitions()[at];
                if partition.finished() || partition.at_end && partition.position >= recorded.to {
                    break;
                }
                wait(&self.reader.health())?;
            } else if self.slab.partition == at {
                whole.append(&self.slab)?;
            } else {
                self.ahead.push_back(std::mem::take(&mut self.slab));
            }
        }
        let last = whole.offsets.last().map(|last| last + 1);
        if whole.len() < recorded.records || last != Some(recorded.to) {
            return Err(self.gone(at, recorded));
        }
        self.slab = whole;
        Ok(())
    }

    fn gone(&self, at: usize, recorded: Recorded) -> Error {
        let Recorded { records, to, .. } = recorded;
        let Partition { topic, id, .. } = &self.reader.partitions()[at];
        let message = format!(
            "{records} records before offset {to} of topic \"{topic}\" partition {id} cannot be read again"
        );
        Error::new(SqlState::OBJECT_NOT_READY, message)
            .detail("they were read before clickmill was started again, and are not there any more")
            .hint("ALTER MATERIALIZED VIEW … RESUME builds the view from what is there")
    }

    /// Takes records of the journal as the slab at hand.
    pub(crate) fn take_records(
        &mut self,
        event: &Event,
        wait: &mut dyn FnMut(&Health) -> Result<()>,
    ) -> Result<()> {
        let Event::Records {
            partition,
            offsets,
            timestamps,
            ends,
            data,
            ..
        } = event
        else {
            return Err(Error::internal("an event without records"));
        };
        let at = self.find_partition(*partition, wait)?;
        let mut slab = Slab {
            partition: at,
            topic: Arc::clone(&self.reader.partitions()[at].topic),
            ..Slab::default()
        };
        let mut begin = 0;
        for ((end, offset), timestamp) in ends.iter().zip(offsets).zip(timestamps) {
            let end = usize::try_from(*end).ok();
            let value = end.and_then(|end| data.0.get(begin..end));
            begin = end.unwrap_or(begin);
            slab.push(value, *offset, *timestamp);
        }
        self.slab = slab;
        Ok(())
    }

    /// The reader's index of a partition, once it has it.
    fn find_partition(
        &mut self,
        number: u32,
        wait: &mut dyn FnMut(&Health) -> Result<()>,
    ) -> Result<usize> {
        loop {
            if let Some(at) = self.numbers.iter().position(|n| *n == number) {
                return Ok(at);
            }
            let nothing = PollLimits {
                max_records: 0,
                ..POLL
            };
            self.reader.poll(&mut self.slab, nothing)?;
            let known = self.numbers.len();
            self.number_partitions();
            if !self.slab.is_empty() {
                // Readers may give a record all the same.
                self.ahead.push_back(std::mem::take(&mut self.slab));
            }
            if self.numbers.len() == known {
                wait(&self.reader.health())?;
            }
        }
    }

    /// Ends a tick as the journal says.
    pub(crate) fn end_tick_again(&mut self, time: Option<&FeedTime>, wall: Micros) {
        self.number_partitions();
        self.time.grow(self.reader.partitions().len(), wall);
        if faults::on(Fault::TimeForgotten) {
            return;
        }
        self.noted.resize(self.names.len(), None);
        if let Some(time) = time {
            self.time.advance_to(Watermark(time.watermark));
            self.noted_watermark = Watermark(time.watermark);
            for moved in &time.partitions {
                if let Some(noted) = self.noted.get_mut(moved.partition as usize) {
                    *noted = Some(*moved);
                }
            }
        }
        // Also of partitions that had rows and did not move: what they were read at is not what the tick made of it.
        for (at, number) in self.numbers.iter().enumerate() {
            if let Some(Some(noted)) = self.noted.get(*number as usize) {
                self.time.set(at, noted);
            }
        }
    }

    /// The journal has nothing more: reading goes on by itself.
    pub(crate) fn go_live(&mut self) {
        for at in 0..self.reader.partitions().len() {
            self.reader.set_paused(at, false);
        }
        self.paused.clear();
    }

    /// Whether records wait that were read before their turn.
    pub(crate) fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }
}

fn topic_event(feed: FeedId, topic: &str, id: &str) -> Event {
    Event::Topic {
        feed,
        topic: topic.to_owned(),
        id: id.to_owned(),
    }
}

fn logged(partition: u32, time: &PartitionTime) -> LoggedTime {
    LoggedTime {
        partition,
        highest: time.highest,
        last_row: time.last_row,
        idle: time.idle,
        finished: time.finished,
    }
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number)
        .expect("a source has fewer than 2^32 partitions, and a slab fewer records")
}
