//! Consumer groups of the classic protocol: joining, staying and leaving, and looking at them from outside.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use tokio::time::Instant;

use super::{Call, code, text};
use crate::groups::{Group, Join, Joined, Phase};
use crate::shape::{Field, Shape, always, since};

pub(super) const JOIN_GROUP: &[Field] = &[
    always(Shape::Text),
    always(Shape::Fixed(4)),
    since(1, Shape::Fixed(4)),
    always(Shape::Text),
    always(Shape::Text),
    always(Shape::Array(&[always(Shape::Text), always(Shape::Data)])),
];
pub(super) const HEARTBEAT: &[Field] = &[
    always(Shape::Text),
    always(Shape::Fixed(4)),
    always(Shape::Text),
];
pub(super) const LEAVE_GROUP: &[Field] = &[always(Shape::Text), always(Shape::Text)];
pub(super) const SYNC_GROUP: &[Field] = &[
    always(Shape::Text),
    always(Shape::Fixed(4)),
    always(Shape::Text),
    always(Shape::Array(&[always(Shape::Text), always(Shape::Data)])),
];
pub(super) const DESCRIBE_GROUPS: &[Field] = &[
    always(Shape::Array(&[always(Shape::Text)])),
    since(3, Shape::Fixed(1)),
];
pub(super) const LIST_GROUPS: &[Field] = &[];
pub(super) const DELETE_GROUPS: &[Field] = &[always(Shape::Array(&[always(Shape::Text)]))];

/// Waits until the group's next generation begins.
pub(super) async fn join_group(call: &Call<'_>, request: &JoinGroupRequest) -> JoinGroupResponse {
    let session_timeout = millis(request.session_timeout_ms);
    // Version 0 has one timeout for both.
    let rebalance_timeout = if call.version == 0 {
        session_timeout
    } else {
        millis(request.rebalance_timeout_ms)
    };
    let join = Join {
        member_id: request.member_id.to_string(),
        client_id: call.client_id.to_owned(),
        client_host: format!("/{}", call.peer.ip()),
        protocol_type: request.protocol_type.to_string(),
        // Copies: the group must not keep the request's whole buffer.
        protocols: request
            .protocols
            .iter()
            .map(|protocol| {
                (
                    protocol.name.to_string(),
                    Bytes::copy_from_slice(&protocol.metadata),
                )
            })
            .collect(),
        session_timeout,
        rebalance_timeout,
        must_know_its_id: call.version >= 4,
    };
    let joined = call
        .shared
        .groups
        .lock()
        .join(request.group_id.as_str(), join, Instant::now());
    let joined = joined.await.unwrap_or_else(|_| {
        Joined::refused(
            ResponseError::RebalanceInProgress,
            request.member_id.to_string(),
        )
    });
    let member = |(id, metadata): (String, Bytes)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_metadata(metadata)
    };
    JoinGroupResponse::default()
        .with_error_code(code(joined.error))
        .with_generation_id(joined.generation)
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member_id))
        .with_members(joined.members.into_iter().map(member).collect())
}

/// Waits for the leader's assignments.
pub(super) async fn sync_group(call: &Call<'_>, request: &SyncGroupRequest) -> SyncGroupResponse {
    let assignments = request
        .assignments
        .iter()
        .map(|each| (each.member_id.to_string(), each.assignment.clone()))
        .collect();
    let (group, member) = (request.group_id.as_str(), request.member_id.as_str());
    let synced = call.shared.groups.lock().sync(
        group,
        member,
        request.generation_id,
        assignments,
        Instant::now(),
    );
    match synced
        .await
        .unwrap_or(Err(ResponseError::RebalanceInProgress))
    {
        Ok(assignment) => SyncGroupResponse::default().with_assignment(assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}

pub(super) fn heartbeat(call: &Call<'_>, request: &HeartbeatRequest) -> HeartbeatResponse {
    let (group, member) = (request.group_id.as_str(), request.member_id.as_str());
    let heard =
        call.shared
            .groups
            .lock()
            .heartbeat(group, member, request.generation_id, Instant::now());
    HeartbeatResponse::default().with_error_code(code(heard.err()))
}

pub(super) fn leave_group(call: &Call<'_>, request: &LeaveGroupRequest) -> LeaveGroupResponse {
    let (group, member) = (request.group_id.as_str(), request.member_id.as_str());
    let left = call
        .shared
        .groups
        .lock()
        .leave(group, member, Instant::now());
    LeaveGroupResponse::default().with_error_code(code(left.err()))
}

pub(super) fn list_groups(call: &Call<'_>) -> ListGroupsResponse {
    let groups = call.shared.groups.lock();
    let listed = groups.iter().map(|(id, group)| {
        ListedGroup::default()
            .with_group_id(GroupId(text(id)))
            .with_protocol_type(text(group.protocol_type()))
    });
    ListGroupsResponse::default().with_groups(listed.collect())
}

pub(super) fn describe_groups(
    call: &Call<'_>,
    request: &DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let groups = call.shared.groups.lock();
    let described = request
        .groups
        .iter()
        .map(|id| match groups.get(id.as_str()) {
            Some(group) => describe(group).with_group_id(id.clone()),
            None => DescribedGroup::default()
                .with_group_id(id.clone())
                .with_group_state(text("Dead")),
        });
    DescribeGroupsResponse::default().with_groups(described.collect())
}

fn describe(group: &Group) -> DescribedGroup {
    let state = match group.phase() {
        Phase::Empty => "Empty",
        Phase::Joining => "PreparingRebalance",
        Phase::Syncing => "CompletingRebalance",
        Phase::Stable => "Stable",
    };
    let members = group.members().map(|(id, member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(member.metadata(group.protocol()))
            .with_member_assignment(member.assignment.clone())
    });
    DescribedGroup::default()
        .with_group_state(text(state))
        .with_protocol_type(text(group.protocol_type()))
        .with_protocol_data(text(group.protocol()))
        .with_members(members.collect())
}

pub(super) fn delete_groups(
    call: &Call<'_>,
    request: &DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut groups = call.shared.groups.lock();
    let results = request.groups_names.iter().map(|id| {
        let deleted = groups.delete(id.as_str());
        DeletableGroupResult::default()
            .with_group_id(id.clone())
            .with_error_code(code(deleted.err()))
    });
    let results = results.collect();
    drop(groups);
    call.shared.keep_commits();
    DeleteGroupsResponse::default().with_results(results)
}

/// A negative time is none.
fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
