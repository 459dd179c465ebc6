//! Groups driven by hand, with times of the test's own.

use std::time::Duration;

use bytes::Bytes;

use super::*;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

fn wish(member_id: &str) -> Join {
    Join {
        member_id: member_id.to_owned(),
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"m"))],
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        must_know_its_id: false,
    }
}

fn told(mut reply: oneshot::Receiver<Joined>) -> Joined {
    reply.try_recv().expect("the group has answered")
}

/// A group of one, and the time at which it is complete.
fn group_of_one() -> (Groups, String, Instant) {
    let mut groups = Groups::new(7);
    let now = Instant::now();
    let reply = groups.join("g", wish(""), now);
    let now = now + SESSION / 10;
    groups.tick(now);
    let joined = told(reply);
    assert_eq!((joined.error, joined.generation), (None, 1));
    assert_eq!(joined.leader, joined.member_id);
    (groups, joined.member_id, now)
}

fn sync(
    groups: &mut Groups,
    member: &str,
    generation: i32,
    now: Instant,
) -> oneshot::Receiver<Synced> {
    groups.sync(
        "g",
        member,
        generation,
        vec![(member.to_owned(), Bytes::from_static(b"a"))],
        now,
    )
}

#[tokio::test]
async fn a_newcomer_makes_the_others_join_again() {
    let (mut groups, first, now) = group_of_one();
    assert_eq!(
        sync(&mut groups, &first, 1, now).try_recv(),
        Ok(Ok(Bytes::from_static(b"a")))
    );
    let mut newcomer = groups.join("g", wish(""), now);
    assert!(newcomer.try_recv().is_err());
    assert_eq!(
        groups.heartbeat("g", &first, 1, now),
        Err(ResponseError::RebalanceInProgress)
    );
    assert_eq!(
        sync(&mut groups, &first, 1, now).try_recv(),
        Ok(Err(ResponseError::RebalanceInProgress))
    );
    let again = told(groups.join("g", wish(&first), now));
    let newcomer = told(newcomer);
    assert_eq!(
        (
            again.generation,
            again.members.len(),
            newcomer.members.len()
        ),
        (2, 2, 0)
    );
    assert_eq!(newcomer.leader, first);
    // The follower waits for the leader's assignments.
    let mut follower = sync(&mut groups, &newcomer.member_id, 2, now);
    assert!(follower.try_recv().is_err());
    assert_eq!(
        groups.heartbeat("g", &first, 1, now),
        Err(ResponseError::IllegalGeneration)
    );
    assert!(matches!(
        sync(&mut groups, &first, 2, now).try_recv(),
        Ok(Ok(_))
    ));
    assert_eq!(follower.try_recv(), Ok(Ok(Bytes::new())));
    assert_eq!(groups.heartbeat("g", &first, 2, now), Ok(()));
}

#[tokio::test]
async fn the_silent_are_dropped_after_their_session_and_the_slow_after_the_rebalance() {
    let (mut groups, first, mut now) = group_of_one();
    assert!(sync(&mut groups, &first, 1, now).try_recv().is_ok());
    let mut newcomer = groups.join("g", wish(""), now);
    // The first member keeps its session but does not join again.
    for _ in 0..8 {
        now += SESSION * 9 / 10;
        groups.tick(now);
        let _ = groups.heartbeat("g", &first, 1, now);
    }
    let newcomer = newcomer.try_recv().expect("the rebalance has ended");
    assert_eq!(
        (newcomer.generation, newcomer.leader.as_str()),
        (2, newcomer.member_id.as_str())
    );
    assert_eq!(
        groups.heartbeat("g", &first, 1, now),
        Err(ResponseError::UnknownMemberId)
    );
    now += SESSION * 2;
    groups.tick(now);
    assert!(
        groups.get("g").is_none(),
        "nobody is left and nothing was committed"
    );
}

#[tokio::test]
async fn a_waiting_member_that_hung_up_is_dropped() {
    let (mut groups, first, now) = group_of_one();
    assert!(sync(&mut groups, &first, 1, now).try_recv().is_ok());
    drop(groups.join("g", wish(""), now));
    groups.tick(now);
    let again = told(groups.join("g", wish(&first), now));
    assert_eq!((again.generation, again.members.len()), (2, 1));
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let (mut groups, first, now) = group_of_one();
    let mut refused = |change: &dyn Fn(&mut Join)| {
        let mut join = wish("");
        change(&mut join);
        told(groups.join("g", join, now)).error
    };
    assert_eq!(
        refused(&|join| join.session_timeout = Duration::ZERO),
        Some(ResponseError::InvalidSessionTimeout)
    );
    assert_eq!(
        refused(&|join| join.protocols.clear()),
        Some(ResponseError::InconsistentGroupProtocol)
    );
    assert_eq!(
        refused(&|join| join.protocols[0].0 = "other".to_owned()),
        Some(ResponseError::InconsistentGroupProtocol)
    );
    assert_eq!(
        refused(&|join| join.protocol_type = "connect".to_owned()),
        Some(ResponseError::InconsistentGroupProtocol)
    );
    assert_eq!(
        refused(&|join| join.member_id = "no one".to_owned()),
        Some(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        refused(&|join| join.protocols[0].1 = Bytes::from(vec![0; 2 << 20])),
        Some(ResponseError::InvalidRequest)
    );
    assert_eq!(groups.delete("g"), Err(ResponseError::NonEmptyGroup));
    assert_eq!(groups.delete("none"), Err(ResponseError::GroupIdNotFound));
    assert_eq!(
        told(groups.join("", wish(""), now)).error,
        Some(ResponseError::InvalidGroupId)
    );
    assert!(
        groups.committing("g", "", -1, now).is_err(),
        "the group has members"
    );
    assert!(
        groups.committing("g", &first, 1, now).is_err(),
        "the group is not synced"
    );
}

#[tokio::test]
async fn ids_are_promised_for_a_session_and_groups_and_members_are_bounded() {
    let mut groups = Groups::new(7);
    let now = Instant::now();
    let mut must_know = wish("");
    must_know.must_know_its_id = true;
    let promised = told(groups.join("g", must_know, now));
    assert_eq!(promised.error, Some(ResponseError::MemberIdRequired));
    groups.tick(now + SESSION * 2);
    assert!(groups.get("g").is_none());
    assert_eq!(
        told(groups.join("g", wish(&promised.member_id), now)).error,
        Some(ResponseError::UnknownMemberId)
    );

    let replies: Vec<_> = (0..251).map(|_| groups.join("g", wish(""), now)).collect();
    let errors = replies
        .into_iter()
        .filter_map(|mut reply| reply.try_recv().ok()?.error);
    assert_eq!(
        errors.collect::<Vec<_>>(),
        [ResponseError::GroupMaxSizeReached]
    );
    for n in 1..1_000 {
        assert!(groups.committing(&n.to_string(), "", -1, now).is_ok());
    }
    assert_eq!(
        groups.committing("one more", "", -1, now).err(),
        Some(ResponseError::GroupMaxSizeReached)
    );
}
