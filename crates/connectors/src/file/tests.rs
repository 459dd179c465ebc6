//! Tests of files: lines and their numbers, folders, long lines, and files that are not there.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::write;

use super::lines::MAX_LINE;
use super::*;
use crate::testing::{Reading, request, source};

fn open(path: &Path, pairs: &[(&str, &str)]) -> Reading {
    let path = path.to_str().unwrap();
    let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain([("path", path)]).collect();
    let source = source(&FileConnector::new("file"), &pairs).unwrap();
    Reading::open(&*source, request(false))
}

#[test]
fn lines_have_numbers_blank_ones_no_record_and_the_last_needs_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    write(&file, "{\"a\":1}\r\n\n  \n{\"a\":2}\n{\"a\":3}").unwrap();
    let mut reading = open(&file, &[]);
    assert!(!reading.is_finished());
    reading.drain();
    let rows: Vec<(i64, &str)> = reading
        .rows
        .iter()
        .map(|(_, n, v)| (*n, v.as_str()))
        .collect();
    assert_eq!(rows, [(0, "{\"a\":1}"), (3, "{\"a\":2}"), (4, "{\"a\":3}")]);
    assert!(reading.is_finished());
    let partition = &reading.reader.partitions()[0];
    assert_eq!((partition.position, partition.stop), (5, Some(5)));
    assert_eq!(&*partition.topic, file.to_str().unwrap());
    // What is written later is not read.
    write(
        &file,
        "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n{\"a\":5}\n{\"a\":6}\n",
    )
    .unwrap();
    reading.drain();
    assert_eq!(reading.rows.len(), 3);
}

#[test]
fn files_of_a_folder_are_partitions_in_the_order_of_their_names_and_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |name: &str| {
        (0..20)
            .map(|at| format!("{name}{at}\n"))
            .collect::<String>()
    };
    for name in ["b", "a", "c"] {
        write(folder.path().join(name), lines(name)).unwrap();
    }
    write(folder.path().join(".hidden"), "x\n").unwrap();
    write(folder.path().join("d-empty"), "").unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    let mut reading = open(folder.path(), &[]);
    assert_eq!(reading.reader.partitions().len(), 4);
    // Seven lines of each in turn.
    for _ in 0..3 {
        reading.step().unwrap();
    }
    let order: Vec<usize> = reading.rows.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(order[..7], [0; 7]);
    assert_eq!(order[7..14], [1; 7]);
    assert_eq!(order[14..], [2; 7]);
    reading.drain();
    assert!(reading.is_finished());
    assert_eq!(reading.rows.len(), 60);
    for (id, name) in ["a", "b", "c"].iter().enumerate() {
        let own = reading.rows.iter().filter(|(at, _, _)| *at == id);
        let values: String = own.map(|(_, _, value)| format!("{value}\n")).collect();
        assert_eq!(values, lines(name));
    }
}

#[test]
fn a_paused_file_waits_and_a_position_passes_lines_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    write(&file, "0\n1\n2\n").unwrap();
    let mut reading = open(&file, &[]);
    reading.reader.set_paused(0, true);
    reading.drain();
    assert!(reading.rows.is_empty() && !reading.is_finished());
    reading.reader.set_paused(0, false);
    reading.drain();
    assert_eq!(reading.values(), ["0", "1", "2"]);
    let path = file.to_str().unwrap();
    let source = source(&FileConnector::new("file"), &[("path", path)]).unwrap();
    let mut from = request(true);
    from.positions.push(Position {
        topic: path.into(),
        partition: 0,
        offset: 2,
    });
    let mut reading = Reading::open(&*source, from);
    reading.drain();
    assert_eq!(reading.rows, [(0, 2, "2".to_owned())]);
}

#[test]
fn the_first_line_may_be_one_of_names_and_a_mark_before_it_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    write(&file, "\u{feff}\n n,m\r\n1,2\n\u{feff}3,4\n").unwrap();
    let mut reading = open(&file, &[("csv.header", "true")]);
    let mut slab = Slab::default();
    reading.reader.poll(&mut slab, reading.limits).unwrap();
    assert_eq!(slab.names.as_deref(), Some(b" n,m".as_slice()));
    let values = |slab: &Slab| -> Vec<(i64, String)> {
        let value = |row| String::from_utf8(slab.value(row).unwrap().to_vec()).unwrap();
        (0..slab.len())
            .map(|row| (slab.offsets[row], value(row)))
            .collect()
    };
    assert_eq!(
        values(&slab),
        [(2, "1,2".to_owned()), (3, "\u{feff}3,4".to_owned())]
    );
    // Also a reader that begins in the middle, and a slab that does not begin with the names, have them.
    let path = file.to_str().unwrap();
    let source = source(
        &FileConnector::new("file"),
        &[("path", path), ("csv.header", "true")],
    );
    let mut from = request(true);
    from.positions.push(Position {
        topic: path.into(),
        partition: 0,
        offset: 2,
    });
    let mut reader = source.unwrap().open(from).unwrap();
    let limits = PollLimits {
        max_records: 1,
        max_bytes: 1 << 20,
    };
    for offset in [2, 3] {
        reader.poll(&mut slab, limits).unwrap();
        assert_eq!(slab.offsets, [offset]);
        assert_eq!(slab.names.as_deref(), Some(b" n,m".as_slice()));
    }
}

#[test]
fn a_line_beyond_the_bound_is_cut_and_the_next_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    write(&file, format!("{}\nnext\n", "x".repeat(MAX_LINE + 5))).unwrap();
    let mut reading = open(&file, &[]);
    reading.drain();
    assert_eq!(reading.rows[0].2.len(), MAX_LINE);
    assert_eq!(reading.rows[1], (0, 1, "next".to_owned()));
}

#[test]
fn what_is_not_there_is_said_when_reading_begins() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (path, state, message) in [
        (missing.as_path(), "58P01", "No such file"),
        (folder.path(), "58P01", "there are no files in"),
    ] {
        let pairs = [("path", path.to_str().unwrap())];
        let source = source(&FileConnector::new("file"), &pairs).unwrap();
        let error = source.open(request(false)).map(drop).unwrap_err();
        assert_eq!(error.state().0, state, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

#[test]
fn wrong_options_are_refused() {
    for (pairs, state) in [
        (&[][..], "22023"),
        (&[("path", "")], "22023"),
        (&[("path", "s3://bucket/x")], "0A000"),
        (
            &[("path", "/x"), ("source.monitor-interval", "1 s")],
            "0A000",
        ),
        (&[("path", "/x"), ("compression", "gzip")], "22023"),
    ] {
        let error = source(&FileConnector::new("file"), pairs).unwrap_err();
        assert_eq!(error.state().0, state, "{pairs:?}");
    }
    assert!(source(&FileConnector::new("file"), &[("path", "file:///tmp/x")]).is_ok());
}
