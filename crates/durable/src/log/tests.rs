//! Tests of the log: what is read after every way of being cut off or changed.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn records(log: &Log) -> Result<Vec<Vec<u8>>> {
    let mut reading = log.read(0)?;
    let mut records = Vec::new();
    while let Some(record) = reading.next()? {
        records.push(record.to_vec());
    }
    Ok(records)
}

fn numbered(range: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    range.map(|at| vec![at; usize::from(at) * 3]).collect()
}

fn fill(log: &mut Log, range: std::ops::Range<u8>) {
    for record in numbered(range) {
        log.append(&record).unwrap();
    }
}

#[test]
fn records_come_back_in_order_over_files_and_openings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut log = Log::open(&path).unwrap();
    assert_eq!(records(&log).unwrap(), Vec::<Vec<u8>>::new());
    fill(&mut log, 0..5);
    log.rotate().unwrap();
    fill(&mut log, 5..9);
    log.sync().unwrap();
    assert_eq!((log.next(), records(&log).unwrap()), (9, numbered(0..9)));
    drop(log);
    let mut log = Log::open(&path).unwrap();
    assert_eq!(log.next(), 9);
    log.rotate().unwrap();
    fill(&mut log, 9..12);
    let mut from = log.read(7).unwrap();
    assert_eq!(from.next().unwrap().unwrap(), numbered(7..8)[0]);
    // Only whole files go.
    log.forget(7).unwrap();
    assert_eq!(records(&log).unwrap(), numbered(5..12));
    log.forget(9).unwrap();
    assert_eq!(records(&log).unwrap(), numbered(9..12));
    log.forget(100).unwrap();
    assert_eq!(records(&log).unwrap(), numbered(9..12));
    assert_eq!(Log::open(&path).unwrap().next(), 12);
}

#[test]
fn a_log_cut_off_anywhere_has_its_whole_records_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path()).unwrap();
    fill(&mut log, 0..4);
    let path = log.path.clone();
    drop(log);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut log = Log::open(folder.path()).unwrap();
        let kept = log.next();
        assert_eq!(
            records(&log).unwrap(),
            numbered(0..4)[..usize::try_from(kept).unwrap()]
        );
        log.append(b"next").unwrap();
        assert_eq!(records(&log).unwrap().last().unwrap(), b"next");
        assert_eq!(Log::open(folder.path()).unwrap().next(), kept + 1);
    }
}

#[test]
fn a_changed_record_is_damage_unless_nothing_whole_follows() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path()).unwrap();
    fill(&mut log, 2..5);
    let path = log.path.clone();
    let whole = fs::read(&path).unwrap();
    let last = whole.len() - (HEADER + 12);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        match Log::open(folder.path()) {
            Ok(log) => assert!(at >= last && log.next() == 2, "{at}"),
            Err(error) => assert!(at < last && error.state().0 == "XX001", "{at}: {error}"),
        }
    }
}

#[test]
fn damage_before_the_last_file_and_missing_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path()).unwrap();
    fill(&mut log, 1..3);
    let first = log.path.clone();
    log.rotate().unwrap();
    fill(&mut log, 3..5);
    let second = log.path.clone();
    log.rotate().unwrap();
    fill(&mut log, 5..6);
    let bytes = fs::read(&first).unwrap();
    fs::write(&first, &bytes[..bytes.len() - 1]).unwrap();
    let error = Log::open(folder.path()).unwrap_err();
    assert_eq!(error.state().0, "XX001");
    assert!(error.message().contains(first.to_str().unwrap()), "{error}");
    fs::write(&first, &bytes).unwrap();
    assert_eq!(Log::open(folder.path()).unwrap().next(), 5);
    fs::remove_file(second).unwrap();
    let error = Log::open(folder.path()).unwrap_err();
    assert!(error.message().contains("missing"), "{error}");
}

#[test]
fn what_a_former_owner_appends_is_not_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = Log::open(folder.path()).unwrap();
    fill(&mut before, 0..3);
    let mut log = Log::take_over(folder.path(), &|| Ok(())).unwrap();
    fill(&mut before, 7..9);
    fill(&mut log, 3..5);
    before.append(b"more").unwrap();
    assert_eq!(records(&log).unwrap(), numbered(0..5));
    assert_eq!(Log::open(folder.path()).unwrap().next(), 5);
}
