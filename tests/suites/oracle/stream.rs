//! Random streams: records of several partitions with disorder, ties, border times, NULLs, silence and bad records.

use dataflow::time::{MILLI, SECOND, format_utc};

use super::random::Random;

/// A good record's row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) k: Option<String>,
    pub(super) n: Option<i64>,
    pub(super) x: Option<f64>,
    pub(super) ts: i64,
}

/// A record as it lies on the broker.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// `None` is a tombstone.
    pub(super) payload: Option<Vec<u8>>,
    /// What a good record says.
    pub(super) row: Option<Row>,
}

/// How times are written in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Micros,
    Millis,
    Iso,
}

/// A finite stream and how its source is declared.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) partitions: Vec<Vec<Record>>,
    /// The partition of every record, in the order in which they are written.
    pub(super) order: Vec<usize>,
    pub(super) times: Times,
    /// Delay of the watermark.
    pub(super) delay: i64,
    /// When a silent partition is idle.
    pub(super) idle_after: i64,
    /// No row can be late: the delay is at least the disorder and nothing is ever idle.
    pub(super) in_time: bool,
    /// The row that ends every partition, far behind all others; without partition and offset.
    pub(super) last: Row,
}

/// What the query makes interesting.
#[derive(Clone, Debug)]
pub(super) struct Interest {
    /// Length of time in which a window or a few sessions fit.
    pub(super) scale: i64,
    /// Borders of windows: step and origin.
    pub(super) borders: Vec<(i64, i64)>,
    /// The pause that ends a session.
    pub(super) gap: Option<i64>,
    /// Time after the last row in which everything closes.
    pub(super) tail: i64,
}

const BEGINNINGS: [i64; 4] = [
    0,
    1_767_225_600 * SECOND,
    -3 * 86_400 * SECOND,
    951_782_399 * SECOND + 999_999,
];

/// What a stream's rows have in common.
struct Style {
    unit: i64,
    times: Times,
    keys: Keys,
    nulls: usize,
    quarters: bool,
    odd: bool,
}

#[derive(Clone, Copy)]
enum Keys {
    Few(usize),
    Zipf(usize),
    Unique,
}

/// A random stream.
pub(super) fn generate(random: &mut Random, interest: &Interest) -> Stream {
    let in_time = random.chance(33);
    let partitions = match random.below(10) {
        0..=1 => 1,
        2..=6 => 2 + random.below(3),
        _ => 5 + random.below(4),
    };
    let count = match random.below(100) {
        0..=2 => 0,
        3..=6 => 1 + random.below(5),
        7..=86 => 40 + random.below(90),
        _ => 130 + random.below(280),
    };
    let style = style(random, interest.gap.is_some());
    let homes = homes(random, partitions, count, in_time);
    let jitter = if in_time {
        *random.pick(&[0, 10, 50, 200])
    } else {
        *random.pick(&[20, 50, 150, 300])
    };
    let jitter = interest.scale * jitter / 100;
    let event_times = event_times(random, interest, &style, jitter, count);
    let mut stream = Stream {
        partitions: vec![Vec::new(); partitions],
        order: homes,
        times: style.times,
        delay: 0,
        idle_after: if in_time {
            86_400 * SECOND
        } else {
            random.between(1, 12) * SECOND
        },
        in_time,
        last: Row {
            partition: 0,
            offset: 0,
            k: Some("last".to_owned()),
            n: Some(7),
            x: Some(1.0),
            ts: 0,
        },
    };
    for (at, ts) in event_times.into_iter().enumerate() {
        let home = stream.order[at];
        let row = row(random, &style, at, home, ts);
        let offset = row.offset_in(&stream.partitions[home]);
        let row = Row { offset, ..row };
        let record = if random.chance(2) {
            bad_record(random, &row)
        } else {
            Record {
                payload: Some(json(random, &row, style.times)),
                row: Some(row),
            }
        };
        stream.partitions[home].push(record);
    }
    stream.set_delay(random);
    stream.end(random, interest.tail, style.unit);
    stream
}

fn style(random: &mut Random, sessions: bool) -> Style {
    let (unit, times) = *random.pick(&[
        (1, Times::Micros),
        (1, Times::Micros),
        (MILLI, Times::Millis),
        (SECOND, Times::Millis),
        (MILLI, Times::Iso),
    ]);
    let keys = match random.below(100) {
        _ if sessions && random.chance(80) => Keys::Few(1 + random.below(3)),
        0..=60 => Keys::Few(1 + random.below(5)),
        61..=92 => Keys::Zipf(20),
        _ => Keys::Unique,
    };
    Style {
        unit,
        times,
        keys,
        nulls: *random.pick(&[0, 5, 20]),
        quarters: random.chance(50),
        odd: random.chance(15),
    }
}

/// The partition of every record: some partitions stay empty, some are silent for long, some are written late.
fn homes(random: &mut Random, partitions: usize, count: usize, in_time: bool) -> Vec<usize> {
    let mut open: Vec<usize> = (0..partitions).collect();
    if partitions > 1 && random.chance(if in_time { 10 } else { 30 }) {
        let empty = random.below(partitions);
        open.retain(|p| *p != empty);
    }
    let silent = (open.len() > 1 && random.chance(50)).then(|| *random.pick(&open));
    let from = random.below(count.max(1));
    let to = from + count / 4 + random.below(count.max(1));
    let slow = (open.len() > 1 && random.chance(30)).then(|| *random.pick(&open));
    let shift = random.below(count / 3 + 1);
    let mut written: Vec<(usize, usize)> = (0..count)
        .map(|at| {
            let mut home = *random.pick(&open);
            while Some(home) == silent && (from..to).contains(&at) {
                home = *random.pick(&open);
            }
            let late = if Some(home) == slow { shift } else { 0 };
            (at + late, home)
        })
        .collect();
    written.sort_by_key(|(at, _)| *at);
    written.into_iter().map(|(_, home)| home).collect()
}

/// Event times that go forward with jitter; some repeat, some are at borders of windows or ends of sessions.
fn event_times(
    random: &mut Random,
    interest: &Interest,
    style: &Style,
    jitter: i64,
    count: usize,
) -> Vec<i64> {
    let span = interest.scale * random.between(2, 7);
    let begin = *random.pick(&BEGINNINGS) - random.between(0, span);
    let border = *random.pick(&[5, 15, 40]);
    let mut times: Vec<i64> = Vec::with_capacity(count);
    for at in 0..count {
        let now = begin + span / count as i64 * at as i64;
        let mut ts = now - random.between(0, jitter);
        let step = *random.pick(&[-style.unit, 0, 0, style.unit]);
        if random.chance(border) {
            let (length, origin) = *random.pick(&interest.borders);
            ts = ts - (ts - origin).rem_euclid(length) + step;
        } else if let (Some(gap), Some(before), true) = (
            interest.gap,
            times.len().checked_sub(1 + random.below(6)),
            random.chance(border),
        ) {
            ts = times[before] + gap + step;
        } else if let (Some(before), true) = (times.last(), random.chance(8)) {
            ts = *before;
        }
        times.push(ts - ts.rem_euclid(style.unit));
    }
    times
}

fn row(random: &mut Random, style: &Style, at: usize, partition: usize, ts: i64) -> Row {
    const ODD: [&str; 5] = ["", "A", "\u{e9}\"\\", "a b", "\u{1f600}"];
    let key = match style.keys {
        Keys::Few(count) => random.below(count),
        // Half of what is left falls to each next key.
        Keys::Zipf(count) => (0..count).find(|_| random.chance(40)).unwrap_or(0),
        Keys::Unique => at,
    };
    let letter = char::from(b'a' + (key % 26) as u8);
    let k = match key {
        _ if style.odd && random.chance(20) => (*random.pick(&ODD)).to_owned(),
        0..26 => letter.to_string(),
        _ => format!("{letter}{key}"),
    };
    let x = if style.quarters {
        random.between(0, 4000) as f64 / 4.0
    } else {
        random.fraction() * 100.0
    };
    let null = |random: &mut Random| random.chance(style.nulls);
    Row {
        partition,
        offset: 0,
        k: (!null(random)).then_some(k),
        n: (!null(random)).then(|| random.between(-3, 9)),
        x: (!null(random)).then_some(x),
        ts,
    }
}

fn json(random: &mut Random, row: &Row, times: Times) -> Vec<u8> {
    let ts = match times {
        Times::Micros => row.ts.to_string(),
        Times::Millis => (row.ts / MILLI).to_string(),
        Times::Iso => format!("\"{}\"", format_utc(row.ts)),
    };
    let mut fields = vec![format!("\"ts\":{ts}")];
    let values = [
        (
            "k",
            row.k
                .as_ref()
                .map(|k| serde_json::Value::from(k.as_str()).to_string()),
        ),
        ("n", row.n.map(|n| n.to_string())),
        ("x", row.x.map(|x| format!("{x:?}"))),
    ];
    for (name, value) in values {
        match value {
            Some(value) => fields.push(format!("\"{name}\":{value}")),
            None if random.chance(50) => fields.push(format!("\"{name}\":null")),
            None => {}
        }
    }
    if random.chance(20) {
        fields.push("\"other\":{\"k\":[1,\"}\"]}".to_owned());
    }
    if random.chance(20) {
        fields.reverse();
    }
    format!("{{{}}}", fields.join(",")).into_bytes()
}

fn bad_record(random: &mut Random, row: &Row) -> Record {
    let payload = match random.below(6) {
        0 => None,
        1 => Some(format!("{{\"ts\":{},\"k\":\"a\"", row.ts)),
        2 => Some("{\"k\":\"a\",\"n\":1}".to_owned()),
        3 => Some("{\"k\":\"a\",\"ts\":null}".to_owned()),
        4 => Some("{\"k\":\"a\",\"ts\":{}}".to_owned()),
        _ => Some("[]".to_owned()),
    };
    Record {
        payload: payload.map(String::into_bytes),
        row: None,
    }
}

impl Row {
    fn offset_in(&self, partition: &[Record]) -> i64 {
        partition.len() as i64
    }
}

impl Stream {
    /// Rows of all partitions, in no order of time.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.partitions
            .iter()
            .flatten()
            .filter_map(|r| r.row.as_ref())
    }

    /// How far a row lies behind the highest before it in its partition, at most.
    fn disorder(&self) -> i64 {
        let of = |records: &Vec<Record>| {
            let mut highest = i64::MIN;
            let mut most = 0;
            for row in records.iter().filter_map(|r| r.row.as_ref()) {
                highest = highest.max(row.ts);
                most = most.max(highest - row.ts);
            }
            most
        };
        self.partitions.iter().map(of).max().unwrap_or(0)
    }

    fn set_delay(&mut self, random: &mut Random) {
        let disorder = self.disorder();
        self.delay = if self.in_time {
            disorder + random.between(0, 1) * disorder / 2
        } else {
            disorder * *random.pick(&[0, 0, 0, 5, 30]) / 100
        };
    }

    /// Ends every partition with one row that is so far behind that every window before it closes.
    fn end(&mut self, random: &mut Random, tail: i64, unit: i64) {
        let highest = self.rows().map(|r| r.ts).max().unwrap_or(0);
        let ts = highest + self.delay + tail;
        self.last.ts = ts - ts.rem_euclid(unit);
        for partition in 0..self.partitions.len() {
            let offset = self.partitions[partition].len() as i64;
            let row = Row {
                partition,
                offset,
                ..self.last.clone()
            };
            self.partitions[partition].push(Record {
                payload: Some(json(random, &row, self.times)),
                row: Some(row),
            });
        }
    }
}
