//! Tests of claims on addresses of object stores.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::bucket::testing::{Manner, Unsteady};
use crate::folder::Folder;

fn state_of(result: Result<impl Sized>) -> &'static str {
    result.err().unwrap().state().0
}

/// Has a claim look at the store again.
fn forget(lease: &Lease) {
    lease.state.lock().known -= 2 * FRESH;
}

#[test]
fn one_owner_at_a_time_and_the_next_is_a_generation_later() {
    let store = Unsteady::new(1);
    let (told, heard) = channel();
    let on_lost = move |error| told.send(error).unwrap();
    let first = Folder::claim(&store.place(), 1, false, on_lost).unwrap();
    let claim = |take_over| Folder::claim(&store.other().place(), 1, take_over, drop);
    // It renews while it is looked at.
    assert_eq!(state_of(claim(false)), "55006");
    let second = claim(true).unwrap();
    assert_eq!((first.generation(), second.generation()), (1, 2));
    let error = heard.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(error.message().contains("has taken over"), "{error}");
    assert_eq!(state_of(first.check()), "55006");
    drop(first);
    second.check().unwrap();
    drop(second);
    // It has said that it ends: nobody waits.
    let begun = Instant::now();
    assert_eq!(claim(false).unwrap().generation(), 3);
    assert!(begun.elapsed() < STALE);
}

#[test]
fn one_that_is_not_renewed_is_had_after_ten_seconds() {
    let store = Unsteady::new(2);
    let folder = store.folder();
    let still = Lease::claim(&folder, false).unwrap();
    let begun = Instant::now();
    let next = Lease::claim(&folder, false).unwrap();
    assert!(begun.elapsed() >= STALE);
    next.check().unwrap();
    // It believes what it knew until it looks.
    forget(&still);
    assert_eq!(state_of(still.check()), "55006");
    assert!(!still.renew(false).unwrap());
    next.renew(true).unwrap();
}

#[test]
fn a_process_that_has_ended_is_not_waited_for() {
    let store = Unsteady::new(3);
    let folder = store.folder();
    drop(Lease::claim(&folder, false).unwrap());
    let (owner, version) = read(&folder).unwrap().unwrap();
    let text = owner.process.as_ref().unwrap().to_text();
    let (machine, _) = text.split_once(',').unwrap();
    let gone = Owner {
        process: Process::from_text(&format!("{machine},{},1", std::process::id())),
        ..owner
    };
    write(&folder, &gone, Some(version)).unwrap().unwrap();
    let begun = Instant::now();
    Lease::claim(&folder, false).unwrap();
    assert!(begun.elapsed() < STALE);
}

#[test]
fn answers_that_are_lost_lose_no_claim() {
    let store = Unsteady::new(4);
    let folder = store.folder();
    let lease = Lease::claim(&folder, false).unwrap();
    store.set(Manner::Mute);
    assert_eq!(state_of(lease.renew(false)), "08006");
    forget(&lease);
    assert_eq!(state_of(lease.check()), "08006");
    store.set(Manner::Steady);
    // Its own renewal is there, under a version that it was not told.
    assert!(lease.renew(false).unwrap());
    assert!(lease.renew(false).unwrap());
    lease.check().unwrap();
}

#[test]
fn other_formats_and_other_folders_are_refused() {
    let store = Unsteady::new(5);
    drop(Folder::claim(&store.place(), 2, false, drop).unwrap());
    assert_eq!(
        state_of(Folder::claim(&store.place(), 3, false, drop)),
        "0A000"
    );
    let other = Unsteady::new(6);
    other.place().join("photo.jpg").write(b"x").unwrap();
    let error = Folder::claim(&other.place(), 1, false, drop).unwrap_err();
    assert!(error.message().contains("photo.jpg"), "{error}");
    let owner = other.folder().join(OWNER);
    assert_eq!(owner.raw().unwrap(), None, "nothing is written there");
}
