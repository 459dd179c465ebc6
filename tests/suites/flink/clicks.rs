//! The clicks that Flink and clickmill both read: seeded, over 1970, out of order, but never late.

use serde_json::{Map, Value, json};

use crate::suites::oracle::random::Random;

pub(super) const PARTITIONS: i32 = 4;
/// How far the watermark lags behind, in milliseconds; the statement that declares the source says the same.
const DELAY_MS: i64 = 10_000;
const RECORDS: i64 = 6_000;
/// Before the first click: 1969-12-31 23:00:00 UTC. Half of the clicks are before 1970.
const FIRST_MS: i64 = -3_600_000;
const MINUTE_MS: i64 = 60_000;

/// A record and the partition that it belongs to.
pub(super) struct Click {
    pub(super) partition: i32,
    pub(super) payload: String,
}

/// The clicks in the order of sending.
///
/// No system may call one of them late, however it interleaves the partitions. The clock of this function never goes back, and
/// every click is stamped with the clock less at most the delay. So a click is at most the delay older than any click before
/// it, in its partition too. It is therefore not below its own partition's watermark, and the watermark of a source is the
/// least of those of its partitions.
pub(super) fn clicks(seed: u64) -> Vec<Click> {
    let mut random = Random::new(seed, "clicks");
    let mut clock = FIRST_MS;
    let mut clicks = Vec::new();
    for id in 0..RECORDS {
        clock += step(&mut random);
        let payload = record(id, stamp(clock, &mut random), &mut random).to_string();
        let partition = random.below(PARTITIONS as usize) as i32;
        clicks.push(Click { partition, payload });
    }
    clicks
}

/// Clicks that close every window of the others, one in each partition: 1970-01-01 09:00 UTC. Views keep a day of rows: they
/// lose none. Only `ts` is not null.
pub(super) fn closing() -> Vec<Click> {
    let payload = json!({"ts": iso(9 * 60 * MINUTE_MS)}).to_string();
    let click = |partition| Click {
        partition,
        payload: payload.clone(),
    };
    (0..PARTITIONS).map(click).collect()
}

/// How far the clock moves between two clicks: bursts, a second or two, and now and then minutes of silence.
fn step(random: &mut Random) -> i64 {
    if random.below(1_000) == 0 {
        return random.between(4, 12) * MINUTE_MS;
    }
    *random.pick(&[0, 200, 700, 2_000, 2_800])
}

/// An event time at most the delay before the clock, in even milliseconds: a session's gap of an odd number of them is never
/// met exactly. Many are whole seconds, so that there are ties, and many lie at or just before the border of a minute.
fn stamp(clock: i64, random: &mut Random) -> i64 {
    let border = clock - clock.rem_euclid(MINUTE_MS);
    let ts = match random.below(8) {
        0 | 1 => clock - clock.rem_euclid(2_000),
        2 if clock - border < DELAY_MS => border,
        3 if clock - border < DELAY_MS => border - 2,
        4 => clock - DELAY_MS,
        _ => clock - 2 * random.between(0, DELAY_MS / 2),
    };
    assert!((clock - DELAY_MS..=clock).contains(&ts) && ts % 2 == 0);
    ts
}

fn record(id: i64, ts: i64, random: &mut Random) -> Value {
    let user = json!(format!("user_{}", random.below(40)));
    let page = json!(*random.pick(&["/", "/cart", "/help", "/search", "/sömmer"]));
    let event = json!(*random.pick(&["view", "view", "view", "click", "purchase"]));
    // Multiples of a quarter: their sums are exact in any order.
    let price = json!(random.between(-40, 4_000) as f64 / 4.0);
    let n = json!(random.between(-50, 50));
    let mut record = Map::new();
    record.insert("id".to_owned(), json!(id));
    record.insert("ts".to_owned(), json!(iso(ts)));
    let nullable = [
        ("user_id", user),
        ("page_url", page),
        ("event_type", event),
        ("price", price),
        ("n", n),
    ];
    for (name, value) in nullable {
        // Null is a field that is null, or one that is not there.
        match random.below(20) {
            0 => {
                record.insert(name.to_owned(), Value::Null);
            }
            1 => {}
            _ => {
                record.insert(name.to_owned(), value);
            }
        }
    }
    Value::Object(record)
}

/// ISO 8601 of a time between 1969-12-31 and 1970-01-01.
fn iso(ms: i64) -> String {
    let date = if ms < 0 { "1969-12-31" } else { "1970-01-01" };
    let of_day = ms.rem_euclid(24 * 60 * MINUTE_MS);
    let (hour, minute) = (of_day / 3_600_000, of_day / MINUTE_MS % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
