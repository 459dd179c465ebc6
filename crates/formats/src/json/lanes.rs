//! Finds the fields of records that look like records before, four records in lockstep: while the processor waits for one
//! it works at the others.
//!
//! The lanes hold the records against [`Template`]s. What a template speculates on is the keys, their order and the white
//! space; literally the same bytes mean the same. A value of a kind that was not expected is scanned by the strict
//! scanner. A record that fits no template is left to the general path, so that lanes never decide that a record is bad.

use dataflow::Span;

use super::bytes::{WIDTH, block, digits, plain};
use super::scan::{Kind, Scan, Token};
use super::shape::Shapes;
use super::template::{Guess, Literal, Template};

/// Records that are looked at together; sets of them are the bits of a `u64`.
pub(super) const BLOCK: usize = 64;
/// Records in lockstep.
const LANES: usize = 4;
const ALL_LANES: u32 = (1 << LANES) - 1;
/// Templates that are kept.
const MAX_TEMPLATES: usize = 4;
/// Records that no template fitted before the next one is learned, while there is room and afterwards.
const FIRST_MISSES: u32 = 16;
const MORE_MISSES: u32 = 256;

/// What was found for one slot.
#[derive(Clone)]
pub(super) struct Column {
    /// One token for each record of a block.
    pub(super) tokens: [Token; BLOCK],
    /// The records whose token may be something else than a string without escapes.
    pub(super) odd: u64,
}

impl Column {
    #[inline(always)]
    fn put(&mut self, row: usize, token: Token) {
        self.tokens[row % BLOCK] = token;
        self.odd |= u64::from(token.kind != Kind::Plain) << row;
    }
}

/// Templates, and the tokens that they found in the last block.
pub(super) struct Lanes {
    templates: Vec<Template>,
    /// By slot; the last are those that nobody wants.
    columns: Vec<Column>,
    max_depth: usize,
    /// Records to be left to the general path before one of them is learned.
    patience: u32,
    counts: LaneCounts,
}

/// How many records were found which way. The others went the general path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Four at a time from the beginning to the end.
    pub in_lockstep: u64,
    /// Alone after a surprise.
    pub alone: u64,
}

/// Why a lane left the lockstep: before this step's value, or in the value before, which began at `at`.
#[derive(Clone, Copy, Default)]
struct Surprise {
    step: usize,
    at: u32,
}

impl Lanes {
    /// Lanes that know nothing yet, for records with so many wanted fields.
    pub(super) fn new(slots: usize, max_depth: usize) -> Self {
        let nothing = Column {
            tokens: [Token::MISSING; BLOCK],
            odd: 0,
        };
        Self {
            templates: Vec::new(),
            columns: vec![nothing; slots + 1],
            max_depth,
            patience: 0,
            counts: LaneCounts::default(),
        }
    }

    /// What the last scan has found for a slot; the tokens are ranges of the slab's bytes.
    pub(super) fn column(&self, slot: usize) -> &Column {
        &self.columns[slot]
    }

    /// Looks for the fields of the records `todo` among `spans`, whose bytes are UTF-8, and gives the records whose fields
    /// were found: these are good JSON objects.
    pub(super) fn scan(&mut self, data: &[u8], spans: &[Span], todo: u64) -> u64 {
        for column in &mut self.columns {
            column.odd = 0;
        }
        let mut left = todo;
        for template in &mut self.templates {
            if left == 0 || template.rests() {
                template.judge(0, 0);
                continue;
            }
            let mut pass = Pass {
                data,
                spans,
                template,
                columns: &mut self.columns,
                max_depth: self.max_depth,
                counts: &mut self.counts,
            };
            let found = pass.run(left);
            template.judge(left.count_ones(), found.count_ones());
            left &= !found;
        }
        for later in 1..self.templates.len() {
            if self.templates[later].worth() > self.templates[later - 1].worth() {
                self.templates.swap(later - 1, later);
            }
        }
        self.patience = self.patience.saturating_sub(left.count_ones());
        todo & !left
    }

    /// Whether there is no template yet.
    pub(super) fn is_idle(&self) -> bool {
        self.templates.is_empty()
    }

    /// How many records were found so far.
    pub(super) fn counts(&self) -> LaneCounts {
        self.counts
    }

    /// Whether to learn from the next record that fitted no template and is good.
    #[inline]
    pub(super) fn would_learn(&self) -> bool {
        self.patience == 0
    }

    /// Learns from a good record.
    #[cold]
    pub(super) fn learn(&mut self, record: &[u8], shapes: &Shapes) {
        let Some(template) = Template::learn(record, shapes, self.max_depth) else {
            self.patience = MORE_MISSES;
            return;
        };
        self.templates
            .sort_by_key(|template| std::cmp::Reverse(template.worth()));
        self.templates.truncate(MAX_TEMPLATES - 1);
        self.templates.push(template);
        self.patience = if self.templates.len() < MAX_TEMPLATES {
            FIRST_MISSES
        } else {
            MORE_MISSES
        };
    }
}

/// One template against the records of a block.
struct Pass<'a> {
    data: &'a [u8],
    spans: &'a [Span],
    template: &'a mut Template,
    columns: &'a mut [Column],
    max_depth: usize,
    counts: &'a mut LaneCounts,
}

impl Pass<'_> {
    /// Gives those of the records `todo` that fit.
    fn run(&mut self, mut todo: u64) -> u64 {
        let mut found = 0;
        while todo != 0 {
            let mut rows = [0; LANES];
            let mut last = 0;
            for row in &mut rows {
                // When there are too few records left, the last one is in several lanes.
                if todo != 0 {
                    last = todo.trailing_zeros() as usize;
                    todo &= todo - 1;
                }
                *row = last;
            }
            found |= self.group(rows);
        }
        if found != 0 {
            for slot in &self.template.missing {
                let column = &mut self.columns[*slot];
                column.odd |= found;
                for row in (0..BLOCK).filter(|row| found >> row & 1 == 1) {
                    column.tokens[row] = Token::MISSING;
                }
            }
        }
        found
    }

    /// Gives those of four records that fit.
    fn group(&mut self, rows: [usize; LANES]) -> u64 {
        let mut group = Group::new(self.data, self.spans, rows);
        group.run(self.template, self.columns, self.max_depth);
        let mut found = 0u64;
        for lane in (0..LANES).filter(|lane| group.alive >> lane & 1 == 1) {
            found |= 1 << rows[lane];
        }
        self.counts.in_lockstep += u64::from(found.count_ones());
        for lane in (0..LANES).filter(|lane| group.alive >> lane & 1 == 0) {
            let bit = 1 << rows[lane];
            if found & bit == 0 && self.alone(group.surprises[lane], rows[lane], group.ends[lane]) {
                found |= bit;
                self.counts.alone += 1;
            }
        }
        found
    }

    /// Whether a record that left the lockstep fits; its values are scanned strictly from there.
    #[inline(never)]
    fn alone(&mut self, surprise: Surprise, row: usize, end: u32) -> bool {
        let mut scan = Scan::new(&self.data[..end as usize], self.max_depth);
        scan.at = surprise.at as usize;
        let first = surprise.step.saturating_sub(1);
        for (number, step) in self.template.steps.iter_mut().enumerate().skip(first) {
            if number >= surprise.step && !pass_literal(&mut scan, &step.literal) {
                return false;
            }
            let start = scan.at;
            let Ok(kind) = scan.value(step.depth) else {
                return false;
            };
            step.saw(kind);
            self.columns[step.slot].put(row, scan.token(kind, start));
        }
        pass_literal(&mut scan, &self.template.tail) && scan.at == end as usize
    }
}

/// Passes a literal without the quotes of texts if it comes next.
fn pass_literal(scan: &mut Scan<'_>, literal: &Literal) -> bool {
    let core = literal.core();
    let here = scan.text[scan.at..].starts_with(core);
    scan.at += if here { core.len() } else { 0 };
    here
}

/// Four records in lockstep. A lane that was surprised goes on with whatever bytes are there, and nobody minds it.
struct Group<'a> {
    data: &'a [u8],
    rows: [usize; LANES],
    /// The ends of the records. They are looked at when all else is done, since cursors only go up.
    ends: [u32; LANES],
    /// The cursors.
    at: [u32; LANES],
    /// Where the last values began, with their quotes.
    value: [u32; LANES],
    /// Bits of the lanes without surprise.
    alive: u32,
    surprises: [Surprise; LANES],
}

impl<'a> Group<'a> {
    fn new(data: &'a [u8], spans: &[Span], rows: [usize; LANES]) -> Self {
        let starts = rows.map(|row| spans[row].start);
        Self {
            data,
            rows,
            ends: rows.map(|row| spans[row].end),
            at: starts,
            value: starts,
            alive: ALL_LANES,
            surprises: [Surprise::default(); LANES],
        }
    }

    fn run(&mut self, template: &mut Template, columns: &mut [Column], max_depth: usize) {
        for (number, step) in template.steps.iter_mut().enumerate() {
            if !self.literals(number, &step.literal) {
                return;
            }
            let column = &mut columns[step.slot];
            match step.guess {
                Guess::Text => self.texts(column),
                Guess::Digits => self.digits(column),
                Guess::Any => {
                    for lane in 0..LANES {
                        if self.alive >> lane & 1 == 1
                            && let Some(kind) = self.any(lane, column, step.depth, max_depth)
                        {
                            step.saw(kind);
                        }
                    }
                }
            }
        }
        if self.literals(template.steps.len(), &template.tail) {
            let over = (0..LANES).filter(|lane| self.at[*lane] != self.ends[*lane]);
            let over = over.fold(0, |bits, lane| bits | 1 << lane);
            self.surprised(over, template.steps.len());
        }
    }

    /// Passes the bytes before a step's value; false when all lanes are surprised.
    #[inline(always)]
    fn literals(&mut self, number: usize, literal: &Literal) -> bool {
        let mut hits = 0;
        for lane in 0..LANES {
            hits |= u32::from(literal.begins(self.data, self.at[lane])) << lane;
        }
        if literal.is_long() {
            for lane in 0..LANES {
                hits &= !(u32::from(!literal.matches(self.data, self.at[lane])) << lane);
            }
        }
        if hits & self.alive != self.alive {
            self.surprised(!hits, number);
            if self.alive == 0 {
                return false;
            }
        }
        for at in &mut self.at {
            *at += literal.length();
        }
        true
    }

    #[cold]
    fn surprised(&mut self, lanes: u32, step: usize) {
        for lane in 0..LANES {
            if lanes & self.alive & 1 << lane != 0 {
                let at = self.value[lane];
                self.surprises[lane] = Surprise { step, at };
            }
        }
        self.alive &= !lanes;
    }

    /// Passes strings up to the closing quote, or whatever the next literal will stumble over.
    #[inline(always)]
    fn texts(&mut self, column: &mut Column) {
        // Without a whole block of bytes the next literal is a surprise, as it should be.
        let stops = self.at.map(|at| block(self.data, at).map_or(0, plain));
        for (lane, stop) in stops.into_iter().enumerate() {
            let start = self.at[lane];
            let end = if stop == WIDTH as u32 {
                long_text(self.data, start, self.ends[lane])
            } else {
                start + stop
            };
            self.value[lane] = start - 1;
            self.at[lane] = end;
            let kind = Kind::Plain;
            column.tokens[self.rows[lane] % BLOCK] = Token { kind, start, end };
        }
    }

    /// Passes numbers that are digits, perhaps behind a minus.
    #[inline(always)]
    fn digits(&mut self, column: &mut Column) {
        for lane in 0..LANES {
            let start = self.at[lane];
            let mut end = self.nowhere();
            // Of more digits than a block has, the next literal is a surprise, too.
            let minus = self.data.get(start as usize) == Some(&b'-');
            let first = start + u32::from(minus);
            if let Some(bytes) = block(self.data, first) {
                let count = digits(bytes);
                let zeros = (bytes[0] == b'0') & (count > 1);
                if (count > 0) & !zeros {
                    end = first + count;
                }
            }
            self.value[lane] = start;
            self.at[lane] = end;
            let kind = Kind::Integer;
            column.put(self.rows[lane], Token { kind, start, end });
        }
    }

    /// Passes one value of any kind.
    fn any(
        &mut self,
        lane: usize,
        column: &mut Column,
        depth: usize,
        max_depth: usize,
    ) -> Option<Kind> {
        let start = self.at[lane];
        let mut scan = Scan::new(&self.data[..self.ends[lane] as usize], max_depth);
        scan.at = start as usize;
        let kind = scan.value(depth).ok();
        self.value[lane] = start;
        self.at[lane] = self.nowhere();
        if let Some(kind) = kind {
            self.at[lane] = scan.at as u32;
            column.put(self.rows[lane], scan.token(kind, start as usize));
        }
        kind
    }

    /// A place where no literal stands: the end of all bytes.
    #[inline(always)]
    fn nowhere(&self) -> u32 {
        self.data.len() as u32
    }
}

/// Where a string ends whose first [`WIDTH`] bytes are plain; when it does not end within the record, a place where no
/// literal can match within it.
#[inline(never)]
fn long_text(data: &[u8], start: u32, end: u32) -> u32 {
    let mut at = start + WIDTH as u32;
    while at < end
        && let Some(bytes) = block(data, at)
    {
        let stop = plain(bytes);
        if stop < WIDTH as u32 {
            return at + stop;
        }
        at += WIDTH as u32;
    }
    at
}
