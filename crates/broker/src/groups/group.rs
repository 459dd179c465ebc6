//! One consumer group: the phases of the classic rebalance protocol, and the offsets it has committed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::member::{Join, Joined, MAX_METADATA_BYTES, Member, Synced};

/// Members of one group, those included that have only been given an id.
const MAX_MEMBERS: usize = 250;
/// How long an empty group waits for more members after the first one.
const FIRST_JOIN_DELAY: Duration = Duration::from_millis(50);

/// Where a group is in its rebalance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has no members.
    #[default]
    Empty,
    /// It waits until all members have joined.
    Joining,
    /// It waits for the leader's assignments.
    Syncing,
    /// Every member has or can get its assignment.
    Stable,
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

/// One group.
#[derive(Default)]
pub(crate) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids given to clients that have not used them yet, and until when they may.
    promised: HashMap<String, Instant>,
    /// The time of a rebalance: not complete before the first, nor waiting beyond the second.
    rebalance: Option<(Instant, Instant)>,
    offsets: BTreeMap<(String, i32), Committed>,
}

impl Group {
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    pub(crate) fn offset(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.offsets.get(&(topic.to_owned(), partition))
    }

    pub(crate) fn offsets(&self) -> impl Iterator<Item = (&(String, i32), &Committed)> {
        self.offsets.iter()
    }

    pub(crate) fn commit(&mut self, topic: &str, partition: i32, committed: Committed) {
        self.offsets
            .insert((topic.to_owned(), partition), committed);
    }

    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.offsets.retain(|(name, _), _| name != topic);
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty() && self.offsets.is_empty()
    }

    pub(super) fn join(
        &mut self,
        join: Join,
        fresh: bool,
        reply: oneshot::Sender<Joined>,
        now: Instant,
    ) {
        if let Err(error) = self.admit(&join, fresh, now) {
            drop(reply.send(Joined::refused(error, join.member_id)));
            return;
        }
        let id = join.member_id.clone();
        self.promised.remove(&id);
        if let Some(member) = self.members.get_mut(&id)
            && member.protocols == join.protocols
            && (self.phase == Phase::Syncing || (self.phase == Phase::Stable && id != self.leader))
        {
            // It asks again for what it was told, or would have been.
            member.heard = now;
            drop(reply.send(self.joined(&id)));
            return;
        }
        self.protocol_type.clone_from(&join.protocol_type);
        let first = self.members.is_empty();
        match self.members.get_mut(&id) {
            Some(member) => member.update(join, now),
            None => drop(self.members.insert(id.clone(), Member::new(join, now))),
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = Some(reply);
        }
        self.rebalance(
            if first {
                FIRST_JOIN_DELAY
            } else {
                Duration::ZERO
            },
            now,
        );
        self.complete(now);
    }

    /// Whether the client may join; a client without an id may only get one promised.
    fn admit(&mut self, join: &Join, fresh: bool, now: Instant) -> Result<(), ResponseError> {
        join.check()?;
        let others = || self.members.iter().filter(|(id, _)| **id != join.member_id);
        let common = |protocol: &str| others().all(|(_, member)| member.knows(protocol));
        let alike = others().next().is_none() || self.protocol_type == join.protocol_type;
        if !alike || !join.protocols.iter().any(|(protocol, _)| common(protocol)) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if !fresh {
            let known = self.members.contains_key(&join.member_id)
                || self.promised.contains_key(&join.member_id);
            return if known {
                Ok(())
            } else {
                Err(ResponseError::UnknownMemberId)
            };
        }
        if self.members.len() + self.promised.len() >= MAX_MEMBERS {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        if join.must_know_its_id {
            self.promised
                .insert(join.member_id.clone(), now + join.session_timeout);
            return Err(ResponseError::MemberIdRequired);
        }
        Ok(())
    }

    pub(super) fn sync(
        &mut self,
        id: &str,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
        reply: oneshot::Sender<Synced>,
        now: Instant,
    ) {
        let checked = self
            .hear(id, generation, now)
            .and_then(|()| match self.phase {
                Phase::Empty => Err(ResponseError::UnknownMemberId),
                Phase::Joining => Err(ResponseError::RebalanceInProgress),
                Phase::Syncing | Phase::Stable => Ok(()),
            });
        let oversized = assignments
            .iter()
            .any(|(_, assignment)| assignment.len() > MAX_METADATA_BYTES);
        let checked = if oversized {
            Err(ResponseError::InvalidRequest)
        } else {
            checked
        };
        if let Err(error) = checked {
            drop(reply.send(Err(error)));
            return;
        }
        if let Some(member) = self.members.get_mut(id) {
            member.syncing = Some(reply);
        }
        if self.phase == Phase::Syncing && id == self.leader {
            for (id, assignment) in assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    // A copy of its own: the request's buffer is not kept for it.
                    member.assignment = Bytes::copy_from_slice(&assignment);
                }
            }
            self.phase = Phase::Stable;
        }
        if self.phase == Phase::Stable {
            for member in self.members.values_mut() {
                if let Some(reply) = member.syncing.take() {
                    member.heard = now;
                    drop(reply.send(Ok(member.assignment.clone())));
                }
            }
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        id: &str,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.hear(id, generation, now)?;
        if self.phase == Phase::Joining {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    pub(super) fn leave(&mut self, id: &str, now: Instant) -> Result<(), ResponseError> {
        if self.promised.remove(id).is_some() {
            return Ok(());
        }
        self.members
            .remove(id)
            .ok_or(ResponseError::UnknownMemberId)?;
        self.after_loss(now);
        Ok(())
    }

    pub(super) fn may_commit(
        &mut self,
        id: &str,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && id.is_empty() {
            let assigned_by_hand = self.members.is_empty();
            return if assigned_by_hand {
                Ok(())
            } else {
                Err(ResponseError::UnknownMemberId)
            };
        }
        self.hear(id, generation, now)?;
        if self.phase == Phase::Syncing {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.promised.retain(|_, until| now <= *until);
        let before = self.members.len();
        self.members.retain(|_, member| !member.is_gone(now));
        if self.members.len() < before {
            self.after_loss(now);
        }
        self.complete(now);
    }

    /// Takes a sign of life of a member of the present generation.
    fn hear(&mut self, id: &str, generation: i32, now: Instant) -> Result<(), ResponseError> {
        let member = self
            .members
            .get_mut(id)
            .ok_or(ResponseError::UnknownMemberId)?;
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        member.heard = now;
        Ok(())
    }

    fn after_loss(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.rebalance = None;
            self.generation = self.generation.wrapping_add(1) & i32::MAX;
        } else {
            self.rebalance(Duration::ZERO, now);
            self.complete(now);
        }
    }

    /// Asks all members to join again, unless that is going on already.
    fn rebalance(&mut self, delay: Duration, now: Instant) {
        if self.phase != Phase::Joining {
            let patience = self
                .members
                .values()
                .map(|member| member.rebalance_timeout)
                .max()
                .unwrap_or_default();
            self.rebalance = Some((now + delay, now + patience.max(delay)));
            self.phase = Phase::Joining;
        }
        for member in self.members.values_mut() {
            if let Some(reply) = member.syncing.take() {
                drop(reply.send(Err(ResponseError::RebalanceInProgress)));
            }
        }
    }

    /// Begins the next generation when all members have joined, or without those that took too long.
    fn complete(&mut self, now: Instant) {
        let Some((earliest, latest)) = self.rebalance else {
            return;
        };
        let all = self.members.values().all(|member| member.joining.is_some());
        if now < earliest || !(all || now >= latest) {
            return;
        }
        self.rebalance = None;
        self.members.retain(|_, member| member.joining.is_some());
        self.generation = self.generation.wrapping_add(1) & i32::MAX;
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        let Some(leader) = self.members.get(&self.leader) else {
            self.phase = Phase::Empty;
            return;
        };
        let common = |protocol: &str| self.members.values().all(|member| member.knows(protocol));
        let chosen = leader
            .protocols
            .iter()
            .find(|(protocol, _)| common(protocol));
        self.protocol = chosen
            .map(|(protocol, _)| protocol.clone())
            .unwrap_or_default();
        self.phase = Phase::Syncing;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.heard = now;
                if let Some(reply) = member.joining.take() {
                    drop(reply.send(joined));
                }
            }
        }
    }

    /// What a member is told about the present generation.
    fn joined(&self, id: &str) -> Joined {
        let metadata =
            |(id, member): (&String, &Member)| (id.clone(), member.metadata(&self.protocol));
        Joined {
            error: None,
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            members: if id == self.leader {
                self.members.iter().map(metadata).collect()
            } else {
                Vec::new()
            },
        }
    }
}
