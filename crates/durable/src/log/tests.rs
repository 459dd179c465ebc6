//! Tests of the log: what is read after every way of being cut off or changed.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::objects::PREFACE;
use super::*;
use crate::bucket::testing::{Manner, Unsteady};

fn records(log: &Log) -> Result<Vec<Vec<u8>>> {
    let mut reading = log.read(0)?;
    let mut records = Vec::new();
    while let Some(record) = reading.next()? {
        records.push(record.to_vec());
    }
    Ok(records)
}

fn newest(log: &Log) -> PathBuf {
    match &log.end {
        End::Disk { path, .. } => path.clone(),
        End::Store(_) => panic!("it is on a disk"),
    }
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
    let path = newest(&log);
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
    let path = newest(&log);
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
    let first = newest(&log);
    log.rotate().unwrap();
    fill(&mut log, 3..5);
    let second = newest(&log);
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

fn owned(store: &Unsteady, generation: u64) -> Log {
    let (end, next) = Objects::open(&store.folder(), generation).unwrap();
    Log {
        folder: store.place(),
        end: End::Store(end),
        length: 0,
        next,
        buffer: Vec::new(),
    }
}

fn append(log: &mut Log, record: &[u8]) -> Result<()> {
    log.append(record)?;
    log.sync()
}

#[test]
fn records_of_an_object_store_come_back_in_order_over_owners() {
    let store = Unsteady::new(1);
    let mut log = owned(&store, 1);
    assert_eq!((log.first().unwrap(), log.next()), (0, 0));
    fill(&mut log, 0..3);
    log.sync().unwrap();
    fill(&mut log, 3..4);
    log.rotate().unwrap();
    // What was not synced is not there.
    fill(&mut log, 9..10);
    let mut log = owned(&store, 2);
    assert_eq!((log.next(), records(&log).unwrap()), (4, numbered(0..4)));
    for record in numbered(4..100) {
        append(&mut log, &record).unwrap();
    }
    assert_eq!(records(&log).unwrap(), numbered(0..100));
    let mut from = log.read(50).unwrap();
    assert_eq!(from.next().unwrap().unwrap(), numbered(50..51)[0]);
    log.forget(60).unwrap();
    assert_eq!(
        (log.first().unwrap(), records(&log).unwrap()),
        (60, numbered(60..100))
    );
    let mut log = owned(&store, 3);
    assert_eq!((log.first().unwrap(), log.next()), (60, 100));
    log.forget(100).unwrap();
    assert_eq!((log.first().unwrap(), log.next()), (100, 100));
    append(&mut log, b"more").unwrap();
    let log = owned(&store, 4);
    assert_eq!((log.first().unwrap(), log.next()), (100, 101));
}

#[test]
fn who_owned_it_before_appends_nothing_however_late() {
    let store = Unsteady::new(1);
    let mut before = owned(&store, 1);
    append(&mut before, b"one").unwrap();
    let mut log = owned(&store, 2);
    assert_eq!(
        append(&mut before, b"zombie").unwrap_err().state().0,
        "55006"
    );
    append(&mut log, b"two").unwrap();
    append(&mut log, b"three").unwrap();
    log.forget(3).unwrap();
    // Also when everything that it knew has been removed, and over some more owners.
    for generation in 3..10 {
        let mut log = owned(&store, generation);
        append(&mut log, b"more").unwrap();
        log.forget(log.next()).unwrap();
        assert_eq!(
            append(&mut before, b"zombie").unwrap_err().state().0,
            "55006"
        );
    }
    let kept = log_objects(&store);
    for generation in 10..100 {
        owned(&store, generation).forget(u64::MAX).unwrap();
    }
    assert!(log_objects(&store) < kept + 12, "they do not grow for ever");
}

#[test]
fn an_owner_that_was_slow_to_begin_finds_that_another_has_begun() {
    let store = Unsteady::new(1);
    let mut log = owned(&store, 6);
    append(&mut log, b"one").unwrap();
    let error = Objects::open(&store.folder(), 5).unwrap_err();
    assert_eq!(error.state().0, "55006");
    append(&mut log, b"two").unwrap();
    assert_eq!(owned(&store, 7).next(), 2);
}

#[test]
fn an_object_that_is_made_again_after_it_was_removed_is_not_of_the_log() {
    let store = Unsteady::new(1);
    let mut log = owned(&store, 1);
    append(&mut log, b"one").unwrap();
    let Place::Store(StorePlace { bucket, key }) = files(&log.folder).unwrap().remove(0).1 else {
        panic!("it is an object")
    };
    let whole = bucket.get(&key).unwrap().unwrap();
    for record in numbered(1..5) {
        append(&mut log, &record).unwrap();
    }
    log.forget(3).unwrap();
    assert_eq!(bucket.get(&key).unwrap(), None);
    bucket.put(&key, whole).unwrap();
    let log = owned(&store, 2);
    assert_eq!((log.first().unwrap(), log.next()), (3, 5));
    assert_eq!(records(&log).unwrap(), numbered(3..5));
}

fn log_objects(store: &Unsteady) -> usize {
    objects::list(&store.folder()).unwrap().len()
}

#[test]
fn answers_that_are_lost_neither_lose_nor_double_a_record() {
    for seed in 0..50 {
        let store = Unsteady::new(seed);
        let mut log = owned(&store, 1);
        let mut generation = 1;
        for record in numbered(0..30) {
            store.set(Manner::Chance);
            while let Err(error) = append(&mut log, &record) {
                assert_eq!(error.state().0, "08006");
            }
            store.set(Manner::Steady);
            if record.len() % 7 == 0 {
                generation += 1;
                log = owned(&store.other(), generation);
            }
        }
        assert_eq!(records(&log).unwrap(), numbered(0..30), "seed {seed}");
    }
}

#[test]
fn what_was_changed_or_removed_in_an_object_store_is_named() {
    let store = Unsteady::new(1);
    let mut log = owned(&store, 1);
    for record in numbered(1..4) {
        append(&mut log, &record).unwrap();
    }
    let objects = objects::list(&store.folder()).unwrap();
    let object = objects.iter().rfind(|object| object.has_records).unwrap();
    let (_, place) = objects::list(&store.folder())
        .unwrap()
        .pop()
        .unwrap()
        .place();
    let Place::Store(StorePlace { bucket, key }) = place else {
        panic!("it is an object")
    };
    assert_eq!(object.first, 2);
    let whole = bucket.get(&key).unwrap().unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1;
        bucket.put(&key, bytes.into()).unwrap();
        let error = records(&log).unwrap_err();
        assert_eq!(error.state().0, "XX001", "{at}");
        assert!(error.message().contains(key.as_ref()), "{error}");
    }
    // An object that is there is whole: a short one is not what a crash has left.
    for length in PREFACE + 1..whole.len() {
        bucket.put(&key, whole.slice(..length)).unwrap();
        assert_eq!(records(&log).unwrap_err().state().0, "XX001", "{length}");
    }
}
