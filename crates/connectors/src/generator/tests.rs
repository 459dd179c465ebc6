//! Tests of the generator: what is due when, the same for all readers, and what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use dataflow::ManualClock;

use super::*;
use crate::testing::{Reading, request, source};

const START: (&str, &str) = ("start_time", "2026-01-01T00:00:00Z");
const START_AT: Micros = 1_767_225_600 * SECOND;

fn connector(clock: &ManualClock) -> GeneratorConnector {
    GeneratorConnector::new(Arc::new(clock.clone()))
}

#[test]
fn rows_come_when_they_are_due_and_are_the_same_for_all_readers() {
    let clock = ManualClock::new(START_AT);
    let pairs = [START, ("rows_per_second", "10"), ("seed", "7")];
    let source = source(&connector(&clock), &pairs).unwrap();
    let mut first = Reading::open(&*source, request(false));
    first.drain();
    assert_eq!(first.rows.len(), 1, "the first is due at once");
    clock.advance(2 * SECOND);
    first.drain();
    assert_eq!(first.rows.len(), 21);
    let partition = &first.reader.partitions()[0];
    assert_eq!(
        (partition.position, partition.end, partition.at_end),
        (21, 21, true)
    );
    let mut later = Reading::open(&*source, request(false));
    later.drain();
    assert_eq!(first.rows, later.rows);
    let other = [START, ("rows-per-second", "10"), ("seed", "8")];
    let other = crate::testing::source(&connector(&clock), &other).unwrap();
    let mut other = Reading::open(&*other, request(false));
    other.drain();
    assert_eq!(other.rows.len(), 21);
    assert_ne!(first.rows, other.rows);
}

#[test]
fn a_number_of_rows_ends_it() {
    let clock = ManualClock::new(START_AT + 3_600 * SECOND);
    let pairs = [START, ("number-of-rows", "100")];
    let source = source(&connector(&clock), &pairs).unwrap();
    let mut reading = Reading::open(&*source, request(false));
    assert!(!reading.is_finished());
    reading.drain();
    assert!(reading.is_finished());
    assert_eq!(reading.rows.len(), 100);
}

#[test]
fn a_query_reads_what_is_due_when_it_begins() {
    let clock = ManualClock::new(START_AT + SECOND);
    let pairs = [START, ("rows_per_second", "10")];
    let source = source(&connector(&clock), &pairs).unwrap();
    let mut query = Reading::open(&*source, request(true));
    clock.advance(10 * SECOND);
    query.drain();
    assert!(query.is_finished());
    assert_eq!(query.rows.len(), 11);
}

#[test]
fn a_reader_that_begins_in_the_middle_gets_the_same_rows() {
    let clock = ManualClock::new(START_AT + SECOND);
    let pairs = [START, ("rows_per_second", "100")];
    let source = source(&connector(&clock), &pairs).unwrap();
    let mut whole = Reading::open(&*source, request(false));
    whole.drain();
    let mut from = request(false);
    from.positions.push(Position {
        topic: NAME.into(),
        partition: 0,
        offset: 40,
    });
    let mut part = Reading::open(&*source, from);
    part.drain();
    assert_eq!(part.rows, whole.rows[40..]);
}

#[test]
fn keys_are_the_users_and_a_pause_holds() {
    let clock = ManualClock::new(START_AT + SECOND);
    let source = source(&connector(&clock), &[START, ("bad_share", "0")]).unwrap();
    let mut reader = source.open(request(false)).unwrap();
    let limits = PollLimits {
        max_records: 5,
        max_bytes: 1 << 20,
    };
    let mut slab = Slab::default();
    reader.set_paused(0, true);
    reader.poll(&mut slab, limits).unwrap();
    assert!(slab.is_empty());
    reader.set_paused(0, false);
    reader.poll(&mut slab, limits).unwrap();
    assert_eq!(slab.len(), 5);
    for row in 0..5 {
        let key = String::from_utf8(slab.key(row).unwrap().to_vec()).unwrap();
        let value = String::from_utf8(slab.value(row).unwrap().to_vec()).unwrap();
        assert!(
            value.starts_with(&format!("{{\"userId\":\"{key}\"")),
            "{value}"
        );
    }
}

#[test]
fn wrong_options_are_refused() {
    let clock = ManualClock::new(START_AT);
    for pair in [
        ("rows_per_second", "0"),
        ("rows_per_second", "fast"),
        ("number_of_rows", "0"),
        ("start_time", "yesterday"),
        ("late_share", "2"),
        ("mix", "view=1"),
        ("fields.a.kind", "sequence"),
    ] {
        let error = source(&connector(&clock), &[pair]).unwrap_err();
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER, "{pair:?}");
    }
}
