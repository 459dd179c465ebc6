//! GROUP BY that never closes: changed groups are merged into their stored state and give corrections.

use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::{DeltaBatch, Error, Micros, Result, Watermark};
use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{concat_batches, min};
use datafusion::arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use plan::node::AggOutput;
use plan::{AggSpec, Window};

use crate::aggregates::{Aggregates, conform};
use crate::calendar::Calendar;
use crate::changes::{complete_rows, concat_changes, correction};
use crate::operator::{Counters, Operator, Out, Tick};
use crate::ops::pane_agg::{Partials, assemble};
use crate::state::keys::{KeyEncoder, KeyMap};
use crate::state::rows::{RowStore, Slot};
use crate::state::saved::{Saved, wrong};
use crate::window::{complete, window_time_watermark};

/// Aggregation with corrections.
pub struct UpdatingAgg {
    aggregates: Aggregates,
    output: Vec<AggOutput>,
    schema: SchemaRef,
    rules: Rules,
    /// The output column that says whether a row is final.
    complete: Option<usize>,
    /// Changes since the last emission.
    hot: Partials,
    encoder: KeyEncoder,
    groups: KeyMap<Group>,
    /// Partial states, without keys.
    states: RowStore,
    /// The rows that were given last.
    given: RowStore,
    by_watermark: Calendar,
    /// The earliest time at which a group goes that changed since the last emission.
    next_hot: Option<Micros>,
    by_age: Calendar,
    watermark: Watermark,
    last_emission: Option<Micros>,
    late: u64,
    /// An aggregation without keys has a row before any came.
    no_row_yet: bool,
}

/// When results come out and state goes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Longest time that a change waits, in microseconds.
    pub every: Micros,
    /// A key that follows the watermark, with its offset: the group goes when watermark + offset reaches it.
    pub expires: Option<(usize, Micros)>,
    /// The aligned window whose columns are among the keys.
    pub window: Option<Window>,
    /// Groups untouched for so long are taken back and forgotten.
    pub ttl: Option<Micros>,
}

#[derive(Clone)]
struct Group {
    state: Slot,
    given: Slot,
    touched: Micros,
}

impl UpdatingAgg {
    /// Gives rows of `schema`.
    pub fn new(
        spec: &AggSpec,
        aggregates: Aggregates,
        rules: Rules,
        schema: SchemaRef,
    ) -> Result<Self> {
        let states = state_columns(&aggregates);
        Ok(Self {
            hot: Partials::new(&aggregates)?,
            encoder: KeyEncoder::new(aggregates.key_fields())?,
            groups: KeyMap::default(),
            states: RowStore::new(states),
            given: RowStore::new(Arc::clone(&schema)),
            by_watermark: Calendar::default(),
            next_hot: None,
            by_age: Calendar::default(),
            watermark: Watermark::MIN,
            last_emission: None,
            late: 0,
            no_row_yet: aggregates.key_count() == 0,
            complete: spec.output.iter().position(|o| *o == AggOutput::Complete),
            output: spec.output.clone(),
            aggregates,
            schema,
            rules,
        })
    }

    fn add(&mut self, batch: &DeltaBatch, keys: &[ArrayRef]) -> Result<()> {
        let arguments = self.aggregates.eval_arguments(&batch.rows, None)?;
        if let Some((key, _)) = self.rules.expires
            && let Some(times) = keys[key].as_primitive_opt::<TimestampMicrosecondType>()
        {
            self.next_hot = self.next_hot.into_iter().chain(min(times)).min();
        }
        self.hot.hot.update(keys, &arguments, batch.len())
    }

    /// Which rows belong to groups that the watermark has not passed; `None` when all do.
    fn in_time(&self, keys: &[ArrayRef]) -> Option<BooleanArray> {
        let (key, offset) = self.rules.expires?;
        let passed = self.watermark.shifted(offset);
        let times = keys[key].as_primitive_opt::<TimestampMicrosecondType>()?;
        let late = |t: &Micros| passed.is_known() && *t <= passed.0;
        if !times.values().iter().any(late) {
            return None;
        }
        Some(times.values().iter().map(|t| Some(!late(t))).collect())
    }

    /// Late rows of a group by event time. (Rows of windows are late where their windows are assigned.)
    fn set_late_aside(
        &self,
        batch: &DeltaBatch,
        keys: &[ArrayRef],
        keep: &BooleanArray,
        out: &mut Out,
    ) -> Result<()> {
        let times = self
            .rules
            .expires
            .and_then(|(key, _)| keys[key].as_primitive_opt::<TimestampMicrosecondType>());
        let late = (0..).zip(keep.values()).filter(|(_, keep)| !keep);
        let late: Vec<u32> = late.map(|(row, _)| row).collect();
        match times {
            Some(times) => out.set_rows_aside(&batch.rows, times.values(), late, self.watermark),
            None => Ok(()),
        }
    }

    /// Merges the hot table into the stored groups and gives the corrections.
    fn emit(&mut self, wall: Micros, out: &mut Out) -> Result<()> {
        self.next_hot = None;
        let hot = self.hot.merged(&self.aggregates)?;
        let Some(run) = hot.take_run(&self.aggregates)? else {
            return Ok(());
        };
        let key_count = self.aggregates.key_count();
        let keys = run.columns()[..key_count].to_vec();
        let slots = self.slots_of(&keys, run.num_rows(), wall)?;
        let (results, states) = self.merge(&run, &slots)?;
        let all: Vec<Slot> = slots.iter().map(|s| s.state).collect();
        self.states.put(&all, states)?;
        // The columns of a window are ordinary keys here.
        let rows = assemble(&self.schema, &self.output, &keys, &results, |_, _| {
            self.completeness(&keys, slots.len())
        })?;
        self.give(&slots, rows, out)
    }

    /// Which groups are final.
    fn completeness(&self, keys: &[ArrayRef], rows: usize) -> ArrayRef {
        let due = self.rules.expires.and_then(|(key, offset)| {
            let times = keys[key].as_primitive_opt::<TimestampMicrosecondType>()?;
            Some((times, self.watermark.shifted(offset).0))
        });
        match due {
            Some((times, now)) => {
                let complete = times.values().iter().map(|time| Some(*time <= now));
                Arc::new(complete.collect::<BooleanArray>())
            }
            None => complete(rows, false),
        }
    }

    /// Stored groups of the run's keys, made when new.
    fn slots_of(&mut self, keys: &[ArrayRef], rows: usize, wall: Micros) -> Result<Vec<Touched>> {
        let encoded = self.encoder.encode(keys)?;
        let deadline = match self.rules.expires {
            Some((key, _)) => keys[key]
                .as_primitive_opt::<TimestampMicrosecondType>()
                .cloned(),
            None => None,
        };
        let mut touched = Vec::with_capacity(rows);
        for row in 0..rows {
            let bytes: &[u8] = encoded.as_ref().map_or(&[], |e| e.row(row).data());
            let mut new = false;
            let (states, given) = (&mut self.states, &mut self.given);
            let group = self.groups.entry(bytes, || {
                new = true;
                Group {
                    state: states.reserve(),
                    given: given.reserve(),
                    touched: wall,
                }
            });
            group.touched = wall;
            if new {
                if let Some(times) = &deadline {
                    self.by_watermark.add(times.value(row), bytes);
                }
                if let Some(ttl) = self.rules.ttl {
                    self.by_age.add(wall.saturating_add(ttl), bytes);
                }
            }
            touched.push(Touched {
                state: group.state,
                given: group.given,
                new,
            });
        }
        Ok(touched)
    }

    /// Old state plus the run: results and new states. Taking results and taking states both empty an accumulator, so
    /// each has its own.
    fn merge(
        &mut self,
        run: &RecordBatch,
        slots: &[Touched],
    ) -> Result<(Vec<ArrayRef>, RecordBatch)> {
        let total = slots.len();
        let old: Vec<(usize, Slot)> = slots
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.new)
            .map(|(i, s)| (i, s.state))
            .collect();
        let at: Vec<usize> = old.iter().map(|(i, _)| *i).collect();
        let stored = self
            .states
            .get(&old.iter().map(|(_, s)| *s).collect::<Vec<_>>())?;
        let partial =
            run.project(&(self.aggregates.key_count()..run.num_columns()).collect::<Vec<_>>())?;
        // One call for old and new: an accumulator takes every group below the total of a call as one that has rows.
        let all = concat_batches(&self.states_schema(), [&stored, &partial])?;
        let groups: Vec<usize> = at.into_iter().chain(0..total).collect();
        let fill = |aggregates: &Aggregates| {
            let mut accumulators = aggregates.accumulators()?;
            accumulators.merge(all.columns(), &groups, total)?;
            Ok::<_, Error>(accumulators)
        };
        let results = fill(&self.aggregates)?.take_results()?;
        let states = fill(&self.aggregates)?.take_states()?;
        Ok((results, batch_of(self.states_schema(), states, total)?))
    }

    fn states_schema(&self) -> SchemaRef {
        state_columns(&self.aggregates)
    }

    fn give(&mut self, slots: &[Touched], rows: RecordBatch, out: &mut Out) -> Result<()> {
        let pick =
            |new: bool| -> BooleanArray { slots.iter().map(|s| Some(s.new == new)).collect() };
        let fresh = datafusion::arrow::compute::filter_record_batch(&rows, &pick(true))?;
        let changed = datafusion::arrow::compute::filter_record_batch(&rows, &pick(false))?;
        let old: Vec<Slot> = slots.iter().filter(|s| !s.new).map(|s| s.given).collect();
        if !old.is_empty() {
            let before = self.given.get(&old)?;
            if let Some(change) = correction(&before, &changed)? {
                out.push(change);
            }
        }
        out.push(DeltaBatch::inserts(fresh));
        self.given
            .put(&slots.iter().map(|s| s.given).collect::<Vec<_>>(), rows)
    }

    /// Frees groups that the watermark has passed; their rows stay as they are, or say now that they are final.
    fn expire_by_watermark(&mut self, out: &mut Out) -> Result<()> {
        let Some((_, offset)) = self.rules.expires else {
            return Ok(());
        };
        let Watermark(at) = self.watermark.shifted(offset);
        let mut gone = Vec::new();
        while let Some((_, mut keys)) = self.by_watermark.pop_due(at) {
            keys.sort_unstable();
            gone.extend(keys.iter().filter_map(|key| self.groups.remove(key)));
        }
        if let (Some(column), false) = (self.complete, gone.is_empty()) {
            let rows = self
                .given
                .get(&gone.iter().map(|g| g.given).collect::<Vec<_>>())?;
            if let Some(change) = correction(&rows, &complete_rows(&rows, column)?)? {
                out.push(change);
            }
        }
        for group in gone {
            self.states.remove(group.state);
            self.given.remove(group.given);
        }
        Ok(())
    }

    /// Takes back and frees groups that nobody touched for the time to live.
    fn expire_by_age(&mut self, wall: Micros, out: &mut Out) -> Result<()> {
        let Some(ttl) = self.rules.ttl else {
            return Ok(());
        };
        let mut gone = Vec::new();
        while let Some((_, keys)) = self.by_age.pop_due(wall) {
            for key in keys {
                let Some(group) = self.groups.get(&key) else {
                    continue;
                };
                let due = group.touched.saturating_add(ttl);
                if due > wall {
                    self.by_age.add(due, &key);
                } else if let Some(group) = self.groups.remove(&key) {
                    gone.push(group);
                }
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let rows = self
            .given
            .get(&gone.iter().map(|g| g.given).collect::<Vec<_>>())?;
        let nothing = RecordBatch::new_empty(Arc::clone(&self.schema));
        out.push(concat_changes(&rows, &nothing)?);
        for group in gone {
            self.states.remove(group.state);
            self.given.remove(group.given);
        }
        Ok(())
    }

    fn is_due(&self, tick: &Tick) -> bool {
        tick.flush
            || tick.last
            || self
                .last_emission
                .is_none_or(|last| tick.wall.saturating_sub(last) >= self.rules.every)
            || self.expires_now(tick.watermark)
    }

    fn expires_now(&self, watermark: Watermark) -> bool {
        let Some((_, offset)) = self.rules.expires else {
            return false;
        };
        let next = self
            .by_watermark
            .next()
            .into_iter()
            .chain(self.next_hot)
            .min();
        next.is_some_and(|next| next <= watermark.shifted(offset).0)
    }
}

struct Touched {
    state: Slot,
    given: Slot,
    new: bool,
}

/// The state columns without the keys.
pub fn state_columns(aggregates: &Aggregates) -> SchemaRef {
    Arc::new(Schema::new(
        aggregates.state_schema().fields()[aggregates.key_count()..].to_vec(),
    ))
}

/// A batch of `rows` rows, also without columns.
pub fn batch_of(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    if columns.is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        return Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?);
    }
    conform(&schema, columns)
}

impl Operator for UpdatingAgg {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        if batch.weights != Weights::Ones {
            return Err(Error::internal(
                "an aggregation got rows that are taken back",
            ));
        }
        let keys = self.aggregates.eval_keys(&batch.rows)?;
        if let Some(keep) = self.in_time(&keys) {
            self.late += keep.false_count() as u64;
            self.set_late_aside(&batch, &keys, &keep, out)?;
            let batch = batch.filter(&keep)?;
            let keys = self.aggregates.eval_keys(&batch.rows)?;
            return if batch.is_empty() {
                Ok(())
            } else {
                self.add(&batch, &keys)
            };
        }
        self.add(&batch, &keys)
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        if std::mem::take(&mut self.no_row_yet) {
            self.hot.hot.merge(&self.aggregates.empty_state()?, 0)?;
        }
        let due = self.hot.rows() > 0 && self.is_due(&tick);
        self.watermark = self.watermark.max(tick.watermark);
        if due {
            self.last_emission = Some(tick.wall);
            self.emit(tick.wall, out)?;
        }
        self.expire_by_watermark(out)?;
        self.expire_by_age(tick.wall, out)?;
        Ok(match &self.rules.window {
            Some(window) => window_time_watermark(window, self.watermark),
            None => self.watermark,
        })
    }

    fn waits(&self) -> bool {
        self.hot.rows() > 0 || self.rules.ttl.is_some()
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: self.late,
            state_rows: (self.groups.len() + self.hot.rows()) as u64,
            next_close: self.by_watermark.next(),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.hot.flush(&self.aggregates)
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        self.hot.save(saved)?;
        let (groups, states, given) = (
            self.groups.freeze(),
            self.states.freeze(),
            self.given.freeze(),
        );
        saved.later(move |saved| {
            let groups = groups.all();
            saved.keys(groups.iter().map(|(key, _)| *key));
            saved.numbers(groups.iter().map(|(_, group)| group.touched));
            let slots =
                |of: fn(&Group) -> Slot| groups.iter().map(|(_, g)| of(g)).collect::<Vec<_>>();
            saved.rows(&states.get(&slots(|g| g.state))?);
            saved.rows(&given.get(&slots(|g| g.given))?);
            Ok(())
        });
        self.by_watermark.save(saved);
        self.by_age.save(saved);
        saved.time(self.next_hot);
        saved.number(self.watermark.0);
        saved.time(self.last_emission);
        saved.counter(self.late);
        saved.count(usize::from(self.no_row_yet));
        Ok(())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.hot = Partials::load(&self.aggregates, saved)?;
        let (keys, touched) = (saved.take_keys()?, saved.take_numbers()?);
        let (states, given) = (saved.take_rows()?, saved.take_rows()?);
        let groups = keys.iter().len();
        if [touched.len(), states.num_rows(), given.num_rows()] != [groups; 3] {
            return Err(wrong("as many rows as keys", None::<()>));
        }
        let group = |(slot, touched)| Group {
            state: slot,
            given: slot,
            touched,
        };
        self.groups.fill(keys.iter(), (0..).zip(touched).map(group));
        self.states.fill(states);
        self.given.fill(given);
        self.by_watermark.load(saved)?;
        self.by_age.load(saved)?;
        self.next_hot = saved.take_time()?;
        self.watermark = saved.take_watermark()?;
        self.last_emission = saved.take_time()?;
        self.late = saved.take_counter()?;
        self.no_row_yet = saved.take_count()? == 1;
        Ok(())
    }
}
