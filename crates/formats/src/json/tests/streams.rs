//! Streams of records that look alike, with odd ones among them: the lanes find what the reference finds, and the general
//! path says of bad records what it always says.

use arrow::datatypes::DataType;
use dataflow::Slab;
use dataflow::schema::{SourceSchema, TimestampFormat, WatermarkDecl, timestamptz};

use super::random::{Coverage, Random, Style, Tree, check_slab, random_schema};
use super::{field, schema, slab_of};
use crate::fuzzing::Pair;
use crate::{BadReason, Decoder, JsonDecoder, LaneCounts, Limits};

/// serde_json's depth, since it is the reference.
const LIMITS: Limits = Limits {
    max_record_bytes: 4 << 20,
    max_depth: 127,
};

/// Flat columns of the usual types, one below another object, one NOT NULL, an event time.
fn sample_schema() -> SourceSchema {
    let mut schema = schema(vec![
        field("s", DataType::Utf8),
        field("a_name_of_more_than_thirty_two_bytes", DataType::Utf8),
        field("at", timestamptz()),
        field("n", DataType::Int64),
        field("i", DataType::Int32),
        field("d", DataType::Float64),
        field("b", DataType::Boolean),
        field("user.id", DataType::Int64),
        field("user.name", DataType::Utf8View),
        field("last", DataType::Utf8),
    ]);
    schema.columns[3].nullable = false;
    schema.watermark = Some(WatermarkDecl {
        column: 2,
        delay: 0,
    });
    schema
}

/// The members of the usual record, keys and values.
fn members(n: usize) -> Vec<(&'static str, String)> {
    vec![
        ("s", format!("\"text {}\"", n * 7_919)),
        (
            "a_name_of_more_than_thirty_two_bytes",
            format!("\"{}\"", "long ".repeat(n % 15)),
        ),
        ("at", (1_767_225_600_000 + n * 999).to_string()),
        ("unknown", format!("\"{n}\"")),
        ("number", format!("{}", n * n * n)),
        (
            "n",
            format!("{}{}", if n.is_multiple_of(3) { "-" } else { "" }, n),
        ),
        ("i", (n % 10).to_string()),
        ("d", format!("{n}.25e1")),
        ("b", n.is_multiple_of(2).to_string()),
        ("user", format!(r#"{{"id":{n},"x":0,"name":"ü{n}"}}"#)),
        ("last", "\"\"".to_owned()),
    ]
}

fn joined(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn usual(n: usize) -> String {
    joined(&members(n))
}

/// The usual record with another value of one member.
fn with(key: &str, value: &str) -> String {
    let mut members = members(1);
    let member = members.iter_mut().find(|(name, _)| *name == key).unwrap();
    value.clone_into(&mut member.1);
    joined(&members)
}

/// Values that are odd somewhere.
#[rustfmt::skip]
const ODD_VALUES: &[&str] = &[
    "null", "true", "false", "tru", "nul", "", " 1", "1 ", "\t\"x\"", "[]", "{}", "[1,[2,{}]]",
    "0", "-0", "-", "-1", "00", "01", "-01", "+1", "1.", ".5", "1.5", "1e3", "1E+2", "1e", "0.0",
    "1e999", "-1e-999", "12345678", "123456789012345", "1234567890123456", "12345678901234567",
    "999999999999999999", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "2147483647", "2147483648", "-2147483649", "253402300799999",
    "253402300800000", "-62167219200000", "-62167219200001", "\"2026-01-01T00:00:00Z\"",
    "\"2026-01-01\"", r#""\n""#, r#""a\"b""#, r#""\\""#, r#""\/\/""#, r#""\u00e9x""#,
    r#""\ud83d\ude00""#, r#""\ud83d""#, r#""\ude00\ud83d""#, r#""\u0000""#, r#""\\u0000""#,
    r#""\x""#, r#""\u12""#, "\"\u{1}\"", "\"\u{0}\"", "\"\n\"", "\"\u{7f}\"", "\"é日本😀\"",
    "\"no end", "no begin\"", "\"a\"b\"", "\"a\",\"b\":\"c\"", "1,\"extra\":2", "1}", "1]",
    "{\"id\":1}", "{\"id\":1,\"x\":0,\"name\":null}", "{\"id\":null,\"x\":0,\"name\":\"\"}",
    "{\"id\":\"1\",\"x\":0,\"name\":\"\"}", "{\"id\":1,\"x\":[[]],\"name\":{\"a\":1}}",
    "{\"id\":1,\"x\":0,\"name\":\"\",\"id\":2}", "{\"x\":0,\"name\":\"\"}",
];

/// More of them, of many lengths and depths.
fn odd_values() -> Vec<String> {
    let mut values: Vec<String> = ODD_VALUES.iter().map(|value| (*value).to_owned()).collect();
    for length in [14, 15, 16, 17, 30, 31, 32, 33, 62, 63, 64, 65, 1000] {
        values.push(format!("\"{}\"", "x".repeat(length)));
        values.push(format!("\"{}\\t\"", "x".repeat(length)));
        values.push("7".repeat(length));
        values.push(format!("-{}", "7".repeat(length)));
    }
    for depth in [124, 125, 126, 127] {
        values.push(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    }
    values
}

/// Odd records; those of several parts are records one after the other.
fn odd_records() -> Vec<Vec<Vec<u8>>> {
    let mut odd = Vec::new();
    for (key, _) in members(0) {
        for value in odd_values() {
            odd.push(with(key, &value));
        }
    }
    for at in 0..members(0).len() {
        let (mut missing, mut moved, mut twice) = (members(1), members(1), members(1));
        missing.remove(at);
        odd.push(joined(&missing));
        let member = moved.remove(at);
        moved.push(member);
        odd.push(joined(&moved));
        let again = members(2).remove(at);
        twice.push(again.clone());
        odd.push(joined(&twice));
        twice.pop();
        twice.insert(at, (again.0, "null".to_owned()));
        odd.push(joined(&twice));
        twice[at].0 = "extra";
        odd.push(joined(&twice));
    }
    let good = usual(1);
    odd.extend([
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        format!(" {good}"),
        format!("{good} \n"),
        format!("{good}x"),
        format!("{good}}}"),
        format!("{good}{good}"),
        format!("[{good}]"),
        good.replace(":", ": "),
        good.replace(",", " ,"),
        good.replacen("\"last\"", "\"user\":{},\"last\"", 1),
        good.replacen("\"s\"", "\"user\":{\"id\":7},\"s\"", 1),
        good.replacen("\"x\":0", "\"x\":0,\"x\":{\"id\":1}", 1),
        good.replace("\"s\"", "\"\\u0073\""),
        good.replace("\"user\"", "\"us\\u0065r\""),
    ]);
    let mut odd: Vec<Vec<Vec<u8>>> = odd
        .into_iter()
        .map(|record| vec![record.into_bytes()])
        .collect();
    let good = good.into_bytes();
    for at in 0..good.len() {
        // Two bad records that would be a good one without the border between them.
        odd.push(vec![good[..at].to_vec(), good[at..].to_vec()]);
        for byte in [b'"', b'\\', b' ', b'0', b'}', 0x00, 0x80, 0xc3, 0xff] {
            let mut damaged = good.clone();
            damaged[at] = byte;
            odd.push(vec![damaged]);
        }
    }
    odd
}

/// Every odd record in every lane, in the middle and at the end of a slab, with decoders that know the usual record.
#[test]
fn odd_records_in_every_lane() {
    let schema = sample_schema();
    let all: Vec<usize> = (0..schema.columns.len()).collect();
    let warm = slab_of(&(0..12).map(usual).collect::<Vec<_>>());
    let mut coverage = Coverage::default();
    let (mut expected, mut taken) = (0, 0);
    for (number, odd) in odd_records().iter().enumerate() {
        let wanted = if number % 3 == 0 { &all[1..4] } else { &all };
        let mut decoder = JsonDecoder::new(&schema, wanted, LIMITS).unwrap();
        decoder.decode(&warm, 0..warm.len(), 0);
        let mut pair = Pair::new(&schema, wanted, LIMITS);
        pair.check(&warm, 0..warm.len());
        // One place a record, so that all places come in turn with all kinds; damaged bytes come nine in a row.
        let places = if odd.len() > 1 {
            0..5
        } else {
            number % 5..number % 5 + 1
        };
        for place in places {
            let mut records: Vec<Vec<u8>> = (0..7).map(|n| usual(n * 50).into_bytes()).collect();
            let place = if place == 4 { 7 } else { place };
            records.splice(place..place, odd.iter().cloned());
            let slab = slab_of(&records);
            let before = decoder.lane_counts();
            check_slab(&mut decoder, &schema, wanted, &slab, 0, &mut coverage);
            let after = decoder.lane_counts();
            expected += 7;
            taken += after.in_lockstep + after.alone - before.in_lockstep - before.alone;
            pair.check(&slab, 0..slab.len());
        }
    }
    println!("{coverage:?}, {taken} of at least {expected} by the lanes");
    assert!(taken >= expected, "{taken} of {expected}");
    assert!(coverage.rows > 20_000, "{coverage:?}");
}

/// Odd records may be what the lanes learn from.
#[test]
fn odd_records_as_the_first() {
    let mut schema = sample_schema();
    let mut coverage = Coverage::default();
    for (number, odd) in odd_records().iter().enumerate() {
        schema.columns[3].nullable = number % 2 == 0;
        let all: Vec<usize> = (0..schema.columns.len()).collect();
        let mut records = odd.clone();
        records.extend((0..3).map(|n| usual(n).into_bytes()));
        records.extend(odd.iter().cloned());
        let slab = slab_of(&records);
        let mut decoder = JsonDecoder::new(&schema, &all, LIMITS).unwrap();
        let mut pair = Pair::new(&schema, &all, LIMITS);
        for _ in 0..3 {
            check_slab(&mut decoder, &schema, &all, &slab, 0, &mut coverage);
            pair.check(&slab, 0..slab.len());
        }
    }
}

#[test]
fn the_lanes_keep_to_the_limits() {
    let limits = Limits {
        max_record_bytes: usual(5).len(),
        max_depth: 2,
    };
    let mut records: Vec<String> = (0..40).map(usual).collect();
    records[20] = with("unknown", "[]");
    records[21] = with("unknown", "[[]]");
    let slab = slab_of(&records);
    let schema = sample_schema();
    let mut pair = Pair::new(&schema, &[0, 1], limits);
    let mut decoder = JsonDecoder::new(&schema, &[0, 1], limits).unwrap();
    for _ in 0..2 {
        pair.check(&slab, 0..slab.len());
        let decoded = decoder.decode(&slab, 0..slab.len(), 0);
        for (row, record) in records.iter().enumerate() {
            let expected = match row {
                _ if record.len() > limits.max_record_bytes => Some(BadReason::TooLarge),
                21 => Some(BadReason::TooDeep),
                _ => None,
            };
            let bad = decoded.bad.iter().find(|bad| bad.row as usize == row);
            assert_eq!(bad.map(|bad| bad.reason), expected, "{record}");
        }
    }
    assert!(decoder.lane_counts().in_lockstep > 10);
}

fn counts_of(slab: &Slab) -> LaneCounts {
    let schema = sample_schema();
    let mut decoder = JsonDecoder::new(&schema, &[0, 2, 3], LIMITS).unwrap();
    let mut coverage = Coverage::default();
    check_slab(&mut decoder, &schema, &[0, 2, 3], slab, 0, &mut coverage);
    decoder.lane_counts()
}

#[test]
fn the_lanes_take_what_looks_alike() {
    let records: Vec<String> = (0..2_000).map(usual).collect();
    let counts = counts_of(&slab_of(&records));
    // All but the first block and the very last record.
    assert_eq!((counts.in_lockstep, counts.alone), (2_000 - 64 - 1, 1));

    // One in ten has an escape: the rest of its group stays in lockstep.
    let mut odd = records.clone();
    for (n, record) in odd.iter_mut().enumerate().filter(|(n, _)| n % 10 == 3) {
        *record = record.replace("text", "te\\u0078t");
        assert!(record.contains('\\'), "{n}");
    }
    let counts = counts_of(&slab_of(&odd));
    assert!(counts.in_lockstep > 1_700, "{counts:?}");
    assert!(counts.alone > 150, "{counts:?}");

    // One in ten has another order of keys: it gets a template of its own.
    let mut odd = records.clone();
    for (n, record) in odd.iter_mut().enumerate().filter(|(n, _)| n % 10 == 3) {
        let mut members = members(n);
        members.reverse();
        *record = joined(&members);
    }
    let counts = counts_of(&slab_of(&odd));
    assert!(counts.in_lockstep > 1_800, "{counts:?}");
}

#[test]
fn the_lanes_follow_a_change() {
    let mut records: Vec<String> = (0..500).map(usual).collect();
    for version in ["v1", "v2", "v3", "v4", "v5", "v6"] {
        let changed = |n| usual(n).replace("unknown", version);
        records.extend((0..1_000).map(changed));
    }
    let counts = counts_of(&slab_of(&records));
    assert!(counts.in_lockstep > 5_000, "{counts:?}");

    // Texts that mostly are NULL or have escapes, and become plain again.
    let spelled = |n: usize| match n {
        0..1_000 => usual(n).replace("\"text", "\"\\u0074ext"),
        1_000..2_000 => with("last", "null"),
        _ => usual(n),
    };
    let counts = counts_of(&slab_of(&(0..3_000).map(spelled).collect::<Vec<_>>()));
    assert!(counts.in_lockstep > 2_500, "{counts:?}");
}

#[test]
fn the_lanes_rest_when_nothing_looks_alike() {
    let mut random = Random(7);
    let mut shuffled = |n: usize| {
        let mut members = members(n);
        for at in (1..members.len()).rev() {
            members.swap(at, random.below(at + 1));
        }
        joined(&members)
    };
    let counts = counts_of(&slab_of(&(0..2_000).map(&mut shuffled).collect::<Vec<_>>()));
    assert!(counts.in_lockstep + counts.alone < 200, "{counts:?}");
}

/// A kind of record: its members in order, each with the spelling of its key.
enum Kind {
    Leaf(DataType),
    Extra,
    Object(Vec<(String, Kind)>),
}

impl Kind {
    fn of(tree: &Tree, random: &mut Random) -> Self {
        let mut members = Vec::new();
        for (name, (types, inner)) in &tree.0 {
            let kind = match types.first() {
                _ if random.percent(10) => continue,
                Some(data_type) if inner.0.is_empty() => Self::Leaf(data_type.clone()),
                _ => Self::of(inner, random),
            };
            members.push((serde_json::to_string(name).unwrap(), kind));
        }
        for extra in ["extra", "n", "text"] {
            if random.percent(40) {
                members.push((format!("\"{extra}\""), Self::Extra));
            }
        }
        for at in (1..members.len()).rev() {
            members.swap(at, random.below(at + 1));
        }
        Self::Object(members)
    }

    /// A record of this kind, with values of other types once in a while.
    fn write(
        &self,
        random: &mut Random,
        format: TimestampFormat,
        space: &str,
        odd: usize,
    ) -> String {
        match self {
            _ if random.percent(odd) => random.any_value(2),
            Self::Leaf(data_type) => random.value_of(data_type, format),
            Self::Extra if random.percent(50) => random.string(),
            Self::Extra => random.number(),
            Self::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, kind)| {
                        format!("{key}:{space}{}", kind.write(random, format, space, odd))
                    })
                    .collect();
                format!("{{{}}}", members.join(&format!(",{space}")))
            }
        }
    }
}

#[test]
fn random_streams_equal_the_reference() {
    let from_user = std::env::var("FORMATS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let first: u64 = from_user.unwrap_or(20_270_105);
    let mut coverage = Coverage::default();
    let mut counts = LaneCounts::default();
    for seed in first..first + 150 {
        // Shown when the test fails.
        println!("FORMATS_SEED={seed}");
        let mut random = Random(seed);
        let mut schema = random_schema(&mut random);
        for column in &mut schema.columns {
            column.nullable |= random.percent(50);
        }
        let wanted: Vec<usize> = (0..random.below(schema.columns.len() + 2))
            .map(|_| random.below(schema.columns.len()))
            .collect();
        let tree = Tree::of(&schema);
        let kinds: Vec<Kind> = (0..1 + random.below(3))
            .map(|_| Kind::of(&tree, &mut random))
            .collect();
        let odd = *random.pick(&[&0, &1, &5]);
        let space = *random.pick(&[&"", &"", &" "]);
        let style = Style {
            space,
            shuffled: true,
            odd,
            format: schema.timestamps,
        };
        let mut decoder = JsonDecoder::new(&schema, &wanted, LIMITS).unwrap();
        let mut pair = Pair::new(&schema, &wanted, LIMITS);
        for _ in 0..3 {
            let (asked, mut slab) = (random.percent(70), Slab::default());
            for offset in 0..random.below(150) as i64 {
                let kind = &kinds[random.below(kinds.len())];
                let mut record = kind.write(&mut random, schema.timestamps, space, odd);
                if random.percent(odd) {
                    record = random.object(&tree, &style);
                }
                let mut record = record.into_bytes();
                if random.percent(odd) {
                    random.mutate(&mut record);
                }
                if asked {
                    random.push_key_and_headers(&mut slab);
                }
                slab.push((!random.percent(odd)).then_some(&record), offset, offset);
            }
            let start = random.below(slab.len() + 1) / 8;
            check_slab(&mut decoder, &schema, &wanted, &slab, start, &mut coverage);
            pair.check(&slab, start..slab.len());
        }
        counts.in_lockstep += decoder.lane_counts().in_lockstep;
        counts.alone += decoder.lane_counts().alone;
    }
    println!("{coverage:?} {counts:?}");
    assert!(coverage.rows > 8_000, "{coverage:?}");
    assert!(counts.in_lockstep > 2_000, "{counts:?}");
    assert!(counts.alone > 2_000, "{counts:?}");
}
