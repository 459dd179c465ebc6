//! Rows of one schema under stable slots, in chunks that are merged as they shrink: an LSM of one level per power of two.

use std::sync::Arc;

use dataflow::Result;
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::interleave;
use datafusion::arrow::datatypes::SchemaRef;

use super::cow::CowVec;

/// A slot: the stable name of a stored row.
pub type Slot = u32;

/// Rows under slots.
pub struct RowStore {
    schema: SchemaRef,
    chunks: Vec<Chunk>,
    places: CowVec<Place>,
    free: Vec<Slot>,
    live: usize,
}

struct Chunk {
    rows: RecordBatch,
    /// The slot of each row, or `DEAD`.
    owners: Vec<Slot>,
    live: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: u32,
    row: u32,
}

const DEAD: Slot = Slot::MAX;
const NOWHERE: Place = Place {
    chunk: u32::MAX,
    row: 0,
};

impl RowStore {
    /// An empty store of rows of `schema`.
    pub fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            chunks: Vec::new(),
            places: CowVec::default(),
            free: Vec::new(),
            live: 0,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// A slot without a row yet.
    pub fn reserve(&mut self) -> Slot {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = Slot::try_from(self.places.len()).expect("fewer than 2^32 rows of state");
        self.places.push(NOWHERE);
        slot
    }

    /// Puts rows into a store that has none, under the slots 0, 1, ….
    pub fn fill(&mut self, rows: RecordBatch) {
        debug_assert!(self.places.is_empty());
        let owners: Vec<Slot> = (0..to_u32(rows.num_rows())).collect();
        self.places = owners
            .iter()
            .map(|row| Place {
                chunk: 0,
                row: *row,
            })
            .collect();
        self.live = owners.len();
        if !owners.is_empty() {
            self.chunks.push(Chunk {
                live: owners.len(),
                owners,
                rows,
            });
        }
    }

    /// Stores row `i` of `rows` under `slots[i]`, in place of what was there.
    pub fn put(&mut self, slots: &[Slot], rows: RecordBatch) -> Result<()> {
        debug_assert_eq!(slots.len(), rows.num_rows());
        if slots.is_empty() {
            return Ok(());
        }
        for slot in slots {
            self.clear(*slot);
        }
        let chunk = to_u32(self.chunks.len());
        for (row, slot) in slots.iter().enumerate() {
            *self.places.get_mut(*slot as usize) = Place {
                chunk,
                row: to_u32(row),
            };
        }
        self.live += slots.len();
        self.chunks.push(Chunk {
            live: slots.len(),
            owners: slots.to_vec(),
            rows,
        });
        self.compact()
    }

    /// Frees a slot and its row.
    pub fn remove(&mut self, slot: Slot) {
        self.clear(slot);
        self.free.push(slot);
    }

    fn clear(&mut self, slot: Slot) {
        let place = *self.places.get(slot as usize);
        if place.chunk != NOWHERE.chunk {
            let chunk = &mut self.chunks[place.chunk as usize];
            chunk.owners[place.row as usize] = DEAD;
            chunk.live -= 1;
            self.live -= 1;
            *self.places.get_mut(slot as usize) = NOWHERE;
        }
    }

    /// The rows of `slots`, in that order; every slot holds a row.
    pub fn get(&self, slots: &[Slot]) -> Result<RecordBatch> {
        let chunks: Vec<&RecordBatch> = self.chunks.iter().map(|c| &c.rows).collect();
        pick(&self.schema, &chunks, &self.places, slots)
    }

    /// The rows as they are; costs next to nothing, and copies what changes later.
    pub fn freeze(&self) -> FrozenRows {
        FrozenRows {
            schema: Arc::clone(&self.schema),
            chunks: self.chunks.iter().map(|c| c.rows.clone()).collect(),
            places: self.places.clone(),
        }
    }

    /// Merges the newest chunks while one is not half as large as the one before it, and drops dead rows.
    fn compact(&mut self) -> Result<()> {
        let mut from = self.chunks.len();
        let mut live = 0;
        while from > 0 {
            let chunk = &self.chunks[from - 1];
            let mostly_dead = chunk.live * 2 < chunk.owners.len();
            if from < self.chunks.len() && chunk.live > 2 * live && !mostly_dead {
                break;
            }
            live += chunk.live;
            from -= 1;
        }
        if self.chunks.len() - from <= 1 {
            return Ok(());
        }
        let tail = self.chunks.split_off(from);
        let mut at = Vec::with_capacity(live);
        let mut owners = Vec::with_capacity(live);
        for (c, chunk) in tail.iter().enumerate() {
            for (r, owner) in chunk.owners.iter().enumerate().filter(|(_, o)| **o != DEAD) {
                at.push((c, r));
                owners.push(*owner);
            }
        }
        let batches: Vec<&RecordBatch> = tail.iter().map(|c| &c.rows).collect();
        let rows = gather(&self.schema, &batches, &at)?;
        let chunk = to_u32(self.chunks.len());
        for (row, owner) in owners.iter().enumerate() {
            *self.places.get_mut(*owner as usize) = Place {
                chunk,
                row: to_u32(row),
            };
        }
        self.chunks.push(Chunk {
            live: owners.len(),
            owners,
            rows,
        });
        Ok(())
    }
}

/// The rows of a store at one moment.
pub struct FrozenRows {
    schema: SchemaRef,
    chunks: Vec<RecordBatch>,
    places: CowVec<Place>,
}

impl FrozenRows {
    /// As [`RowStore::get`].
    pub fn get(&self, slots: &[Slot]) -> Result<RecordBatch> {
        let chunks: Vec<&RecordBatch> = self.chunks.iter().collect();
        pick(&self.schema, &chunks, &self.places, slots)
    }
}

fn pick(
    schema: &SchemaRef,
    chunks: &[&RecordBatch],
    places: &CowVec<Place>,
    slots: &[Slot],
) -> Result<RecordBatch> {
    let place = |slot: &Slot| {
        let place = places.get(*slot as usize);
        (place.chunk as usize, place.row as usize)
    };
    let at: Vec<(usize, usize)> = slots.iter().map(place).collect();
    gather(schema, chunks, &at)
}

/// Rows by (batch, row) out of several batches of one schema.
pub fn gather(
    schema: &SchemaRef,
    batches: &[&RecordBatch],
    at: &[(usize, usize)],
) -> Result<RecordBatch> {
    let options =
        datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(at.len()));
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (i, field) in schema.fields().iter().enumerate() {
        if at.is_empty() {
            columns.push(datafusion::arrow::array::new_empty_array(field.data_type()));
            continue;
        }
        let arrays: Vec<_> = batches.iter().map(|b| b.column(i).as_ref()).collect();
        columns.push(interleave(&arrays, at)?);
    }
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

fn to_u32(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than 2^32 rows of state")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{AsArray, Int64Array};
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};

    fn batch(values: &[i64]) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("v", DataType::Int64, true)]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![Arc::new(Int64Array::from(values.to_vec()))],
        )
        .unwrap()
    }

    #[test]
    fn rows_stay_under_their_slots_through_merges() {
        let mut store = RowStore::new(batch(&[]).schema());
        let mut slots = Vec::new();
        let mut expected = Vec::new();
        for i in 0..500_i64 {
            let slot = store.reserve();
            store.put(&[slot], batch(&[i])).unwrap();
            slots.push(slot);
            expected.push(i);
            if i % 3 == 0 {
                let at = usize::try_from(i / 3).unwrap();
                store.put(&[slots[at]], batch(&[-i])).unwrap();
                expected[at] = -i;
            }
        }
        let rows = store.get(&slots).unwrap();
        assert_eq!(
            rows.column(0).as_primitive::<Int64Type>().values(),
            expected.as_slice()
        );
        assert!(store.chunks.len() < 12, "{} chunks", store.chunks.len());
        for slot in slots {
            store.remove(slot);
        }
        assert!(store.is_empty());
    }
}
