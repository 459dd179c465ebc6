//! What a sample of JSON records holds: their fields in order, the kinds of their values, and which could be times.

use std::ops::Range;

use dataflow::schema::TimestampFormat;
use dataflow::{Micros, Slab};

use super::convert::Converter;
use super::number::integer;
use super::scan::{Failed, Kind, Scan, Token, unescape};
use super::time::date;
use crate::Limits;
use crate::payloads::Payloads;

/// Most fields of one object that are told apart. An object with more is taken for a map.
pub(crate) const MAX_FIELDS: usize = 256;
/// Most objects inside each other whose fields are told apart, the record itself being the first.
const MAX_LEVELS: usize = 4;

/// Kinds of values, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const BOOLEAN: Self = Self(1);
    pub(crate) const INTEGER: Self = Self(2);
    pub(crate) const NUMBER: Self = Self(4);
    pub(crate) const STRING: Self = Self(8);
    pub(crate) const OBJECT: Self = Self(16);
    pub(crate) const ARRAY: Self = Self(32);

    /// The kinds of both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all kinds are among those of `other`.
    pub(crate) fn only(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn of(kind: Kind) -> Self {
        match kind {
            Kind::True | Kind::False => Self::BOOLEAN,
            Kind::Integer => Self::INTEGER,
            Kind::Number => Self::NUMBER,
            Kind::Plain | Kind::Escaped => Self::STRING,
            Kind::Object => Self::OBJECT,
            Kind::Array => Self::ARRAY,
            Kind::Null | Kind::Missing | Kind::Blocked => Self(0),
        }
    }
}

/// What the values of one field were. NULLs are as good as absent.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) kinds: Kinds,
    /// Records with a value.
    pub(crate) filled: u64,
    last_filled: u64,
    /// The least and the highest integer; `None` beside integers when one is beyond 64 bits.
    pub(crate) integers: Option<(i64, i64)>,
    pub(crate) has_huge_integers: bool,
    pub(crate) has_infinite_numbers: bool,
    /// All strings are dates.
    pub(crate) dates: bool,
    /// The values as times.
    pub(crate) times: Times,
    pub(crate) fields: Fields,
}

/// Values as times, when all of them are.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) broken: bool,
    pub(crate) least: Option<Micros>,
    pub(crate) most: Option<Micros>,
    /// How far one was behind an earlier record of its partition at most.
    pub(crate) lag: Micros,
    /// The highest by partition.
    highest: Vec<(i32, Micros)>,
}

impl Times {
    fn add(&mut self, partition: i32, at: Option<Micros>) {
        let Some(at) = at else {
            self.broken = true;
            return;
        };
        self.least = Some(self.least.map_or(at, |least| least.min(at)));
        self.most = Some(self.most.map_or(at, |most| most.max(at)));
        match self.highest.iter_mut().find(|(id, _)| *id == partition) {
            Some((_, highest)) => {
                self.lag = self.lag.max(highest.saturating_sub(at));
                *highest = (*highest).max(at);
            }
            None => self.highest.push((partition, at)),
        }
    }
}

/// The fields of an object in the order of their first appearance.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) seen: Vec<Seen>,
    /// There were more than are told apart.
    pub(crate) too_many: bool,
}

impl Fields {
    fn find(&mut self, name: &str) -> Option<&mut Seen> {
        match self.seen.iter().position(|seen| seen.name == name) {
            Some(at) => Some(&mut self.seen[at]),
            None if self.seen.len() < MAX_FIELDS => {
                self.seen.push(Seen {
                    name: name.to_owned(),
                    dates: true,
                    ..Seen::default()
                });
                self.seen.last_mut()
            }
            None => {
                self.too_many = true;
                None
            }
        }
    }
}

/// A sample of records.
pub struct JsonSample {
    pub(crate) fields: Fields,
    pub(crate) timestamps: TimestampFormat,
    /// Records that are JSON objects.
    pub(crate) records: u64,
    /// Records that are not.
    pub(crate) bad: u64,
    reader: Reader,
    limits: Limits,
}

impl JsonSample {
    /// An empty sample of records whose times are written as `timestamps` says.
    pub fn new(timestamps: TimestampFormat, limits: Limits) -> Self {
        Self {
            fields: Fields::default(),
            timestamps,
            records: 0,
            bad: 0,
            reader: Reader {
                converter: Converter::new(timestamps),
                name: Vec::new(),
                partition: 0,
                record: 0,
            },
            limits,
        }
    }

    /// Looks at the records `rows` of a slab, whose partition has the number `partition`. Those of a partition are to come
    /// in order of their offsets.
    pub fn add(&mut self, slab: &Slab, rows: Range<usize>, partition: i32) {
        let payloads = Payloads::new(slab, rows.clone());
        for row in rows {
            let span = slab.values[row];
            if span.is_null() {
                continue;
            }
            let text = payloads.get(span, self.limits.max_record_bytes).ok();
            let text = text.filter(|text| is_object(text, self.limits.max_depth));
            let Some(text) = text else {
                self.bad += 1;
                continue;
            };
            self.records += 1;
            (self.reader.partition, self.reader.record) = (partition, self.records);
            let mut scan = Scan::new(text, self.limits.max_depth);
            scan.space();
            self.reader
                .object(&mut scan, &mut self.fields, 0)
                .expect("the record was found to be a good object");
        }
    }

    /// Records looked at that have a payload.
    pub fn records(&self) -> u64 {
        self.records + self.bad
    }
}

/// Whether a text is one JSON object and nothing else.
fn is_object(text: &[u8], max_depth: usize) -> bool {
    let mut scan = Scan::new(text, max_depth);
    scan.space();
    let is_object = matches!(scan.value(0), Ok(Kind::Object));
    scan.space();
    is_object && scan.at == text.len()
}

/// Walks over good records.
struct Reader {
    converter: Converter,
    /// A key without its escapes.
    name: Vec<u8>,
    partition: i32,
    record: u64,
}

impl Reader {
    /// Passes an object inside of `depth` others.
    fn object(
        &mut self,
        scan: &mut Scan<'_>,
        fields: &mut Fields,
        depth: usize,
    ) -> Result<(), Failed> {
        scan.open(depth)?;
        if scan.pass(b'}') {
            return Ok(());
        }
        loop {
            let start = scan.at;
            let kind = scan.string()?;
            self.name.clear();
            unescape(scan.token(kind, start).of(scan.text), &mut self.name).ok_or(Failed)?;
            let name = String::from_utf8_lossy(&self.name).into_owned();
            scan.colon()?;
            match fields.find(&name) {
                Some(seen) => self.value(scan, seen, depth + 1)?,
                None => drop(scan.value(depth + 1)?),
            }
            if !scan.more(b'}', "a comma or }")? {
                return Ok(());
            }
        }
    }

    fn value(&mut self, scan: &mut Scan<'_>, seen: &mut Seen, depth: usize) -> Result<(), Failed> {
        let start = scan.at;
        let kind = if scan.peek() == b'{' && depth < MAX_LEVELS {
            self.object(scan, &mut seen.fields, depth)?;
            Kind::Object
        } else {
            let kind = scan.value(depth)?;
            // What is inside is not told apart.
            seen.fields.too_many |= kind == Kind::Object;
            kind
        };
        if kind != Kind::Null {
            self.look(scan.token(kind, start), scan.text, seen);
        }
        Ok(())
    }

    fn look(&mut self, token: Token, record: &[u8], seen: &mut Seen) {
        let text = token.of(record);
        seen.kinds = seen.kinds.and(Kinds::of(token.kind));
        if seen.last_filled != self.record {
            seen.last_filled = self.record;
            seen.filled += 1;
        }
        match token.kind {
            Kind::Integer => match integer(text) {
                Some(value) => {
                    let (least, most) = seen.integers.unwrap_or((value, value));
                    seen.integers = Some((least.min(value), most.max(value)));
                }
                None => seen.has_huge_integers = true,
            },
            Kind::Number => {
                let value = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                seen.has_infinite_numbers |= !value.is_some_and(f64::is_finite);
            }
            Kind::Plain => seen.dates &= text.try_into().is_ok_and(|text| date(text).is_some()),
            _ => seen.dates = false,
        }
        let time = self.converter.timestamp(token.kind, text);
        seen.times.add(self.partition, time.ok());
    }
}
