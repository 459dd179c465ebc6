//! Tests of the generator: stable bytes, valid events, promised shares.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::*;

const START: i64 = 1_767_225_600_000;

fn generate(config: &ClickConfig, count: i64) -> Vec<(EventMeta, Vec<u8>)> {
    let mut generator = ClickGenerator::new(config);
    let mut record = Vec::new();
    (0..count)
        .map(|i| (generator.next_event(START + i, &mut record), record.clone()))
        .collect()
}

/// FNV-1a over all bytes: the golden value of a seed.
fn fingerprint(events: &[(EventMeta, Vec<u8>)]) -> u64 {
    let bytes = events
        .iter()
        .flat_map(|(_, record)| record.iter().chain(b"\n"));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn a_seed_gives_the_same_bytes_for_ever() {
    let events = generate(
        &ClickConfig {
            seed: 42,
            ..ClickConfig::default()
        },
        10_000,
    );
    let first = String::from_utf8(events[0].1.clone()).unwrap();
    assert_eq!(
        first,
        "{\"userId\":\"user_000506\",\"pageUrl\":\"/home\",\"eventType\":\"click\",\"timestamp\":1767225598836,\
         \"sessionId\":\"sess_679984d736f559e8\",\"ipAddress\":\"10.65.213.58\"}"
    );
    assert_eq!(fingerprint(&events), 11_056_525_020_612_502_086);
    let other = generate(
        &ClickConfig {
            seed: 43,
            ..ClickConfig::default()
        },
        10_000,
    );
    assert_ne!(fingerprint(&events), fingerprint(&other));
}

#[test]
fn events_have_six_fields_in_order_and_the_key_is_the_user() {
    let mut bytes = 0;
    let mut count = 0;
    for (meta, record) in generate(&ClickConfig::default(), 50_000) {
        let key = std::str::from_utf8(&record[meta.key.clone()]).unwrap();
        assert!(key.starts_with("user_") && key.len() == 11, "{key}");
        if meta.kind == EventKind::Bad {
            continue;
        }
        let text = std::str::from_utf8(&record).unwrap();
        let at: Vec<usize> = [
            "userId",
            "pageUrl",
            "eventType",
            "timestamp",
            "sessionId",
            "ipAddress",
        ]
        .iter()
        .map(|name| text.find(&format!("\"{name}\":")).unwrap())
        .collect();
        assert!(at.is_sorted());
        let event: Value = serde_json::from_str(text).unwrap();
        assert_eq!(event.as_object().unwrap().len(), 6);
        assert_eq!(event["userId"], key);
        assert_eq!(event["timestamp"], meta.event_time_ms);
        bytes += record.len();
        count += 1;
    }
    let mean = bytes / count;
    assert!((150..185).contains(&mean), "mean size {mean}");
}

#[test]
fn shares_are_as_configured() {
    let config = ClickConfig {
        late: 0.02,
        bad: 0.01,
        ..ClickConfig::default()
    };
    let events = generate(&config, 100_000);
    let share =
        |kind| events.iter().filter(|(meta, _)| meta.kind == kind).count() as f64 / 100_000.0;
    assert!((share(EventKind::Late) - 0.02).abs() < 0.003);
    assert!((share(EventKind::Bad) - 0.01).abs() < 0.002);
    let mut kinds: HashMap<String, f64> = HashMap::new();
    let mut pages: HashMap<String, u32> = HashMap::new();
    for (meta, record) in &events {
        if meta.kind != EventKind::Bad {
            let event: Value = serde_json::from_slice(record).unwrap();
            *kinds
                .entry(event["eventType"].as_str().unwrap().to_owned())
                .or_default() += 1.0 / 99_000.0;
            *pages
                .entry(event["pageUrl"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    for (kind, expected) in [
        ("page_view", 0.60),
        ("click", 0.25),
        ("add_to_cart", 0.10),
        ("purchase", 0.05),
    ] {
        assert!(
            (kinds[kind] - expected).abs() < 0.01,
            "{kind}: {}",
            kinds[kind]
        );
    }
    assert!(pages.len() > 900, "pages: {}", pages.len());
    assert!(pages["/home"] > 8_000 && pages["/admin"] > 300);
}

#[test]
fn times_are_disordered_within_five_seconds_and_late_ones_beyond() {
    let (mut disordered, mut oldest, mut before) = (0, 0, i64::MIN);
    let events = generate(
        &ClickConfig {
            late: 0.01,
            ..ClickConfig::default()
        },
        50_000,
    );
    for (sent, (meta, _)) in (START..).zip(&events) {
        let age = sent - meta.event_time_ms;
        match meta.kind {
            EventKind::Late => assert!((6_000..=60_000).contains(&age), "{age}"),
            EventKind::Good => {
                assert!((0..=MAX_DISORDER_MS).contains(&age), "{age}");
                oldest = oldest.max(age);
                disordered += u32::from(meta.event_time_ms < before);
                before = before.max(meta.event_time_ms);
            }
            EventKind::Bad => {}
        }
    }
    assert!(oldest > 4_900, "oldest {oldest}");
    assert!(disordered > 25_000, "disordered {disordered}");
}

#[test]
fn every_defect_occurs_and_none_is_a_valid_event() {
    let (mut cut, mut raw, mut text, mut missing) = (0, 0, 0, 0);
    for (meta, record) in generate(
        &ClickConfig {
            bad: 1.0,
            ..ClickConfig::default()
        },
        2_000,
    ) {
        assert_eq!(meta.kind, EventKind::Bad);
        assert!(record[meta.key.clone()].starts_with(b"user_"));
        if std::str::from_utf8(&record).is_err() {
            raw += 1;
            continue;
        }
        match serde_json::from_slice::<Value>(&record) {
            Err(error) => {
                assert!(error.is_eof());
                cut += 1;
            }
            Ok(event) if event.get("timestamp").is_none() => missing += 1,
            Ok(event) => {
                assert!(event["timestamp"].is_string());
                text += 1;
            }
        }
    }
    assert!(
        [cut, raw, text, missing].iter().all(|count| *count > 400),
        "{cut} {raw} {text} {missing}"
    );
}

#[test]
fn without_faults_every_event_is_good_and_small_worlds_work() {
    let config = ClickConfig {
        users: 1,
        pages: 1,
        active_sessions: 0,
        late: 0.0,
        bad: 0.0,
        ..ClickConfig::default()
    };
    let events = generate(&config, 1_000);
    assert!(events.iter().all(|(meta, _)| meta.kind == EventKind::Good));
    let sessions: HashSet<String> = events
        .iter()
        .map(|(_, record)| {
            serde_json::from_slice::<Value>(record).unwrap()["sessionId"].to_string()
        })
        .collect();
    assert!(sessions.len() > 50);
}

#[test]
fn times_before_1970_are_written_with_their_sign() {
    let mut record = Vec::new();
    let mut generator = ClickGenerator::new(&ClickConfig {
        bad: 0.0,
        ..ClickConfig::default()
    });
    let meta = generator.next_event(-1, &mut record);
    let event: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(event["timestamp"], meta.event_time_ms);
}
