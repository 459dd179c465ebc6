//! Random and mutated records through the decoder and through the reference: same rows, same bad records.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use dataflow::Slab;
use dataflow::schema::{
    ColumnOrigin, SourceSchema, TimestampFormat, WatermarkDecl, timestamp, timestamptz,
};

use super::reference::{self, Cell, Outcome};
use super::{field, meta, schema};
use crate::{BadReason, Decoder, JsonDecoder, Limits};

const CASES: u64 = 400;
const SLABS_A_CASE: usize = 3;
const MAX_RECORDS_A_SLAB: usize = 60;
const LEAST_RECORDS: usize = 20_000;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

const PATHS: [&str; 12] = [
    "a",
    "b",
    "userId",
    "user",
    "user.id",
    "user.name",
    "user.address.city",
    "x.y.z",
    "ключ",
    "we\"ird\\key",
    "a_key_longer_than_sixteen_bytes",
    "timestamp",
];

pub(super) fn random_schema(random: &mut Random) -> SourceSchema {
    let types = [
        DataType::Utf8,
        DataType::Utf8View,
        DataType::Utf8,
        DataType::Boolean,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(10, 2),
        DataType::Decimal128(38, 10),
        DataType::Date32,
        timestamp(),
        timestamptz(),
    ];
    let mut schema = schema(Vec::new());
    for _ in 0..1 + random.below(8) {
        let mut column = field(random.pick(&PATHS), random.pick(&types.each_ref()).clone());
        column.nullable = !random.percent(10);
        schema.columns.push(column);
    }
    if random.percent(30) {
        schema
            .columns
            .push(meta("k", ColumnOrigin::Key, DataType::Utf8));
        schema
            .columns
            .push(meta("h", ColumnOrigin::Headers, DataType::Utf8View));
        schema
            .columns
            .push(meta("p", ColumnOrigin::Partition, DataType::Int32));
        schema
            .columns
            .push(meta("o", ColumnOrigin::Offset, DataType::Int64));
        schema
            .columns
            .push(meta("t", ColumnOrigin::Timestamp, timestamptz()));
    }
    if random.percent(30) {
        let at = random.below(schema.columns.len() + 1);
        let rest = meta("rest", ColumnOrigin::Rest, DataType::Utf8);
        schema.columns.insert(at, rest);
    }
    use TimestampFormat::{Auto, EpochMicros, EpochMillis, EpochSeconds, Iso8601};
    schema.timestamps = *random.pick(&[
        &Auto,
        &Auto,
        &EpochSeconds,
        &EpochMillis,
        &EpochMicros,
        &Iso8601,
    ]);
    let is_time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
    if let Some(column) = schema.columns.iter().position(|c| is_time(&c.data_type)) {
        schema.watermark = random
            .percent(50)
            .then_some(WatermarkDecl { column, delay: 0 });
    }
    schema
}

/// The wanted fields as a tree, to write records from.
#[derive(Default)]
pub(super) struct Tree(pub(super) BTreeMap<String, (Vec<DataType>, Tree)>);

impl Tree {
    pub(super) fn of(schema: &SourceSchema) -> Self {
        let mut root = Self::default();
        for column in &schema.columns {
            let ColumnOrigin::Field(path) = &column.origin else {
                continue;
            };
            let (last, steps) = path.split_last().unwrap();
            let mut tree = &mut root;
            for step in steps {
                tree = &mut tree.0.entry(step.clone()).or_default().1;
            }
            tree.0
                .entry(last.clone())
                .or_default()
                .0
                .push(column.data_type.clone());
        }
        root
    }
}

/// How the records of a slab are mostly written.
pub(super) struct Style {
    pub(super) space: &'static str,
    pub(super) shuffled: bool,
    pub(super) odd: usize,
    pub(super) format: TimestampFormat,
}

impl Random {
    pub(super) fn object(&mut self, tree: &Tree, style: &Style) -> String {
        let mut members = Vec::new();
        for (name, (types, inner)) in &tree.0 {
            while !self.percent(5) {
                let value = match types.first() {
                    _ if self.percent(style.odd) => self.any_value(2),
                    Some(data_type) if inner.0.is_empty() => self.value_of(data_type, style.format),
                    _ => self.object(inner, style),
                };
                members.push(format!(
                    "{}{}{value}",
                    self.key(name, style),
                    self.colon(style)
                ));
                if !self.percent(style.odd) {
                    break;
                }
            }
        }
        for extra in ["extra", "other_field_that_is_long_too", "n"] {
            if self.percent(40) {
                members.push(format!(
                    "\"{extra}\"{}{}",
                    self.colon(style),
                    self.any_value(3)
                ));
            }
        }
        if style.shuffled || self.percent(style.odd) {
            for at in (1..members.len()).rev() {
                members.swap(at, self.below(at + 1));
            }
        }
        let space = style.space;
        format!("{{{space}{}{space}}}", members.join(&format!(",{space}")))
    }

    fn colon(&mut self, style: &Style) -> &'static str {
        match style.space {
            "" if !self.percent(style.odd) => ":",
            _ => self.pick(&[": ", ":", " : ", ":\n\t"]),
        }
    }

    fn key(&mut self, name: &str, style: &Style) -> String {
        if self.percent(style.odd) {
            let units = name.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            return format!("\"{}\"", units.collect::<String>());
        }
        serde_json::to_string(name).unwrap()
    }

    pub(super) fn value_of(&mut self, data_type: &DataType, format: TimestampFormat) -> String {
        match data_type {
            DataType::Utf8 | DataType::Utf8View if self.percent(85) => self.string(),
            DataType::Utf8 | DataType::Utf8View => self.any_value(2),
            DataType::Boolean => self.pick(&["true", "false"]).to_owned(),
            DataType::Int16 => (self.next() as i16).to_string(),
            DataType::Int32 => (self.next() as i32).to_string(),
            DataType::Int64 => ((self.next() as i64) >> self.below(64)).to_string(),
            DataType::Date32 => format!("\"{}\"", self.date()),
            DataType::Timestamp(..) => self.time(format),
            _ => self.number(),
        }
    }

    fn time(&mut self, format: TimestampFormat) -> String {
        let seconds = self.below(4_000_000_000) as i64 - 1_000_000_000;
        let fraction = *self.pick(&[&"", &"", &".5", &".123456", &".1234567890123", &"e0"]);
        match format {
            TimestampFormat::EpochSeconds => format!("{seconds}{fraction}"),
            TimestampFormat::EpochMillis => format!("{seconds}987{fraction}"),
            TimestampFormat::EpochMicros => format!("{seconds}987654{fraction}"),
            TimestampFormat::Auto if self.percent(50) => format!("{seconds}012"),
            _ => {
                let zone = *self.pick(&[
                    &"", &"Z", &"z", &"+02:00", &"-0330", &"+01", &"+25:00", &" ",
                ]);
                let fraction = fraction.trim_end_matches("e0");
                let between = *self.pick(&[&"T", &" ", &"t", &"_"]);
                let (h, m, s) = (self.below(24), self.below(60), self.below(61));
                format!(
                    "\"{}{between}{h:02}:{m:02}:{s:02}{fraction}{zone}\"",
                    self.date()
                )
            }
        }
    }

    fn date(&mut self) -> String {
        let year = if self.percent(90) {
            1990 + self.below(60)
        } else {
            self.below(10_000)
        };
        let days = if self.percent(90) { 28 } else { 31 };
        format!(
            "{year:04}-{:02}-{:02}",
            1 + self.below(12),
            1 + self.below(days)
        )
    }

    pub(super) fn number(&mut self) -> String {
        let mut text = self.pick(&["", "", "", "-"]).to_owned();
        let digits = [1, 2, 5, 9, 18, 19, 20, 38, 50][self.below(9).min(self.below(9))];
        match self.below(4) {
            0 => text.push('0'),
            _ => text.push_str(&self.digits(digits)),
        }
        if self.percent(40) {
            let length = 1 + self.below(12);
            text.push('.');
            text.push_str(&self.digits(length).replace('9', "0"));
        }
        if self.percent(20) {
            text.push_str(self.pick(&[
                "e0",
                "e2",
                "E+3",
                "e-2",
                "e-12",
                "e39",
                "e999",
                "e-400",
                "e99999999999999999999",
            ]));
        }
        text
    }

    /// Digits that do not begin with 0.
    fn digits(&mut self, count: usize) -> String {
        (0..count)
            .map(|at| char::from(b'0' + self.below(10).max(usize::from(at == 0)) as u8))
            .collect()
    }

    pub(super) fn string(&mut self) -> String {
        let pieces = [
            "a",
            "page",
            "/products/1234",
            "é",
            "日本",
            "😀",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\ud83d\\ude00",
            "{",
            "]",
            ",",
            ":",
            " ",
            "12",
            "\u{7f}",
            "2024-01-01",
            "\u{2028}",
        ];
        let rare = ["\\u0000", "\\ud83d", "\\x", "\u{1}", "\\"];
        let mut text = String::from("\"");
        for _ in 0..self.below(6) {
            text.push_str(if self.percent(1) {
                self.pick(&rare)
            } else {
                self.pick(&pieces)
            });
        }
        text + "\""
    }

    pub(super) fn any_value(&mut self, depth: usize) -> String {
        let nested = |random: &mut Self| random.any_value(depth.saturating_sub(1));
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => self.string(),
            1 | 2 => self.number(),
            3 => self.pick(&["true", "false"]).to_owned(),
            4 => "null".to_owned(),
            5 => format!("[{},{}]", nested(self), nested(self)),
            6 => format!(
                "{{\"id\": {}, {}:{}}}",
                nested(self),
                self.string(),
                nested(self)
            ),
            _ if self.percent(3) => {
                let levels = 120 + self.below(12);
                format!("{}{}", "[".repeat(levels), "]".repeat(levels))
            }
            _ => self
                .pick(&["[]", "{}", "[ ]", "{ }", "{\"city\":\"x\"}"])
                .to_owned(),
        }
    }

    /// Gives the next record a key and headers.
    pub(super) fn push_key_and_headers(&mut self, slab: &mut Slab) {
        let key = self.pick(&[&b"k"[..], b"key 2", b"", "é".as_bytes(), b"\xff", b"\0"]);
        let key = if self.percent(95) { &b"user"[..] } else { key };
        let span = slab.put((!self.percent(5)).then_some(key));
        slab.keys.push(span);
        let span = slab.put((!self.percent(50)).then_some(b"{\"h\":\"1\"}"));
        slab.headers.push(span);
    }

    /// Damages a record's bytes.
    pub(super) fn mutate(&mut self, record: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            let at = self.below(record.len() + 1);
            let odd = *self.pick(&[
                &b'"', &b'\\', &b'{', &b'}', &b'[', &b']', &b',', &b':', &b' ', &b'0', &b'.',
                &b'-', &b'e', &0, &0x1f, &0x80, &0xff, &0xc3,
            ]);
            match self.below(6) {
                0 => record.insert(at, odd),
                1 if at < record.len() => record[at] = odd,
                2 if at < record.len() => drop(record.remove(at)),
                3 => record.truncate(at),
                4 if at < record.len() => record[at] ^= 1 << self.below(8),
                _ => {
                    let piece = record[at.min(self.below(record.len() + 1))..at].to_vec();
                    record.extend_from_slice(&piece);
                }
            }
        }
    }
}

fn random_slab(random: &mut Random, schema: &SourceSchema) -> Slab {
    let style = Style {
        space: random.pick(&["", "", " ", "\n  "]),
        shuffled: random.percent(10),
        odd: if random.percent(50) { 0 } else { 4 },
        format: schema.timestamps,
    };
    let tree = Tree::of(schema);
    let damaged = if random.percent(60) { 0 } else { 20 };
    let (asked, mut slab) = (random.percent(70), Slab::default());
    for offset in 0..random.below(MAX_RECORDS_A_SLAB) as i64 {
        let mut record = random.object(&tree, &style).into_bytes();
        if random.percent(damaged) {
            random.mutate(&mut record);
        }
        if random.percent(style.odd / 2) {
            record = random.any_value(3).into_bytes();
        }
        if asked {
            random.push_key_and_headers(&mut slab);
        }
        let time = if random.percent(2) {
            -1
        } else {
            random.below(2_000_000_000_000) as i64
        };
        slab.push((!random.percent(2)).then_some(&record), offset * 2, time);
    }
    slab
}

/// Records for a random schema of fields only, mostly good, with the schema.
pub(crate) fn known_slab(random: &mut Random) -> (SourceSchema, Slab) {
    let mut schema = random_schema(random);
    schema
        .columns
        .retain(|column| matches!(column.origin, ColumnOrigin::Field(_)));
    schema.watermark = None;
    let slab = random_slab(random, &schema);
    (schema, slab)
}

/// Number of members of the object that a text is: those of a good object end with commas outside of all else.
fn top_level_members(text: &str) -> usize {
    let (mut depth, mut inside, mut escaped, mut commas) = (0, false, false, 0);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ if inside => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => commas += 1,
            _ => {}
        }
    }
    if text == "{}" { 0 } else { commas + 1 }
}

/// Compares one cell of a batch with the reference's; `record` is the payload.
fn same(batch: &RecordBatch, column: usize, row: usize, expected: &Cell, record: &str) -> bool {
    let array = batch.column(column);
    if array.is_null(row) {
        return *expected == Cell::Null;
    }
    let text = match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row)),
        DataType::Utf8View => Some(array.as_string_view().value(row)),
        _ => None,
    };
    let found = match (array.data_type(), text, expected) {
        (_, Some(text), Cell::Json(json)) => {
            return record.contains(text) && reference::parse(text).as_ref() == Ok(json);
        }
        (_, Some(text), Cell::Rest(fields)) => {
            // Parsed text has lost repeated keys: their number tells.
            let keys: Option<&serde_json::Map<_, _>> = fields.as_object();
            return reference::parse(text).as_ref() == Ok(fields)
                && keys.is_some_and(|keys| top_level_members(text) == keys.len());
        }
        (_, Some(text), _) => Cell::Text(text.to_owned()),
        (DataType::Boolean, ..) => Cell::Boolean(array.as_boolean().value(row)),
        (DataType::Int16, ..) => Cell::Integer(array.as_primitive::<Int16Type>().value(row).into()),
        (DataType::Int32, ..) => Cell::Integer(array.as_primitive::<Int32Type>().value(row).into()),
        (DataType::Int64, ..) => Cell::Integer(array.as_primitive::<Int64Type>().value(row).into()),
        (DataType::Date32, ..) => {
            Cell::Integer(array.as_primitive::<Date32Type>().value(row).into())
        }
        (DataType::Decimal128(..), ..) => {
            Cell::Integer(array.as_primitive::<Decimal128Type>().value(row))
        }
        (DataType::Timestamp(..), ..) => Cell::Integer(
            array
                .as_primitive::<TimestampMicrosecondType>()
                .value(row)
                .into(),
        ),
        (DataType::Float32, ..) => Cell::Float32(array.as_primitive::<Float32Type>().value(row)),
        (DataType::Float64, ..) => Cell::Float64(array.as_primitive::<Float64Type>().value(row)),
        (other, ..) => unreachable!("no such column: {other}"),
    };
    found == *expected
}

/// How many records became what, over all cases.
#[derive(Default, Debug)]
pub(super) struct Coverage {
    records: usize,
    pub(super) rows: usize,
    tombstones: usize,
    bad: BTreeMap<&'static str, usize>,
}

pub(super) fn check_slab(
    decoder: &mut JsonDecoder,
    schema: &SourceSchema,
    wanted: &[usize],
    slab: &Slab,
    start: usize,
    coverage: &mut Coverage,
) {
    let decoded = decoder.decode(slab, start..slab.len(), 3);
    let (batch, mut rows, mut bad) = (&decoded.batch, 0, decoded.bad.iter());
    let mut tombstones = 0;
    for row in start..slab.len() {
        let shown = slab
            .value(row)
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        match reference::decode(schema, slab, row, 3) {
            Outcome::Tombstone => tombstones += 1,
            Outcome::Bad(reason) => {
                let found = bad.next().map(|bad| (bad.row as usize, bad.reason));
                assert_eq!(found, Some((row, reason)), "{shown}\n{schema:#?}");
                *coverage.bad.entry(reason.code()).or_default() += 1;
            }
            Outcome::Row(cells) => {
                assert!(
                    rows < batch.num_rows(),
                    "too few rows: {shown}\n{:?}",
                    bad.next()
                );
                assert_eq!(
                    decoded.slab_row(rows, start),
                    row,
                    "{shown}\n{:?}",
                    bad.next()
                );
                for (column, declared) in wanted.iter().enumerate() {
                    let expected = &cells[*declared];
                    let equal = same(batch, column, rows, expected, &shown);
                    assert!(
                        equal,
                        "{shown}\n{:?}: {expected:?}",
                        schema.columns[*declared]
                    );
                }
                rows += 1;
            }
        }
    }
    assert_eq!((rows, tombstones), (batch.num_rows(), decoded.tombstones));
    assert_eq!(bad.next(), None);
    let skipped = tombstones > 0 || !decoded.bad.is_empty();
    assert_eq!(decoded.good.is_some(), skipped);
    coverage.records += slab.len() - start;
    coverage.rows += rows;
    coverage.tombstones += usize::try_from(tombstones).unwrap();
}

#[test]
fn equal_to_the_reference() {
    let from_user = std::env::var("FORMATS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let first: u64 = from_user.unwrap_or(20_261_123);
    let mut coverage = Coverage::default();
    for seed in first..first + CASES {
        // Shown when the test fails.
        println!("FORMATS_SEED={seed}");
        let mut random = Random(seed);
        let schema = random_schema(&mut random);
        let wanted: Vec<usize> = (0..random.below(schema.columns.len() + 2))
            .map(|_| random.below(schema.columns.len()))
            .collect();
        // serde_json's limit.
        let limits = Limits {
            max_depth: 127,
            ..Limits::default()
        };
        let mut decoder = JsonDecoder::new(&schema, &wanted, limits).unwrap();
        for _ in 0..SLABS_A_CASE {
            let slab = random_slab(&mut random, &schema);
            let start = random
                .below(slab.len() + 1)
                .min(random.below(slab.len() + 1))
                / 2;
            check_slab(&mut decoder, &schema, &wanted, &slab, start, &mut coverage);
        }
    }
    println!("{coverage:?}");
    assert!(coverage.records >= LEAST_RECORDS, "{coverage:?}");
    assert!(coverage.rows * 10 >= coverage.records * 3, "{coverage:?}");
    assert!(coverage.tombstones >= 100, "{coverage:?}");
    for reason in BadReason::ALL
        .iter()
        // Records of that size are tested alone, no decoder knows the clock, and this one no CSV.
        .filter(|reason| {
            use BadReason::{FarFuture, NotCsv, TooLarge};
            !matches!(reason, TooLarge | FarFuture | NotCsv)
        })
    {
        assert!(
            coverage.bad.get(reason.code()).is_some_and(|n| *n >= 10),
            "{coverage:?}"
        );
    }
}
