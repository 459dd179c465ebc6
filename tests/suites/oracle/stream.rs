//! Random streams: records of several partitions with disorder, ties, border times, NULLs, silence and bad records.

use dataflow::time::{MILLI, SECOND, format_utc};

use super::random::Random;
use super::zone::Zone;

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
    /// A bad record is bad because it lies too far in the future.
    pub(super) future: bool,
}

/// How times are written in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Micros,
    Millis,
    Seconds,
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
    /// No row can be late: the delay is at least the disorder and nothing is idle before the end.
    pub(super) in_time: bool,
    /// When all partitions are idle the clock moves the watermark: at the end all windows close.
    pub(super) wall: bool,
    /// No partition goes farther ahead of the others while there is something to read.
    pub(super) max_drift: Option<i64>,
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
    /// The zone in whose local time the borders are.
    pub(super) zone: Option<&'static Zone>,
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
    let count = match random.below(1000) {
        0..30 => 0,
        30..70 => 1 + random.below(5),
        70..300 => 6 + random.below(45),
        300..870 => 40 + random.below(90),
        870..980 => 130 + random.below(200),
        _ => 400 + random.below(4_600),
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
        wall: in_time && random.chance(60) || random.chance(5),
        max_drift: random.chance(15).then_some(interest.scale / 4),
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
            bad_record(random, &row, style.times)
        } else {
            Record {
                payload: Some(json(random, &row, style.times)),
                row: Some(row),
                future: false,
            }
        };
        stream.partitions[home].push(record);
    }
    stream.set_delay(random);
    stream.end(random, interest, style.unit);
    stream
}

fn style(random: &mut Random, sessions: bool) -> Style {
    let (unit, times) = *random.pick(&[
        (1, Times::Micros),
        (1, Times::Micros),
        (MILLI, Times::Millis),
        (SECOND, Times::Millis),
        (SECOND, Times::Seconds),
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
    let begin = match interest.zone {
        Some(zone) => zone.eventful(random),
        None => *random.pick(&BEGINNINGS),
    };
    let begin = begin - random.between(0, span);
    let border = *random.pick(&[5, 15, 40]);
    let mut times: Vec<i64> = Vec::with_capacity(count);
    for at in 0..count {
        let now = begin + span / count as i64 * at as i64;
        let mut ts = now - random.between(0, jitter);
        let step = *random.pick(&[-style.unit, 0, 0, style.unit]);
        if random.chance(border) {
            let (length, origin) = *random.pick(&interest.borders);
            let border = ts - (ts - origin).rem_euclid(length);
            ts = interest.zone.map_or(border, |zone| zone.utc(border)) + step;
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
        Times::Seconds => (row.ts / SECOND).to_string(),
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

/// The end of the year 9998, which no clock in these tests is near.
const FAR_FUTURE: i64 = 253_370_764_800 * SECOND;

fn bad_record(random: &mut Random, row: &Row, times: Times) -> Record {
    let kind = random.below(9);
    let payload = match kind {
        0 | 1 => None,
        2 => Some(format!("{{\"ts\":{},\"k\":\"a\"", row.ts).into_bytes()),
        3 => Some(b"{\"k\":\"a\",\"n\":1}".to_vec()),
        4 => Some(b"{\"k\":\"a\",\"ts\":null}".to_vec()),
        5 => Some(b"{\"k\":\"a\",\"ts\":{}}".to_vec()),
        6 => Some(b"{\"ts\":\"\xff\"}".to_vec()),
        7 => Some(b"[]".to_vec()),
        _ => {
            let far = Row {
                ts: FAR_FUTURE,
                ..row.clone()
            };
            Some(json(random, &far, times))
        }
    };
    Record {
        payload,
        row: None,
        future: kind == 8,
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
    fn end(&mut self, random: &mut Random, interest: &Interest, unit: i64) {
        let highest = self.rows().map(|r| r.ts).max();
        let none = || interest.zone.map_or(0, |zone| zone.eventful(random));
        let ts = highest.unwrap_or_else(none) + self.delay + interest.tail;
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
                future: false,
            });
        }
    }

    /// Names of what is odd about it.
    pub(super) fn forms(&self, interest: &Interest) -> Vec<&'static str> {
        let rows: Vec<&Row> = self.rows().filter(|r| r.ts != self.last.ts).collect();
        let bad = || self.partitions.iter().flatten().filter(|r| r.row.is_none());
        let mut times: Vec<i64> = rows.iter().map(|r| r.ts).collect();
        times.sort_unstable();
        let at_border = |ts: &i64| {
            let mut borders = interest.borders.iter();
            borders.any(|(length, origin)| (ts - origin).rem_euclid(*length) == 0)
        };
        let own = |records: &Vec<Record>| records.len() > 1;
        let has = [
            ("no rows", self.order.is_empty()),
            ("more than 1,000 rows", self.order.len() > 1_000),
            ("one partition", self.partitions.len() == 1),
            ("eight partitions", self.partitions.len() == 8),
            ("an empty partition", !self.partitions.iter().all(own)),
            ("disorder", self.disorder() > 0),
            ("ties", times.windows(2).any(|w| w[0] == w[1])),
            ("times at borders", times.iter().any(at_border)),
            ("times before 1970", times.iter().any(|t| *t < 0)),
            ("keys that are NULL", rows.iter().any(|r| r.k.is_none())),
            ("values that are NULL", rows.iter().any(|r| r.n.is_none())),
            (
                "undecodable records",
                bad().any(|r| r.payload.is_some() && !r.future),
            ),
            ("records far in the future", bad().any(|r| r.future)),
            ("tombstones", bad().any(|r| r.payload.is_none())),
            ("partitions that wait for others", self.max_drift.is_some()),
            ("the clock closes the last windows", self.wall),
        ];
        has.into_iter()
            .filter_map(|(name, has)| has.then_some(name))
            .collect()
    }
}
