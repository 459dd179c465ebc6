//! Every request at every version advertised: it is understood, and its answers can be encoded, good and bad ones.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use crate::support::{Running, Wire};
use crate::wire::{ask_versions, batch, produce_request};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

pub(crate) fn fetch_request(name: &str, offset: i64, version: i16) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let wanted = FetchTopic::default()
        .with_topic(topic(name))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_min_bytes(0)
        .with_topics(vec![wanted]);
    if version < 7 {
        return request;
    }
    let forgotten = ForgottenTopic::default()
        .with_topic(topic("gone"))
        .with_partitions(vec![1, 2]);
    request.with_forgotten_topics_data(vec![forgotten])
}

fn join_request(name: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"wishes"));
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol.clone(), protocol.with_name(text("other"))])
}

fn sync_request(name: &str, member: &str, generation: i32) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(text(member))
        .with_assignment(Bytes::from_static(b"all of them"));
    SyncGroupRequest::default()
        .with_group_id(group(name))
        .with_member_id(text(member))
        .with_generation_id(generation)
        .with_assignments(vec![assignment])
}

fn commit_request(name: &str, wanted: &str) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(5)
        .with_committed_metadata(Some(text("note")));
    let offsets = OffsetCommitRequestTopic::default()
        .with_name(topic(wanted))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group(name))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![offsets])
}

fn list_offsets(name: &str, timestamp: i64) -> RequestKind {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
    let wanted = ListOffsetsTopic::default()
        .with_name(topic(name))
        .with_partitions(vec![partition]);
    RequestKind::ListOffsets(
        ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![wanted]),
    )
}

fn creations() -> Vec<CreatableTopic> {
    let plain = |name| {
        CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(1)
            .with_replication_factor(1)
    };
    let config = CreatableTopicConfig::default()
        .with_name(text("cleanup.policy"))
        .with_value(Some(text("compact")));
    let assignment =
        CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
    vec![
        plain("new"),
        plain("raw"),
        plain("no/name"),
        plain("configured").with_configs(vec![config]),
        plain("assigned").with_assignments(vec![assignment]),
    ]
}

fn metadata(version: i16) -> Vec<RequestKind> {
    let asked = |name| MetadataRequestTopic::default().with_name(Some(topic(name)));
    let some = MetadataRequest::default().with_topics(Some(vec![
        asked("raw"),
        asked("missing"),
        asked("no/name"),
    ]));
    let all =
        MetadataRequest::default().with_topics(if version == 0 { Some(Vec::new()) } else { None });
    vec![RequestKind::Metadata(some), RequestKind::Metadata(all)]
}

fn describe_configs() -> RequestKind {
    let resource = |kind, name, keys| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys)
    };
    RequestKind::DescribeConfigs(DescribeConfigsRequest::default().with_resources(vec![
        resource(2, "raw", None),
        resource(2, "raw", Some(vec![text("retention.ms")])),
        resource(2, "missing", None),
        resource(4, "1", None),
        resource(8, "1", None),
    ]))
}

fn transactional(key: ApiKey) -> RequestKind {
    let id = TransactionalId(text("bank"));
    match key {
        ApiKey::AddPartitionsToTxn => {
            let wanted = AddPartitionsToTxnTopic::default()
                .with_name(topic("raw"))
                .with_partitions(vec![0, 1]);
            RequestKind::AddPartitionsToTxn(
                AddPartitionsToTxnRequest::default()
                    .with_v3_and_below_transactional_id(id)
                    .with_v3_and_below_topics(vec![wanted]),
            )
        }
        ApiKey::AddOffsetsToTxn => RequestKind::AddOffsetsToTxn(
            AddOffsetsToTxnRequest::default()
                .with_transactional_id(id)
                .with_group_id(group("g")),
        ),
        ApiKey::EndTxn => RequestKind::EndTxn(EndTxnRequest::default().with_transactional_id(id)),
        _ => {
            let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(1);
            let offsets = TxnOffsetCommitRequestTopic::default()
                .with_name(topic("raw"))
                .with_partitions(vec![partition]);
            let request = TxnOffsetCommitRequest::default()
                .with_transactional_id(id)
                .with_group_id(group("g"));
            RequestKind::TxnOffsetCommit(request.with_topics(vec![offsets]))
        }
    }
}

/// Requests that are answered well, and requests that are refused.
fn requests(key: ApiKey, version: i16) -> Vec<RequestKind> {
    let no_one = |name: &str| format!("no one in {name}");
    match key {
        ApiKey::Produce => vec![
            RequestKind::Produce(produce_request("raw", batch(2, None))),
            RequestKind::Produce(produce_request("missing", batch(2, None))),
            RequestKind::Produce(
                produce_request("raw", batch(2, None))
                    .with_transactional_id(Some(TransactionalId(text("bank")))),
            ),
        ],
        ApiKey::Fetch => [("raw", 0), ("raw", 999), ("missing", 0)]
            .into_iter()
            .flat_map(|(name, offset)| {
                let request = fetch_request(name, offset, version);
                [
                    RequestKind::Fetch(request.clone()),
                    RequestKind::Fetch(request.with_isolation_level(1)),
                ]
            })
            .collect(),
        ApiKey::ListOffsets => vec![
            list_offsets("raw", -1),
            list_offsets("raw", -2),
            list_offsets("raw", 1_000),
            list_offsets("raw", i64::MAX),
            list_offsets("raw", -9),
            list_offsets("missing", -1),
        ],
        ApiKey::Metadata => metadata(version),
        ApiKey::OffsetCommit => vec![
            RequestKind::OffsetCommit(commit_request("by-hand", "raw")),
            RequestKind::OffsetCommit(commit_request("by-hand", "missing")),
            RequestKind::OffsetCommit(
                commit_request("by-hand", "raw").with_member_id(text(&no_one("by-hand"))),
            ),
        ],
        ApiKey::OffsetFetch => {
            let wanted = OffsetFetchRequestTopic::default()
                .with_name(topic("raw"))
                .with_partition_indexes(vec![0, 7]);
            let some = OffsetFetchRequest::default()
                .with_group_id(group("by-hand"))
                .with_topics(Some(vec![wanted]));
            let all = some
                .clone()
                .with_topics(if version < 2 { Some(Vec::new()) } else { None });
            vec![
                RequestKind::OffsetFetch(some),
                RequestKind::OffsetFetch(all),
            ]
        }
        ApiKey::FindCoordinator => {
            let request = FindCoordinatorRequest::default().with_key(text("by-hand"));
            let transaction = request.clone().with_key_type(i8::from(version > 0));
            vec![
                RequestKind::FindCoordinator(request),
                RequestKind::FindCoordinator(transaction),
            ]
        }
        ApiKey::JoinGroup => vec![
            RequestKind::JoinGroup(join_request(&format!("joined-{version}"), "")),
            RequestKind::JoinGroup(join_request("joined", "no one")),
        ],
        ApiKey::Heartbeat => vec![RequestKind::Heartbeat(
            HeartbeatRequest::default().with_group_id(group("none")),
        )],
        ApiKey::LeaveGroup => vec![RequestKind::LeaveGroup(
            LeaveGroupRequest::default().with_group_id(group("none")),
        )],
        ApiKey::SyncGroup => vec![RequestKind::SyncGroup(sync_request("none", "no one", 1))],
        ApiKey::DescribeGroups => vec![RequestKind::DescribeGroups(
            DescribeGroupsRequest::default().with_groups(vec![
                group("members"),
                group("by-hand"),
                group("none"),
            ]),
        )],
        ApiKey::ListGroups => vec![RequestKind::ListGroups(ListGroupsRequest::default())],
        ApiKey::DeleteGroups => vec![RequestKind::DeleteGroups(
            DeleteGroupsRequest::default().with_groups_names(vec![group("members"), group("none")]),
        )],
        ApiKey::ApiVersions => vec![RequestKind::ApiVersions(ApiVersionsRequest::default())],
        ApiKey::CreateTopics => {
            vec![RequestKind::CreateTopics(
                CreateTopicsRequest::default().with_topics(creations()),
            )]
        }
        ApiKey::DeleteTopics => vec![RequestKind::DeleteTopics(
            DeleteTopicsRequest::default().with_topic_names(vec![topic("new"), topic("missing")]),
        )],
        ApiKey::DescribeConfigs => vec![describe_configs()],
        ApiKey::DescribeCluster => vec![RequestKind::DescribeCluster(
            DescribeClusterRequest::default(),
        )],
        ApiKey::InitProducerId => vec![
            RequestKind::InitProducerId(
                InitProducerIdRequest::default().with_transactional_id(None),
            ),
            RequestKind::InitProducerId(
                InitProducerIdRequest::default()
                    .with_transactional_id(Some(TransactionalId(text("bank")))),
            ),
        ],
        ApiKey::AddPartitionsToTxn
        | ApiKey::AddOffsetsToTxn
        | ApiKey::EndTxn
        | ApiKey::TxnOffsetCommit => {
            vec![transactional(key)]
        }
        other => panic!("{other:?} is advertised and not tested"),
    }
}

/// All of them, at all versions that can be encoded.
pub(crate) fn every_request(versions: &[(i16, i16, i16)]) -> Vec<(ApiKey, i16, RequestKind)> {
    let mut all = Vec::new();
    for (key, min, max) in versions {
        let key = ApiKey::try_from(*key).unwrap();
        // Produce is advertised from 0 for the sake of old clients, and answered from 3.
        for version in (*min).max(key.valid_versions().min)..=*max {
            all.extend(
                requests(key, version)
                    .into_iter()
                    .map(|request| (key, version, request)),
            );
        }
    }
    all
}

/// Joins a group of its own, twice where the version wants that.
fn join(wire: &mut Wire, name: &str, version: i16) -> (String, i32) {
    let mut request = join_request(name, "");
    if version == 0 {
        request.rebalance_timeout_ms = -1;
    }
    let ResponseKind::JoinGroup(mut joined) = wire.call(
        ApiKey::JoinGroup,
        version,
        &RequestKind::JoinGroup(request.clone()),
    ) else {
        panic!("no join")
    };
    if version >= 4 {
        assert_eq!(joined.error_code, ResponseError::MemberIdRequired.code());
        let again = RequestKind::JoinGroup(request.with_member_id(joined.member_id.clone()));
        let ResponseKind::JoinGroup(second) = wire.call(ApiKey::JoinGroup, version, &again) else {
            panic!("no join")
        };
        joined = second;
    }
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.members[0].metadata, Bytes::from_static(b"wishes"));
    assert_eq!(joined.leader, joined.member_id);
    (joined.member_id.to_string(), joined.generation_id)
}

#[test]
fn every_advertised_version_of_every_request_is_answered() {
    let running = Running::new();
    running.topic("raw", 1);
    let mut wire = running.wire();
    let versions = ask_versions(&mut wire);
    assert_eq!(versions.len(), 24);
    let mut answered = 0;
    join(&mut wire, "members", 4);
    for (key, version, request) in every_request(&versions) {
        wire.call(key, version, &request);
        answered += 1;
    }
    assert!(answered > 150, "{answered}");
    running.stop();
}

#[test]
fn a_member_lives_through_every_version() {
    let running = Running::new();
    running.topic("raw", 1);
    let mut wire = running.wire();
    for version in 0..=4 {
        let name = format!("alive-{version}");
        let later = version.min(2);
        let (member, generation) = join(&mut wire, &name, version);
        let sync = RequestKind::SyncGroup(sync_request(&name, &member, generation));
        let ResponseKind::SyncGroup(synced) = wire.call(ApiKey::SyncGroup, later, &sync) else {
            panic!("no sync")
        };
        assert_eq!(
            (synced.error_code, synced.assignment),
            (0, Bytes::from_static(b"all of them"))
        );
        let beat = HeartbeatRequest::default()
            .with_group_id(group(&name))
            .with_member_id(text(&member))
            .with_generation_id(generation);
        let ResponseKind::Heartbeat(heard) =
            wire.call(ApiKey::Heartbeat, later, &RequestKind::Heartbeat(beat))
        else {
            panic!("no heartbeat")
        };
        assert_eq!(heard.error_code, 0);
        let commit = commit_request(&name, "raw")
            .with_member_id(text(&member))
            .with_generation_id_or_member_epoch(generation);
        let commit = RequestKind::OffsetCommit(commit);
        let ResponseKind::OffsetCommit(committed) =
            wire.call(ApiKey::OffsetCommit, version + 2, &commit)
        else {
            panic!("no commit")
        };
        assert_eq!(committed.topics[0].partitions[0].error_code, 0);
        let describe = RequestKind::DescribeGroups(
            DescribeGroupsRequest::default().with_groups(vec![group(&name)]),
        );
        let ResponseKind::DescribeGroups(described) =
            wire.call(ApiKey::DescribeGroups, version.min(3), &describe)
        else {
            panic!("no description")
        };
        assert_eq!(described.groups[0].group_state.as_str(), "Stable");
        assert_eq!(described.groups[0].members[0].client_id.as_str(), "by hand");
        let leave = LeaveGroupRequest::default()
            .with_group_id(group(&name))
            .with_member_id(text(&member));
        let leave = RequestKind::LeaveGroup(leave);
        let ResponseKind::LeaveGroup(left) = wire.call(ApiKey::LeaveGroup, later, &leave) else {
            panic!("no leave")
        };
        assert_eq!(left.error_code, 0);
        let delete = DeleteGroupsRequest::default().with_groups_names(vec![group(&name)]);
        let delete = RequestKind::DeleteGroups(delete);
        let ResponseKind::DeleteGroups(deleted) = wire.call(ApiKey::DeleteGroups, 1, &delete)
        else {
            panic!("no deletion")
        };
        assert_eq!(deleted.results[0].error_code, 0);
    }
    running.stop();
}

#[test]
fn settings_are_described_by_resource() {
    let running = Running::new();
    running.topic("raw", 1);
    let mut wire = running.wire();
    let ResponseKind::DescribeConfigs(described) =
        wire.call(ApiKey::DescribeConfigs, 3, &describe_configs())
    else {
        panic!("no settings")
    };
    let results: Vec<_> = described
        .results
        .iter()
        .map(|result| {
            (
                ResponseError::try_from_code(result.error_code),
                result.configs.len(),
            )
        })
        .collect();
    let missing = Some(ResponseError::UnknownTopicOrPartition);
    assert_eq!(
        results,
        [
            (None, 6),
            (None, 1),
            (missing, 0),
            (None, 6),
            (Some(ResponseError::InvalidRequest), 0)
        ]
    );
}
