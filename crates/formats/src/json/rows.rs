//! How the records that the lanes have found fill a declared column, a block at a time: first every value is weighed, then
//! the good rows are appended.

use std::ops::Range;

use dataflow::Slab;

use super::convert::{Converter, may_have_nul};
use super::field::{Field, From, Record};
use super::lanes::{BLOCK, Column, Lanes};
use super::scan::{Kind, unescape};
use crate::columns::Cells;

/// A block of a slab's records.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) slab: &'a Slab,
    pub(super) partition: i32,
    /// The slab's row of the first record.
    pub(super) first: usize,
}

/// A column's values of one block.
pub(super) struct Weighed {
    /// The values by row, NULL and bad ones as any value; of TEXT columns nothing.
    cells: Cells,
    /// Rows whose value is NULL.
    nulls: u64,
    /// Rows whose text has escapes.
    escaped: u64,
}

impl Weighed {
    pub(super) fn new(cells: Cells) -> Self {
        Self {
            cells,
            nulls: 0,
            escaped: 0,
        }
    }
}

impl Field {
    /// Gives those of the rows `found` whose value is good for this column for sure, and keeps the values for
    /// [`Field::append`].
    pub(super) fn weigh(
        &mut self,
        block: Block<'_>,
        found: u64,
        lanes: &Lanes,
        converter: &mut Converter,
    ) -> u64 {
        let good = match self.from {
            From::Field(slot) if matches!(self.column.cells, Cells::Text(_)) => {
                self.weigh_texts(block, found, lanes, slot)
            }
            From::Field(slot) => self.weigh_values(block, found, lanes, slot, converter),
            _ => return self.weigh_meta(block, found),
        };
        if self.required.is_some() {
            good & !self.weighed.nulls
        } else {
            good
        }
    }

    fn weigh_texts(&mut self, block: Block<'_>, found: u64, lanes: &Lanes, slot: usize) -> u64 {
        let Column { tokens, odd } = lanes.column(slot);
        let mut good = found;
        self.weighed.nulls = 0;
        self.weighed.escaped = 0;
        for row in bits(odd & found) {
            let bit = 1 << row;
            match tokens[row].kind {
                Kind::Missing | Kind::Null => self.weighed.nulls |= bit,
                Kind::Escaped if may_have_nul(tokens[row].of(&block.slab.data)) => good &= !bit,
                Kind::Escaped => self.weighed.escaped |= bit,
                _ => {}
            }
        }
        good
    }

    fn weigh_values(
        &mut self,
        block: Block<'_>,
        found: u64,
        lanes: &Lanes,
        slot: usize,
        converter: &mut Converter,
    ) -> u64 {
        let cells = &mut self.weighed.cells;
        cells.truncate(0);
        let mut nulls = 0;
        let mut good = found;
        let rows = BLOCK - found.leading_zeros() as usize;
        for (row, token) in lanes.column(slot).tokens[..rows].iter().enumerate() {
            let bit = 1 << row;
            let put = if found & bit == 0 {
                false
            } else if matches!(token.kind, Kind::Missing | Kind::Null) {
                nulls |= bit;
                false
            } else {
                let put = converter.put(cells, *token, &block.slab.data).is_ok();
                good &= !(u64::from(!put) << row);
                put
            };
            if !put {
                cells.push_default();
            }
        }
        self.weighed.nulls = nulls;
        good
    }

    fn weigh_meta(&mut self, block: Block<'_>, found: u64) -> u64 {
        let mut good = 0;
        for row in bits(found) {
            good |= u64::from(self.takes_meta(block.slab, block.first + row)) << row;
        }
        good
    }

    /// Appends the rows `rows` of a block, all of which were good for this and every other column.
    pub(super) fn append(&mut self, block: Block<'_>, rows: Range<usize>, lanes: &Lanes) {
        let From::Field(slot) = self.from else {
            for row in rows {
                let row = block.first + row;
                let record = Record {
                    slab: block.slab,
                    row,
                    partition: block.partition,
                    text: block.slab.value(row).unwrap_or_default(),
                };
                self.fill_meta(record)
                    .expect("only rows that weigh has let pass are appended");
            }
            return;
        };
        let (nulls, escaped) = (self.weighed.nulls, self.weighed.escaped);
        match &mut self.column.cells {
            Cells::Text(texts) => {
                let tokens = &lanes.column(slot).tokens[rows.clone()];
                for (row, token) in rows.clone().zip(tokens) {
                    if (nulls | escaped) >> row & 1 == 0 {
                        let range = token.start as usize..token.end as usize;
                        texts.push_range(&block.slab.data, range);
                    } else if nulls >> row & 1 == 1 {
                        texts.push(b"");
                    } else {
                        let inside = token.of(&block.slab.data);
                        texts
                            .push_with(|bytes| unescape(inside, bytes).ok_or(()))
                            .expect("the scanner has let these escapes pass");
                    }
                }
            }
            cells => cells.append(&self.weighed.cells, rows.clone()),
        }
        self.column.valid_unless(nulls >> rows.start, rows.len());
    }
}

/// The numbers of the bits that are set, ascending.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (lowest < BLOCK).then_some(lowest)
    })
}
