//! The consumer groups of a broker: finding and bounding them, the ids of their members, and their committed offsets.

mod group;
mod member;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use self::group::{Committed, Group, Phase};
pub(crate) use self::member::{Join, Joined, Synced};

/// Groups of one broker.
const MAX_GROUPS: usize = 1_000;
/// Characters of a client's id that its members' ids begin with.
const CLIENT_ID_CHARS: usize = 64;

/// All groups, by id.
pub(crate) struct Groups {
    by_id: BTreeMap<String, Group>,
    /// Tells members' ids of this broker from those of an earlier one.
    origin: i64,
    members: u64,
}

impl Groups {
    pub(crate) fn new(origin: i64) -> Self {
        Self {
            by_id: BTreeMap::new(),
            origin,
            members: 0,
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Group> {
        self.by_id.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Group)> {
        self.by_id.iter()
    }

    /// Adds a member to a group, or lets it join again. The answer comes when the group is complete.
    pub(crate) fn join(
        &mut self,
        id: &str,
        mut join: Join,
        now: Instant,
    ) -> oneshot::Receiver<Joined> {
        let (reply, joined) = oneshot::channel();
        let fresh = join.member_id.is_empty();
        if fresh {
            self.members += 1;
            let client: String = join.client_id.chars().take(CLIENT_ID_CHARS).collect();
            join.member_id = format!("{client}-{:x}-{}", self.origin, self.members);
        }
        match self.entry(id) {
            Ok(group) => group.join(join, fresh, reply, now),
            Err(error) => drop(reply.send(Joined::refused(error, join.member_id))),
        }
        joined
    }

    /// A member asks for its assignment; the leader brings all of them.
    pub(crate) fn sync(
        &mut self,
        id: &str,
        member: &str,
        generation: i32,
        assignments: Vec<(String, bytes::Bytes)>,
        now: Instant,
    ) -> oneshot::Receiver<Synced> {
        let (reply, synced) = oneshot::channel();
        match self.by_id.get_mut(id) {
            Some(group) => group.sync(member, generation, assignments, reply, now),
            None => drop(reply.send(Err(ResponseError::UnknownMemberId))),
        }
        synced
    }

    pub(crate) fn heartbeat(
        &mut self,
        id: &str,
        member: &str,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.by_id
            .get_mut(id)
            .ok_or(ResponseError::UnknownMemberId)?
            .heartbeat(member, generation, now)
    }

    pub(crate) fn leave(
        &mut self,
        id: &str,
        member: &str,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.by_id
            .get_mut(id)
            .ok_or(ResponseError::UnknownMemberId)?
            .leave(member, now)
    }

    /// The group that a member may commit offsets to; a consumer without a group's partitions has generation -1.
    pub(crate) fn committing(
        &mut self,
        id: &str,
        member: &str,
        generation: i32,
        now: Instant,
    ) -> Result<&mut Group, ResponseError> {
        let group = self.entry(id)?;
        group.may_commit(member, generation, now)?;
        Ok(group)
    }

    /// A group that is given what it had committed before; `None` when there are too many.
    pub(crate) fn restored(&mut self, id: &str) -> Option<&mut Group> {
        self.entry(id).ok()
    }

    /// Removes a group without members.
    pub(crate) fn delete(&mut self, id: &str) -> Result<(), ResponseError> {
        let group = self.by_id.get(id).ok_or(ResponseError::GroupIdNotFound)?;
        if group.phase() != Phase::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        self.by_id.remove(id);
        Ok(())
    }

    /// Forgets all offsets in a topic that is gone.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for group in self.by_id.values_mut() {
            group.forget_topic(topic);
        }
    }

    /// Ends sessions and rebalances whose time is over, and forgets groups that hold nothing.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.by_id.retain(|_, group| {
            group.tick(now);
            !group.holds_nothing()
        });
    }

    fn entry(&mut self, id: &str) -> Result<&mut Group, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let full = self.by_id.len() >= MAX_GROUPS;
        match self.by_id.entry(id.to_owned()) {
            Entry::Occupied(group) => Ok(group.into_mut()),
            Entry::Vacant(_) if full => Err(ResponseError::GroupMaxSizeReached),
            Entry::Vacant(place) => Ok(place.insert(Group::default())),
        }
    }
}

#[cfg(test)]
mod tests;
