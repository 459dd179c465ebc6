//! Which columns are chosen for which records, and that records of a sample fit the columns chosen for it.

use dataflow::Slab;
use dataflow::schema::{ColumnOrigin, SourceSchema, TimestampFormat, WatermarkDecl, timestamptz};
use dataflow::time::{MINUTE, SECOND};

use super::names::{column_name, event_rank, snake};
use super::{EventTime, Inferred, infer};
use crate::json::tests::{random, slab_of};
use crate::{Decoder, JsonDecoder, JsonSample, Limits};

/// 2026-01-01 00:00:00 UTC.
const NOW: i64 = 1_767_225_600 * SECOND;

fn of(format: TimestampFormat, records: &[&str]) -> Inferred {
    let slab = slab_of(records);
    let mut sample = JsonSample::new(format, Limits::default());
    sample.add(&slab, 0..slab.len(), 0);
    infer(&sample, &["k".to_owned()], NOW)
}

/// The columns as text: `name TYPE path`.
fn columns(inferred: &Inferred) -> Vec<String> {
    let text = |column: &dataflow::schema::Column| {
        let ColumnOrigin::Field(path) = &column.origin else {
            panic!("{column:?}");
        };
        format!("{} {} {}", column.name, column.data_type, path.join("."))
    };
    inferred.columns.iter().map(text).collect()
}

#[test]
fn click_events() {
    let inferred = of(
        TimestampFormat::Auto,
        &[
            r#"{"userId":"u1","pageUrl":"/home","timestamp":1767225599000,"geo":{"city":"Ulm","pos":[1,2]},"ok":true}"#,
            r#"{"userId":"u2","pageUrl":"/cart","timestamp":1767225592000,"geo":{"city":null},"n":1,"price":1.5}"#,
        ],
    );
    assert_eq!(
        columns(&inferred),
        [
            "user_id Utf8 userId",
            "page_url Utf8 pageUrl",
            "timestamp Timestamp(µs, \"UTC\") timestamp",
            "geo_city Utf8 geo.city",
            "geo_pos Utf8 geo.pos",
            "ok Boolean ok",
            "n Int64 n",
            "price Float64 price",
        ]
    );
    assert_eq!(
        inferred.event_time,
        Some(EventTime {
            column: 2,
            delay: 10 * SECOND,
            why: "\"timestamp\" is the event time: all 2 records have it, and its name says so; records come up to 7001 ms late"
                .to_owned(),
        })
    );
    assert!(inferred.notes.is_empty(), "{:?}", inferred.notes);
}

#[test]
fn types() {
    let cases: &[(&[&str], &str)] = &[
        (&["1", "null", "-9223372036854775808"], "Int64"),
        (&["1", "9223372036854775808"], "Utf8"),
        (&["1", "1.5"], "Float64"),
        (&["1.0e2"], "Float64"),
        (&["1e999"], "Utf8"),
        (&["9007199254740993", "0.5"], "Utf8"),
        (&["true", "null"], "Boolean"),
        (&["true", "1"], "Utf8"),
        (&["null"], "Utf8"),
        (&["\"2026-01-01\"", "\"2026-02-28\""], "Date32"),
        (&["\"2026-01-01\"", "\"2026-02-30\""], "Utf8"),
        (
            &["\"2026-01-01T00:00:00Z\"", "\"2026-01-01 00:00:00.5+02\""],
            "Timestamp(µs, \"UTC\")",
        ),
        (&["\"2026-01-01T00:00:00Z\"", "\"soon\""], "Utf8"),
        (&["\"2026-01-01T00:00:00Z\"", "1767225600000"], "Utf8"),
        // Numbers are times only when the name says so.
        (&["1767225600000"], "Int64"),
        (&["[1]"], "Utf8"),
        (&["{}"], "Utf8"),
        (&["{\"a.b\":1}"], "Utf8"),
        (&["{\"a\":1}", "2"], "Utf8"),
    ];
    for (values, expected) in cases {
        let records: Vec<String> = values.iter().map(|v| format!("{{\"v\":{v}}}")).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let inferred = of(TimestampFormat::Auto, &records);
        assert_eq!(inferred.columns.len(), 1, "{values:?}");
        assert_eq!(
            inferred.columns[0].data_type.to_string(),
            *expected,
            "{values:?}"
        );
    }
}

#[test]
fn numbers_in_fields_that_speak_of_time() {
    use TimestampFormat::{Auto, EpochMicros, EpochSeconds, Iso8601};
    let cases = [
        (Auto, "createdAt", "1767225600000", true),
        (Auto, "created_on", "1767225600000.5", true),
        (Auto, "eventtime", "1767225600000", true),
        (Auto, "ts", "\"2026-01-01T00:00:00Z\"", true),
        // A duration, a number of something else, seconds.
        (Auto, "load_time", "350", false),
        (Auto, "status", "1767225600000", false),
        (Auto, "ts", "1767225600", false),
        (EpochSeconds, "ts", "1767225600", true),
        (EpochSeconds, "ts", "1767225600000", false),
        (EpochMicros, "ts", "1767225600000000", true),
        (Iso8601, "ts", "1767225600000", false),
    ];
    for (format, name, value, is_time) in cases {
        let inferred = of(format, &[&format!("{{\"{name}\":{value}}}")]);
        let found = inferred.columns[0].data_type == timestamptz();
        assert_eq!(found, is_time, "{format:?} {name} {value}");
    }
    let inferred = of(Auto, &[r#"{"ts":1767225600}"#]);
    assert_eq!(
        inferred.notes,
        ["field \"ts\" looks like a time: with timestamp.format = 'epoch_s' it becomes one"]
    );
}

#[test]
fn the_event_time() {
    let time = |records: &[&str]| {
        let inferred = of(TimestampFormat::Auto, records);
        let event_time = inferred.event_time?;
        let name = inferred.columns[event_time.column].name.clone();
        Some((name, event_time.delay))
    };
    let pick = |record: &str| time(&[record]).map(|(name, _)| name);
    let t = 1_767_225_600_000_i64;
    assert_eq!(
        pick(&format!(
            r#"{{"createdAt":{t},"meta":{{"ts":{t}}},"ts":{t},"eventTime":{t}}}"#
        ))
        .as_deref(),
        Some("event_time")
    );
    assert_eq!(
        pick(&format!(
            r#"{{"createdAt":{t},"meta":{{"ts":{t}}},"ts":{t}}}"#
        ))
        .as_deref(),
        Some("ts")
    );
    assert_eq!(
        pick(&format!(r#"{{"createdAt":{t}}}"#)).as_deref(),
        Some("created_at")
    );
    assert_eq!(pick(&format!(r#"{{"expiresAt":{t}}}"#)), None);
    // Ahead of the clock by more than a day; absent or NULL in a record.
    assert_eq!(pick(&format!(r#"{{"ts":{}}}"#, t + 86_400_001)), None);
    assert_eq!(time(&[&format!(r#"{{"ts":{t}}}"#), "{}"]), None);
    assert_eq!(time(&[&format!(r#"{{"ts":{t}}}"#), r#"{"ts":null}"#]), None);
    let lags = [
        (0, 5 * SECOND),
        (20_000, 30 * SECOND),
        (10_000_000, 60 * MINUTE),
    ];
    for (lag, delay) in lags {
        let records = [
            format!(r#"{{"ts":{t}}}"#),
            format!(r#"{{"ts":{}}}"#, t - lag),
        ];
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        assert_eq!(time(&records), Some(("ts".to_owned(), delay)));
    }
}

#[test]
fn disorder_is_measured_within_a_partition() {
    let mut sample = JsonSample::new(TimestampFormat::Auto, Limits::default());
    for (partition, millis) in [(0, 1_767_225_600_000_i64), (1, 1_767_220_000_000)] {
        let slab = slab_of(&[format!(r#"{{"ts":{millis}}}"#)]);
        sample.add(&slab, 0..1, partition);
    }
    assert_eq!(
        infer(&sample, &[], NOW).event_time.unwrap().delay,
        5 * SECOND
    );
}

#[test]
fn names_of_columns() {
    for (name, expected) in [
        ("userId", "user_id"),
        ("userID", "user_id"),
        ("HTTPServer", "http_server"),
        ("page-url", "page_url"),
        ("utm_source", "utm_source"),
        ("Größe", "größe"),
        ("2fa", "_2fa"),
        ("$", "field"),
        ("a__b_", "a_b"),
        ("sha256Sum", "sha256_sum"),
    ] {
        assert_eq!(snake(name), expected);
    }
    let path = ["user".to_owned(), "id".to_owned()];
    assert_eq!(column_name(&path, &[]), "user_id");
    let taken = ["user_id".to_owned(), "user_id_2".to_owned()];
    assert_eq!(column_name(&path, &taken), "user_id_3");
    assert!(event_rank("date_of_birth").is_none());
}

#[test]
fn fields_that_no_path_names_and_bounds() {
    let inferred = of(
        TimestampFormat::Auto,
        &[r#"{"a.b":1,"":2,"c":3,"k":4}"#, "[]", "{"],
    );
    assert_eq!(columns(&inferred), ["c Int64 c", "k_2 Int64 k"]);
    assert_eq!(inferred.notes.len(), 3, "{:?}", inferred.notes);
    let many: Vec<String> = (0..300).map(|n| format!("\"f{n}\":{n}")).collect();
    let inferred = of(TimestampFormat::Auto, &[&format!("{{{}}}", many.join(","))]);
    assert_eq!(inferred.columns.len(), super::MAX_COLUMNS);
    assert_eq!(inferred.notes.len(), 2, "{:?}", inferred.notes);
}

/// Whatever a sample holds, every record of it that is an object is a row of the source that is chosen for it.
#[test]
fn records_of_a_sample_fit_its_columns() {
    let mut rows = 0;
    for seed in 0..300 {
        println!("seed {seed}");
        let mut random = random::Random(seed);
        let (_, slab): (_, Slab) = random::known_slab(&mut random);
        let format = *random.pick(&[
            &TimestampFormat::Auto,
            &TimestampFormat::EpochSeconds,
            &TimestampFormat::Iso8601,
        ]);
        let limits = Limits::default();
        let mut sample = JsonSample::new(format, limits);
        sample.add(&slab, 0..slab.len(), 0);
        let inferred = infer(&sample, &[], i64::MAX / 4);
        let names: std::collections::BTreeSet<_> =
            inferred.columns.iter().map(|c| c.name.clone()).collect();
        assert_eq!(names.len(), inferred.columns.len());
        let schema = SourceSchema {
            watermark: inferred.event_time.map(|time| WatermarkDecl {
                column: time.column,
                delay: time.delay,
            }),
            columns: inferred.columns,
            timestamps: format,
            ..SourceSchema::default()
        };
        let wanted: Vec<usize> = (0..schema.columns.len()).collect();
        let mut decoder = JsonDecoder::new(&schema, &wanted, limits).unwrap();
        let decoded = decoder.decode(&slab, 0..slab.len(), 0);
        let refused = decoded.bad.iter().filter(|bad| {
            // A text with U+0000 fits no column at all.
            bad.reason != crate::BadReason::NulCharacter
        });
        assert_eq!(
            refused.count() as u64,
            sample.bad,
            "{:?}\n{schema:#?}",
            decoded.bad
        );
        rows += decoded.batch.num_rows();
    }
    assert!(rows > 3_000, "{rows}");
}
