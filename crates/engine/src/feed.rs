//! One read of one source: fetch, decode once, note event times, hand batches to every consumer.

mod counts;
mod journaled;
mod saved;

pub use counts::{FeedCounts, PartitionCounts};
pub(crate) use journaled::Recorded;
pub(crate) use saved::FeedState;

use std::collections::VecDeque;
use std::sync::Arc;

use dataflow::connector::{
    OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader, Wants,
};
use dataflow::schema::{ColumnOrigin, SourceSchema};
use dataflow::wake::Waker;
use dataflow::{DeltaBatch, Error, Micros, Result, Slab, Watermark};
use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
};
use datafusion::arrow::compute::{filter_record_batch, max};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use formats::Decoder;

use crate::aside::{Aside, AsideSpec};
use crate::journal::{Event, FeedId, LoggedTime};
use crate::view::Place;
use crate::watermark::{SourceTime, TimeRules};

/// The bounds of one poll.
pub(crate) const POLL: PollLimits = PollLimits {
    max_records: 8192,
    max_bytes: 8 << 20,
};

/// Declares a source to the engine.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Its name.
    pub name: String,
    /// Its columns and watermark.
    pub schema: SourceSchema,
    /// Opens readers.
    pub factory: Arc<dyn SourceFactory>,
    /// How its watermark moves.
    pub time: TimeRules,
    /// Records with event times so far ahead of the clock are bad: they would close windows that are still to come.
    pub max_ahead: Option<Micros>,
    /// Where bad records and late rows go.
    pub aside: AsideSpec,
    /// A bad record fails the views that read the source; otherwise it is counted and dropped.
    pub fail_on_bad: bool,
}

/// Who gets a feed's rows.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// The view.
    pub view: u64,
    /// Its leaf.
    pub leaf: usize,
    /// Columns that it wants, by index into the source's schema.
    pub columns: Vec<usize>,
    /// Schema of what it gets.
    pub schema: SchemaRef,
    /// Records below these offsets (by the partition's number in the journal) it has already.
    pub skip: Vec<i64>,
    /// Records that it is to leave out.
    pub without: Vec<Place>,
}

/// What the clock says of a tick at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// At the end of the tick before.
    pub(crate) before: Micros,
    /// At its beginning.
    pub(crate) began: Micros,
}

/// A running read.
pub struct Feed {
    id: FeedId,
    spec: Arc<SourceSpec>,
    reader: Box<dyn SourceReader>,
    decoder: Box<dyn Decoder>,
    /// Columns decoded, by index into the source's schema.
    wanted: Vec<usize>,
    wants: Wants,
    slab: Slab,
    time: SourceTime,
    /// Who gets the rows.
    pub consumers: Vec<Consumer>,
    counts: FeedCounts,
    /// By the partition's number in the journal.
    partition_counts: Vec<PartitionCounts>,
    paused: Vec<bool>,
    /// The partitions in the order in which the journal numbers them.
    names: Vec<(Arc<str>, i32)>,
    /// The number of each partition of the reader.
    numbers: Vec<u32>,
    /// Partitions that the journal is to be told of.
    untold: Vec<Event>,
    /// Records that were read before their turn when the journal was replayed.
    ahead: VecDeque<Slab>,
    /// Event times as the journal has them, by number of the partition.
    noted: Vec<Option<LoggedTime>>,
    noted_watermark: Watermark,
    /// Where the reader was told to begin, by number of the partition.
    starts: Vec<Position>,
    /// What tells the topics from others of their names.
    topics: Vec<(Arc<str>, String)>,
}

/// Rows for one consumer.
pub struct Delivery {
    /// The view.
    pub view: u64,
    /// Its leaf.
    pub leaf: usize,
    /// The rows, or why the view must fail.
    pub batch: Result<DeltaBatch>,
    /// Where they come from.
    pub topic: Arc<str>,
    /// Number of their partition.
    pub partition: i32,
    /// Their offsets, one a row; shared by the consumers.
    pub offsets: Arc<[i64]>,
}

impl Feed {
    /// Opens a read for `consumers` at `positions` of `topics`, and of other partitions where the source's options say.
    pub(crate) fn open(
        id: FeedId,
        spec: Arc<SourceSpec>,
        consumers: Vec<Consumer>,
        positions: Vec<Position>,
        topics: Vec<(Arc<str>, String)>,
        waker: Waker,
    ) -> Result<Self> {
        let wanted = wanted_columns(&spec.schema, &consumers);
        let wants = if spec.factory.replays() {
            wants_of(&spec.schema, &wanted)
        } else {
            // No other reader can be opened for a view that wants more.
            Wants {
                keys: true,
                headers: true,
            }
        };
        let name = |place: &Position| (Arc::clone(&place.topic), place.partition);
        let names = positions.iter().map(name).collect();
        let starts = positions.clone();
        let request = OpenRequest {
            schema: Arc::new(spec.schema.clone()),
            wants,
            bounded: false,
            positions,
            topics: topics.clone(),
            waker,
        };
        let reader = spec.factory.open(request)?;
        let decoder = decoder(&spec.schema, &wanted)?;
        let time = SourceTime::new(spec.time);
        Ok(Self {
            id,
            spec,
            reader,
            decoder,
            wanted,
            wants,
            slab: Slab::default(),
            time,
            consumers,
            counts: FeedCounts::default(),
            partition_counts: Vec::new(),
            paused: Vec::new(),
            names,
            numbers: Vec::new(),
            untold: Vec::new(),
            ahead: VecDeque::new(),
            noted: Vec::new(),
            noted_watermark: Watermark::MIN,
            starts,
            topics,
        })
    }

    /// Its name in the journal.
    pub(crate) fn id(&self) -> FeedId {
        self.id
    }

    /// The source.
    pub fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    /// The reader.
    pub fn reader(&self) -> &dyn SourceReader {
        self.reader.as_ref()
    }

    /// Event time.
    pub fn time(&self) -> &SourceTime {
        &self.time
    }

    /// Whether everything has been read that a bounded source has.
    pub fn is_finished(&self) -> bool {
        let partitions = self.reader.partitions();
        !partitions.is_empty() && partitions.iter().all(Partition::finished)
    }

    /// Counts.
    pub fn counts(&self) -> &FeedCounts {
        &self.counts
    }

    /// Whether a consumer's columns can be had without opening the reader anew (keys and headers must be asked for).
    pub fn can_serve(&self, columns: &[usize]) -> bool {
        let wants = wants_of(&self.spec.schema, columns);
        (!wants.keys || self.wants.keys) && (!wants.headers || self.wants.headers)
    }

    /// Adds a consumer at a tick's border.
    pub fn add(&mut self, consumer: Consumer) -> Result<()> {
        self.consumers.push(consumer);
        self.recompile()
    }

    /// Removes a view's consumers at a tick's border.
    pub fn remove(&mut self, view: u64) -> Result<()> {
        self.consumers.retain(|c| c.view != view);
        self.recompile()
    }

    fn recompile(&mut self) -> Result<()> {
        let wanted = wanted_columns(&self.spec.schema, &self.consumers);
        if wanted != self.wanted {
            self.decoder = decoder(&self.spec.schema, &wanted)?;
            self.wanted = wanted;
        }
        Ok(())
    }

    /// Reads what is there, at most one slab. Says how many records came; deliveries go to `out`, bad records to `aside`,
    /// and what the journal has to know to `events`, if there is one.
    pub(crate) fn poll(
        &mut self,
        clocks: Clocks,
        out: &mut Vec<Delivery>,
        aside: &mut Aside,
        events: Option<&mut Vec<Event>>,
    ) -> Result<usize> {
        // Before the reader tells what has come until then.
        self.time.connected(self.reader.connection());
        let mut gaps = Vec::new();
        match self.ahead.pop_front() {
            Some(slab) => self.slab = slab,
            None => {
                self.reader.poll(&mut self.slab, POLL)?;
                gaps = self.reader.take_gaps();
                self.learn_topics();
            }
        }
        self.number_partitions();
        let mut gaps = self.note_gaps(gaps, clocks, aside);
        match events {
            Some(events) => {
                events.append(&mut self.untold);
                events.append(&mut gaps);
                if !self.slab.is_empty() {
                    events.push(self.read_event());
                }
            }
            None => self.untold.clear(),
        }
        self.take_in(clocks, out, aside)
    }

    /// Decodes the slab and hands it on.
    pub(crate) fn take_in(
        &mut self,
        clocks: Clocks,
        out: &mut Vec<Delivery>,
        aside: &mut Aside,
    ) -> Result<usize> {
        let wall = clocks.began;
        self.slab.read_at = wall;
        let partitions = self.reader.partitions().len();
        self.time.grow(partitions, wall);
        if self.slab.is_empty() {
            return Ok(0);
        }
        let records = self.slab.len();
        let partition = self.slab.partition;
        self.counts.records += records as u64;
        self.counts.bytes += self.slab.bytes_read() as u64;
        let number = self.numbers[partition] as usize;
        self.partition_counts[number].records += records as u64;
        let id = self.reader.partitions()[partition].id;
        self.note_offsets(partition, id, aside);
        let mut decoded = self.decoder.decode(&self.slab, 0..records, id);
        if let (Some(ahead), Some(time)) = (self.spec.max_ahead, self.time_index()) {
            refuse_future(&mut decoded, time, clocks.before.saturating_add(ahead))?;
        }
        self.counts.tombstones += decoded.tombstones;
        let failure = self.note_bad(partition, &decoded);
        if self.spec.aside.wants_errors() {
            aside.note_errors(id, &self.slab, &decoded.bad)?;
        }
        if let Some(highest) = self.highest(&decoded.batch) {
            self.time.observe(partition, highest, wall);
        }
        let offsets: Arc<[i64]> = match (&failure, &decoded.good) {
            (None, Some(good)) => {
                let offset = |row: &u32| self.slab.offsets[*row as usize];
                good.iter().map(offset).collect()
            }
            _ => self.slab.offsets.as_slice().into(),
        };
        for consumer in &self.consumers {
            let (batch, offsets) = match &failure {
                Some(error) => (Err(error.clone()), Arc::clone(&offsets)),
                None => {
                    let (rows, offsets) = self.rows_for(consumer, &decoded, id, &offsets)?;
                    (Ok(rows), offsets)
                }
            };
            out.push(Delivery {
                view: consumer.view,
                leaf: consumer.leaf,
                batch,
                topic: Arc::clone(&self.slab.topic),
                partition: id,
                offsets,
            });
        }
        Ok(records)
    }

    fn event_times<'a>(
        &self,
        batch: &'a RecordBatch,
    ) -> Option<&'a PrimitiveArray<TimestampMicrosecondType>> {
        batch.column(self.time_index()?).as_primitive_opt()
    }

    /// Where the event time is among the columns decoded.
    fn time_index(&self) -> Option<usize> {
        let time = self.spec.schema.watermark.as_ref()?.column;
        self.wanted.iter().position(|c| *c == time)
    }

    fn highest(&self, batch: &RecordBatch) -> Option<Micros> {
        max(self.event_times(batch)?)
    }

    /// The rows for one consumer, and their offsets, out of those of all rows.
    fn rows_for(
        &self,
        consumer: &Consumer,
        decoded: &formats::Decoded,
        partition: i32,
        offsets: &Arc<[i64]>,
    ) -> Result<(DeltaBatch, Arc<[i64]>)> {
        let columns: Vec<ArrayRef> = consumer
            .columns
            .iter()
            .map(|c| {
                let at = self.wanted.iter().position(|w| w == c);
                at.map(|at| Arc::clone(decoded.batch.column(at)))
                    .ok_or_else(|| {
                        Error::internal("a column that a consumer wants was not decoded")
                    })
            })
            .collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.batch.num_rows()));
        let mut rows =
            RecordBatch::try_new_with_options(Arc::clone(&consumer.schema), columns, &options)?;
        let mut offsets = Arc::clone(offsets);
        let number = self.numbers[self.slab.partition] as usize;
        let skip = consumer.skip.get(number).copied().unwrap_or(0);
        let without = |at: i64| {
            let topic = &self.slab.topic;
            let left_out =
                |p: &Place| p.partition == partition && p.offset == at && p.topic == *topic;
            consumer.without.iter().any(left_out)
        };
        let begins_before = offsets.first().is_some_and(|first| *first < skip);
        if begins_before || !consumer.without.is_empty() {
            let keep = |at: i64| at >= skip && !without(at);
            let mask: BooleanArray = offsets.iter().map(|at| Some(keep(*at))).collect();
            rows = filter_record_batch(&rows, &mask)?;
            offsets = offsets.iter().copied().filter(|at| keep(*at)).collect();
        }
        Ok((DeltaBatch::inserts(rows), offsets))
    }

    /// Ends a tick: moves the watermark, and lets partitions wait that are too far ahead of others.
    pub fn end_tick(&mut self, wall: Micros) {
        let partitions = self.reader.partitions();
        self.time.grow(partitions.len(), wall);
        let finished = partitions.iter().enumerate().filter(|(_, p)| p.finished());
        finished.for_each(|(at, _)| self.time.finish(at));
        self.time.advance(wall, |i| partitions[i].at_end);
        let ahead = self.time.too_far_ahead(|i| partitions[i].at_end);
        self.paused.resize(ahead.len(), false);
        for (partition, ahead) in ahead.into_iter().enumerate() {
            if self.paused[partition] != ahead {
                self.reader.set_paused(partition, ahead);
                self.paused[partition] = ahead;
            }
        }
    }

    /// Whether ticks are needed though nothing comes.
    pub fn needs_ticks(&self) -> bool {
        self.time.needs_ticks()
    }

    /// When a tick is needed without new rows, because a partition becomes idle.
    pub fn next_idle(&self) -> Option<Micros> {
        let partitions = self.reader.partitions();
        self.time
            .next_idle(|i| partitions.get(i).is_some_and(|p| p.at_end))
    }

    /// Publishes the positions under the consumer group.
    pub fn commit(&mut self) {
        let partitions = self.reader.partitions().iter();
        let positions: Vec<Position> = partitions
            .filter(|p| p.position >= 0)
            .map(Partition::place)
            .collect();
        self.reader.commit(&positions);
    }

    /// Records on the broker that have not been read, over all partitions.
    pub fn lag(&self) -> i64 {
        self.reader
            .partitions()
            .iter()
            .filter_map(Partition::lag)
            .sum()
    }
}

/// Makes bad records of rows whose event time, in column `time`, is after `limit`.
pub fn refuse_future(decoded: &mut formats::Decoded, time: usize, limit: Micros) -> Result<()> {
    let times = decoded.batch.column(time);
    let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>() else {
        return Ok(());
    };
    if max(times).is_none_or(|highest| highest <= limit) {
        return Ok(());
    }
    let message = |at: Micros| {
        let at = dataflow::time::format_utc(at);
        format!("the event time {at} is more than watermark.max_ahead ahead of the clock")
    };
    let keep: Vec<bool> = times.values().iter().map(|at| *at <= limit).collect();
    let future = times.values().iter().enumerate();
    let future = future.filter(|(_, at)| **at > limit);
    let future = future.map(|(row, at)| (row, message(*at))).collect();
    decoded.refuse(keep, future)
}

/// The decoder of a source's records.
fn decoder(schema: &SourceSchema, wanted: &[usize]) -> Result<Box<dyn Decoder>> {
    formats::decoder(schema, wanted, formats::Limits::default())
}

/// Columns that someone wants, and the event time.
fn wanted_columns(schema: &SourceSchema, consumers: &[Consumer]) -> Vec<usize> {
    let mut wanted: Vec<usize> = consumers
        .iter()
        .flat_map(|c| c.columns.iter().copied())
        .collect();
    wanted.extend(schema.watermark.as_ref().map(|w| w.column));
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// Parts of records that columns need.
pub fn wants_of(schema: &SourceSchema, columns: &[usize]) -> Wants {
    let has = |origin: &ColumnOrigin| columns.iter().any(|c| schema.columns[*c].origin == *origin);
    Wants {
        keys: has(&ColumnOrigin::Key),
        headers: has(&ColumnOrigin::Headers),
    }
}
