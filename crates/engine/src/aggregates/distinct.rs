//! `count(DISTINCT text)` for many groups in two flat tables: every text once, and every pair of a group and a text. (DataFusion
//! has a set of its own for each group, which costs several times the memory and time.)

use std::hash::BuildHasher;
use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray, StringBuilder,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Whether a function is counted here.
pub(super) fn counts(function: &AggregateFunctionExpr, args: &[ArrayRef]) -> bool {
    function.is_distinct()
        && function.fun().name() == "count"
        && matches!(args, [arg] if arg.data_type() == &DataType::Utf8)
}

/// Different texts, counted for each group.
#[derive(Default)]
pub(super) struct DistinctTexts {
    texts: Texts,
    /// A group in the upper half, a text in the lower.
    pairs: HashTable<u64>,
    counts: Vec<i64>,
    hasher: FixedState,
}

/// Texts, each once, by number in the order of arrival.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    numbers: HashTable<u32>,
}

impl Texts {
    fn get(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    fn number(&mut self, text: &[u8], hasher: &FixedState) -> u32 {
        let hash = hasher.hash_one(text);
        if let Some(number) = self.numbers.find(hash, |n| self.get(*n) == text) {
            return *number;
        }
        let number = u32::try_from(self.ends.len()).expect("fewer than 2^32 texts in a pane");
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        let (bytes, ends) = (&self.bytes, &self.ends);
        let hash_of = |n: &u32| {
            let at = *n as usize;
            let start = if at == 0 { 0 } else { ends[at - 1] };
            hasher.hash_one(&bytes[start..ends[at]])
        };
        self.numbers.insert_unique(hash, number, hash_of);
        number
    }
}

fn pair(group: usize, number: u32) -> u64 {
    let group = u32::try_from(group).expect("fewer than 2^32 groups in a pane");
    u64::from(group) << 32 | u64::from(number)
}

fn group_of(pair: u64) -> usize {
    (pair >> 32) as usize
}

impl DistinctTexts {
    fn add(&mut self, group: usize, text: &[u8]) {
        let number = self.texts.number(text, &self.hasher);
        let pair = pair(group, number);
        let hash = self.hasher.hash_one(pair);
        let hasher = &self.hasher;
        let entry = self
            .pairs
            .entry(hash, |p| *p == pair, |p| hasher.hash_one(*p));
        if let hashbrown::hash_table::Entry::Vacant(new) = entry {
            new.insert(pair);
            self.counts[group] += 1;
        }
    }

    /// Takes the first groups, or all, out: their counts, and their pairs in the order of (group, arrival).
    fn take(&mut self, emit_to: EmitTo) -> (Vec<i64>, Vec<u64>) {
        let counts = emit_to.take_needed(&mut self.counts);
        let first = counts.len();
        let mut pairs: Vec<u64> = if self.counts.is_empty() {
            std::mem::take(&mut self.pairs).into_iter().collect()
        } else {
            self.pairs
                .extract_if(|pair| group_of(*pair) < first)
                .collect()
        };
        pairs.sort_unstable();
        let rest = std::mem::take(&mut self.pairs);
        let hasher = &self.hasher;
        for kept in rest {
            let moved = kept - ((first as u64) << 32);
            self.pairs
                .insert_unique(hasher.hash_one(moved), moved, |p| hasher.hash_one(*p));
        }
        (counts, pairs)
    }

    /// The texts of pairs as one list for each of `groups` groups.
    fn lists(&self, groups: usize, pairs: &[u64]) -> Result<ListArray> {
        let mut lengths = vec![0; groups];
        let mut values = StringBuilder::with_capacity(pairs.len(), pairs.len() * 8);
        for pair in pairs {
            lengths[group_of(*pair)] += 1;
            let text = self.texts.get(*pair as u32);
            values.append_value(
                std::str::from_utf8(text).expect("texts came out of an array of texts"),
            );
        }
        let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(ListArray::try_new(
            item,
            offsets,
            Arc::new(values.finish()),
            None,
        )?)
    }
}

impl GroupsAccumulator for DistinctTexts {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.counts.resize(total, 0);
        let texts: &StringArray = values[0].as_string();
        for (row, group) in groups.iter().enumerate() {
            let passes = filter.is_none_or(|f| f.is_valid(row) && f.value(row));
            if passes && texts.is_valid(row) {
                self.add(*group, texts.value(row).as_bytes());
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.counts.resize(total, 0);
        let lists: &ListArray = states[0].as_list();
        let texts: &StringArray = lists.values().as_string();
        for (bounds, group) in lists.value_offsets().windows(2).zip(groups) {
            for at in bounds[0] as usize..bounds[1] as usize {
                self.add(*group, texts.value(at).as_bytes());
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (counts, _) = self.take(emit_to);
        if self.counts.is_empty() {
            self.texts = Texts::default();
        }
        Ok(Arc::new(Int64Array::from(counts)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (counts, pairs) = self.take(emit_to);
        let lists = self.lists(counts.len(), &pairs)?;
        if self.counts.is_empty() {
            self.texts = Texts::default();
        }
        Ok(vec![Arc::new(lists)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let each: Vec<usize> = (0..rows).collect();
        let mut texts = Self::default();
        texts.update_batch(values, &each, filter, rows)?;
        texts.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.texts.bytes.capacity()
            + self.texts.ends.capacity() * size_of::<usize>()
            + self.texts.numbers.capacity() * size_of::<u32>()
            + self.pairs.capacity() * size_of::<u64>()
            + self.counts.capacity() * size_of::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn counts_of(array: &ArrayRef) -> Vec<i64> {
        array
            .as_primitive::<datafusion::arrow::datatypes::Int64Type>()
            .values()
            .to_vec()
    }

    #[test]
    fn counts_are_those_of_sets() {
        let mut found = DistinctTexts::default();
        let mut sets: Vec<HashSet<String>> = vec![HashSet::new(); 40];
        let mut seed = 7_u64;
        for _ in 0..50 {
            let mut values = Vec::new();
            let mut groups = Vec::new();
            for _ in 0..100 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (group, text) = (
                    (seed >> 33) as usize % 40,
                    format!("u{}", (seed >> 40) % 300),
                );
                sets[group].insert(text.clone());
                groups.push(group);
                values.push(text);
            }
            let array: ArrayRef = Arc::new(StringArray::from(values));
            found.update_batch(&[array], &groups, None, 40).unwrap();
        }
        let expected: Vec<i64> = sets.iter().map(|s| s.len() as i64).collect();
        // Through states, taken in two parts and merged twice.
        let first = found.state(EmitTo::First(15)).unwrap();
        let second = found.state(EmitTo::All).unwrap();
        let mut merged = DistinctTexts::default();
        let groups: Vec<usize> = (0..40).collect();
        for _ in 0..2 {
            merged.merge_batch(&first, &groups[..15], 40).unwrap();
            merged.merge_batch(&second, &groups[15..], 40).unwrap();
        }
        let head = merged.evaluate(EmitTo::First(10)).unwrap();
        let tail = merged.evaluate(EmitTo::All).unwrap();
        assert_eq!([counts_of(&head), counts_of(&tail)].concat(), expected);
        assert_eq!(counts_of(&merged.evaluate(EmitTo::All).unwrap()), [0; 0]);
    }

    #[test]
    fn nulls_and_filters_count_nothing() {
        let mut found = DistinctTexts::default();
        let filter =
            BooleanArray::from(vec![Some(true), Some(false), None, Some(true), Some(true)]);
        let values = texts(&[Some("a"), Some("b"), Some("c"), None, Some("")]);
        found
            .update_batch(&[values], &[0, 0, 0, 0, 1], Some(&filter), 3)
            .unwrap();
        assert_eq!(counts_of(&found.evaluate(EmitTo::All).unwrap()), [1, 1, 0]);
    }
}
