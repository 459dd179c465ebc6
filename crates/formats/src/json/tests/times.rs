//! The hand-written reader of ISO 8601 against chrono.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta};

use crate::json::time::{date, in_range, timestamp};

#[test]
fn every_day_equals_chrono() {
    let mut day = NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    while day <= NaiveDate::from_ymd_opt(9999, 12, 31).unwrap() {
        let text = day.format("%Y-%m-%d").to_string();
        let expected = i32::try_from((day - epoch).num_days()).unwrap();
        assert_eq!(
            date(text.as_bytes().try_into().unwrap()),
            Some(expected),
            "{text}"
        );
        day = day + Days::new(1);
    }
}

#[test]
fn days_that_do_not_exist() {
    for year in ["0000", "1900", "2000", "2023", "2024"] {
        for month in 0..=13 {
            for day in 0..=32 {
                let text = format!("{year}-{month:02}-{day:02}");
                let expected = NaiveDate::from_ymd_opt(year.parse().unwrap(), month, day);
                let found = date(text.as_bytes().try_into().unwrap());
                assert_eq!(found.is_some(), expected.is_some(), "{text}");
            }
        }
    }
}

#[test]
fn times_equal_chrono() {
    for at in (-62_167_219_200_000_000i64..253_402_300_800_000_000).step_by(7_654_321_987_654) {
        let time = DateTime::from_timestamp_micros(at).unwrap();
        let text = time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        assert_eq!(timestamp(text.as_bytes()), Some(at), "{text}");
        assert!(in_range(at));
        let text = time.format("%Y-%m-%d %H:%M:%S").to_string();
        assert_eq!(
            timestamp(text.as_bytes()),
            Some(at.div_euclid(1_000_000) * 1_000_000)
        );
    }
    assert!(!in_range(-62_167_219_200_000_001) && !in_range(253_402_300_800_000_000));
}

#[test]
fn fractions_and_zones() {
    let base = NaiveDateTime::parse_from_str("2024-02-29T23:59:59", "%Y-%m-%dT%H:%M:%S").unwrap();
    for (fraction, micros) in [
        ("", 0),
        (".1", 100_000),
        (".000001", 1),
        (".1234567899999", 123_456),
    ] {
        for minutes in [0, 1, 59, 60, 330, 14 * 60, 23 * 60 + 59] {
            for (sign, ahead) in [('+', minutes), ('-', -minutes)] {
                let at = base + TimeDelta::microseconds(micros) - TimeDelta::minutes(ahead);
                let expected = Some(at.and_utc().timestamp_micros());
                let (hour, minute) = (minutes / 60, minutes % 60);
                for colon in [":", ""] {
                    let text =
                        format!("2024-02-29t23:59:59{fraction}{sign}{hour:02}{colon}{minute:02}");
                    assert_eq!(timestamp(text.as_bytes()), expected, "{text}");
                }
                if minute == 0 {
                    let text = format!("2024-02-29 23:59:59{fraction}{sign}{hour:02}");
                    assert_eq!(timestamp(text.as_bytes()), expected, "{text}");
                }
            }
        }
    }
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "",
        "2024-02-29",
        "2024-02-29T",
        "2024-02-29T23:59",
        "2024-02-29T24:00:00",
        "2024-02-29T23:60:00",
        "2024-02-29T23:59:60",
        "2024-02-29T23:59:60Z",
        "2024-02-29T23:59:59.",
        "2024-02-29T23:59:59.Z",
        "2024-02-29T23:59:59,5",
        "2024-02-29T23:59:59 Z",
        "2024-02-29T23:59:59+",
        "2024-02-29T23:59:59+1",
        "2024-02-29T23:59:59+24:00",
        "2024-02-29T23:59:59+01:60",
        "2024-02-29T23:59:59+01:0",
        "2024-02-29T23:59:59*01:00",
        "2024-02-29T23:59:59ZZ",
        "2024-02-29_23:59:59",
        "2024/02/29T23:59:59",
        " 2024-02-29T23:59:59",
        "2024-02-29T23-59-59",
        "+2024-02-29T23:59:59",
        "12024-02-29T23:59:59",
        "2024-2-29T23:59:59",
        "2024-02-29T23:59:5x",
        "２024-02-29T23:59:59",
    ] {
        assert_eq!(timestamp(text.as_bytes()), None, "{text}");
    }
}
