//! Records that the brokers delete before they are read.

use dataflow::connector::{Gap, GapReason};
use kafka::admin;

use crate::scratch::Scratch;
use crate::support::Open;

fn deleted(from: i64, to: i64) -> Gap {
    Gap {
        partition: 0,
        from,
        to,
        reason: GapReason::Deleted,
    }
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn records_deleted_before_a_start_are_skipped_and_told() {
    let scratch = Scratch::new("retention", 1);
    scratch.fill(0, &["a", "b", "c", "d"]);
    admin::delete_records(&scratch.brokers, &scratch.topic, 0, 3).unwrap();
    let from_second = |options| Open {
        positions: vec![(0, 1)],
        options,
        ..Open::default()
    };
    let mut reading = scratch.open(from_second(&[]));
    reading.until_rows(1);
    assert_eq!(reading.rows[0].offset, 3);
    assert_eq!(reading.gaps, [deleted(1, 3)]);
    reading.until_loss_is_told();
    let note = reading.reader.partitions()[0].note.clone().unwrap();
    assert!(note.starts_with("those from offset 1 to 3 were deleted"));
    let mut earliest = scratch.open(Open::default());
    earliest.until_at_end();
    assert_eq!((earliest.rows[0].offset, earliest.gaps.len()), (3, 0));

    let error = scratch
        .open(from_second(&[("lost_data", "fail")]))
        .until_failed();
    assert!(
        error.message().contains("from offset 1 to 3 were deleted"),
        "{error}"
    );
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn a_gap_comes_behind_what_was_fetched_before() {
    let scratch = Scratch::new("gap", 2);
    let options = [("properties.queued.min.messages", "1")];
    let mut reading = scratch.open(Open {
        options: &options,
        ..Open::default()
    });
    scratch.fill(0, &["a", "b", "c"]);
    reading.until_rows(3);
    let mut found = 0;
    // Whether anything is deleted before it is fetched is a matter of chance, but not in all rounds.
    for round in 1.. {
        // Nobody takes what is fetched, and so nothing more is.
        let before = reading.rows.len();
        let next = reading.reader.partitions()[0].position;
        for value in ["d", "e", "f", "g"] {
            scratch.fill(0, &[value]);
        }
        admin::delete_records(&scratch.brokers, &scratch.topic, 0, next + 3).unwrap();
        scratch.fill(1, &["other"]);
        reading.until("all that is there", |reading| {
            let last = reading.rows.iter().filter(|row| row.partition == 0).last();
            last.is_some_and(|row| row.offset == next + 3)
        });
        reading.until("the other partition", |reading| {
            reading.rows.iter().filter(|row| row.partition == 1).count() == round
        });
        let offsets = reading.rows[before..]
            .iter()
            .filter(|row| row.partition == 0);
        let offsets: Vec<i64> = offsets.map(|row| row.offset).collect();
        // What came is in order, and what did not come is in the gap.
        let mut expected: Vec<i64> = (next..next + 4).collect();
        if let Some(gap) = reading.gaps.pop() {
            assert_eq!(gap, deleted(gap.from, next + 3));
            found += 1;
            expected.retain(|offset| *offset < gap.from || *offset >= gap.to);
        }
        assert_eq!(offsets, expected);
        assert!(round < 50, "there never is a gap");
        if round >= 3 && found > 0 {
            break;
        }
    }
}

#[test]
#[ignore = "needs a real Kafka in CLICKMILL_TEST_KAFKA"]
fn a_topic_made_anew_before_a_start_is_known_by_its_id() {
    let scratch = Scratch::new("anew-before", 2);
    scratch.fill(0, &["a", "b", "c"]);
    let mut reading = scratch.open(Open::default());
    let mut id = None;
    while id.is_none() {
        reading.until_at_end();
        id = reading.reader.take_topics().pop().map(|(_, id)| id);
    }
    drop(reading);
    scratch.make_anew(2);
    // More than before: the old offset is a good one in the new topic.
    scratch.fill(0, &["n0", "n1", "n2", "n3", "n4"]);
    let saved = |options, id| Open {
        positions: vec![(0, 3), (1, 0)],
        id,
        options,
        ..Open::default()
    };
    let mut reading = scratch.open(saved(&[], id.clone()));
    reading.until_rows(5);
    assert_eq!(reading.values(), ["n0", "n1", "n2", "n3", "n4"]);
    let recreated = |partition, from| Gap {
        partition,
        from,
        to: 0,
        reason: GapReason::Recreated,
    };
    assert_eq!(reading.gaps, [recreated(0, 3), recreated(1, 0)]);
    let error = scratch
        .open(saved(&[("lost_data", "fail")], id))
        .until_failed();
    assert!(error.message().contains("was made anew"), "{error}");
    let now = reading.reader.take_topics().pop().unwrap().1;
    let mut same = scratch.open(saved(&[("lost_data", "fail")], Some(now)));
    same.until_rows(2);
    assert_eq!(same.values(), ["n3", "n4"]);
}
