//! The first rows of each partition by an order, numbered; ties are broken by the remaining columns, so the result is
//! one and the same for any order of arrival.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Micros, Result, Watermark};
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::{Field, FieldRef, SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::row::{RowConverter, SortField};
use plan::Mode;

use crate::aggregates::conform;
use crate::calendar::Calendar;
use crate::changes::concat_changes;
use crate::expr::{Compiled, evaluate_all};
use crate::operator::{Counters, Operator, Out, Tick};
use crate::state::keys::{KeyEncoder, KeyMap};
use crate::state::saved::Saved;

/// What a Top-N is made of.
pub struct TopNSpec {
    /// Partition expressions.
    pub partition: Vec<Compiled>,
    /// Order expressions and their direction.
    pub order: Vec<(Compiled, datafusion::arrow::compute::SortOptions)>,
    /// Rows kept.
    pub limit: usize,
    /// A partition column that follows the watermark, with its offset.
    pub expires: Option<(usize, Micros)>,
    /// Append: a partition's rows come out once, when it is final. Updating: changes come out at each tick.
    pub mode: Mode,
}

/// Top-N.
pub struct TopN {
    spec: TopNSpec,
    schema: SchemaRef,
    input_fields: Vec<FieldRef>,
    keys: KeyEncoder,
    order: RowConverter,
    rows: KeyEncoder,
    partitions: KeyMap<Partition>,
    dirty: Vec<Box<[u8]>>,
    due: Calendar,
    watermark: Watermark,
    held: usize,
}

#[derive(Clone, Default)]
struct Partition {
    /// By (order, whole row): how often.
    rows: BTreeMap<(Box<[u8]>, Box<[u8]>), i64>,
    /// Rows given last, first to last.
    given: Vec<Box<[u8]>>,
    dirty: bool,
}

impl TopN {
    /// Over rows of `input`; `schema` is the output's: the input's columns and the row number.
    pub fn new(spec: TopNSpec, input: &SchemaRef, schema: SchemaRef) -> Result<Self> {
        let field = |e: &Compiled| -> Result<FieldRef> {
            e.return_field(input).map_err(crate::expr::from_datafusion)
        };
        let partition = spec
            .partition
            .iter()
            .map(field)
            .collect::<Result<Vec<_>>>()?;
        let order = spec
            .order
            .iter()
            .map(|(e, options)| {
                Ok(SortField::new_with_options(
                    field(e)?.data_type().clone(),
                    *options,
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        let input_fields: Vec<FieldRef> = input
            .fields()
            .iter()
            .map(|f| Arc::new(Field::new(f.name(), f.data_type().clone(), true)))
            .collect();
        Ok(Self {
            keys: KeyEncoder::new(&partition)?,
            order: RowConverter::new(order)?,
            rows: KeyEncoder::new(&input_fields)?,
            input_fields,
            schema,
            spec,
            partitions: KeyMap::default(),
            dirty: Vec::new(),
            due: Calendar::default(),
            watermark: Watermark::MIN,
            held: 0,
        })
    }

    fn add(&mut self, batch: &DeltaBatch) -> Result<()> {
        let partition = evaluate_all(&self.spec.partition, &batch.rows)?;
        let expiry = self.spec.expires.and_then(|(i, _)| {
            partition[i]
                .as_primitive_opt::<TimestampMicrosecondType>()
                .cloned()
        });
        let order: Vec<Compiled> = self.spec.order.iter().map(|(e, _)| Arc::clone(e)).collect();
        let order = self
            .order
            .convert_columns(&evaluate_all(&order, &batch.rows)?)?;
        let keys = self.keys.encode(&partition)?;
        let Some(rows) = self.rows.encode(batch.rows.columns())? else {
            return Err(Error::internal("a Top-N without columns"));
        };
        for row in 0..batch.len() {
            let key: &[u8] = keys.as_ref().map_or(&[], |k| k.row(row).data());
            let mut new = false;
            let entry = self.partitions.entry(key, || {
                new = true;
                Partition::default()
            });
            if new && let Some(times) = &expiry {
                self.due.add(times.value(row), key);
            }
            if !entry.dirty {
                entry.dirty = true;
                self.dirty.push(key.into());
            }
            let place = (order.row(row).data().into(), rows.row(row).data().into());
            self.held = self
                .held
                .saturating_add_signed(entry.change(place, batch.weights.get(row)));
            if self.spec.mode == Mode::Append && entry.rows.len() > self.spec.limit {
                entry.rows.pop_last();
                self.held -= 1;
            }
        }
        Ok(())
    }

    fn batch(&self, rows: &[(&[u8], usize)]) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = self.rows.decode(rows.iter().map(|(bytes, _)| *bytes))?;
        debug_assert_eq!(columns.len(), self.input_fields.len());
        columns.push(Arc::new(
            rows.iter().map(|(_, n)| *n as u64).collect::<UInt64Array>(),
        ));
        conform(&self.schema, columns)
    }

    /// The final rows of partitions that the watermark has passed.
    fn finish(&mut self, out: &mut Out) -> Result<()> {
        let Some((_, offset)) = self.spec.expires else {
            return Ok(());
        };
        let now = self.watermark.shifted(offset).0;
        while let Some((_, mut keys)) = self.due.pop_due(now) {
            keys.sort_unstable();
            for key in keys {
                let Some(partition) = self.partitions.remove(&key) else {
                    continue;
                };
                self.held -= partition.rows.len();
                if self.spec.mode == Mode::Append {
                    let top = partition.top(self.spec.limit);
                    let numbered: Vec<(&[u8], usize)> = top.into_iter().zip(1..).collect();
                    out.push(DeltaBatch::inserts(self.batch(&numbered)?));
                }
            }
        }
        Ok(())
    }

    /// The changes of partitions that changed in this tick.
    fn correct(&mut self, out: &mut Out) -> Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        if self.spec.mode == Mode::Append {
            for key in dirty {
                if let Some(partition) = self.partitions.get_mut(&key) {
                    partition.dirty = false;
                }
            }
            return Ok(());
        }
        dirty.sort_unstable();
        for key in dirty {
            let Some(partition) = self.partitions.get(&key) else {
                continue;
            };
            let now: Vec<Box<[u8]>> = partition
                .top(self.spec.limit)
                .into_iter()
                .map(Into::into)
                .collect();
            let changed = |a: &[Box<[u8]>], b: &[Box<[u8]>]| -> Vec<usize> {
                (0..a.len()).filter(|i| b.get(*i) != Some(&a[*i])).collect()
            };
            let gone: Vec<(&[u8], usize)> = changed(&partition.given, &now)
                .into_iter()
                .map(|i| (partition.given[i].as_ref(), i + 1))
                .collect();
            let come: Vec<(&[u8], usize)> = changed(&now, &partition.given)
                .into_iter()
                .map(|i| (now[i].as_ref(), i + 1))
                .collect();
            out.push(concat_changes(&self.batch(&gone)?, &self.batch(&come)?)?);
            let empty = partition.rows.is_empty();
            if empty {
                self.partitions.remove(&key);
            } else if let Some(partition) = self.partitions.get_mut(&key) {
                partition.given = now;
                partition.dirty = false;
            }
        }
        Ok(())
    }
}

impl Partition {
    /// Adds a weight to a row; says by how much the number of distinct rows changed.
    fn change(&mut self, place: (Box<[u8]>, Box<[u8]>), weight: i8) -> isize {
        use std::collections::btree_map::Entry;
        match self.rows.entry(place) {
            Entry::Vacant(new) => {
                new.insert(i64::from(weight));
                1
            }
            Entry::Occupied(mut held) => {
                *held.get_mut() += i64::from(weight);
                if *held.get() == 0 {
                    held.remove();
                    return -1;
                }
                0
            }
        }
    }

    fn top(&self, limit: usize) -> Vec<&[u8]> {
        self.rows
            .iter()
            .flat_map(|((_, row), times)| {
                std::iter::repeat_n(row.as_ref(), usize::try_from(*times).unwrap_or(0))
            })
            .take(limit)
            .collect()
    }
}

impl Operator for TopN {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, _out: &mut Out) -> Result<()> {
        self.add(&batch)
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        self.watermark = self.watermark.max(tick.watermark);
        self.correct(out)?;
        self.finish(out)?;
        Ok(self.watermark)
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: 0,
            state_rows: self.held as u64,
            next_close: self.due.next(),
        }
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.number(self.watermark.0);
        self.due.save(saved);
        let partitions = self.partitions.sorted();
        saved.keys(partitions.iter().map(|(key, _)| *key));
        for (_, partition) in partitions {
            saved.keys(partition.rows.keys().map(|(order, _)| order.as_ref()));
            saved.keys(partition.rows.keys().map(|(_, row)| row.as_ref()));
            saved.numbers(partition.rows.values().copied());
            saved.keys(partition.given.iter().map(AsRef::as_ref));
        }
        Ok(())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = saved.take_watermark()?;
        self.due.load(saved)?;
        for key in saved.take_keys()?.iter() {
            let (order, rows) = (saved.take_keys()?, saved.take_keys()?);
            let places = order.boxed().zip(rows.boxed());
            let partition = Partition {
                rows: places.zip(saved.take_numbers()?).collect(),
                given: saved.take_keys()?.boxed().collect(),
                dirty: false,
            };
            self.held += partition.rows.len();
            *self.partitions.entry(key, Partition::default) = partition;
        }
        Ok(())
    }
}
