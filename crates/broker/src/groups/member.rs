//! A member of a consumer group, how it asks to join, and what it is told.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Bytes of a member's metadata, of all its protocols together, and of its assignment.
pub(crate) const MAX_METADATA_BYTES: usize = 1 << 20;
/// The longest session and the longest rebalance.
const MAX_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A request to join a group.
pub(crate) struct Join {
    /// Empty when the client has none yet.
    pub(crate) member_id: String,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) protocol_type: String,
    /// Assignment protocols in the order of preference, each with the member's metadata.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    /// Whether a client without an id has to ask again with the one it is given.
    pub(crate) must_know_its_id: bool,
}

/// The answer to a join.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) error: Option<ResponseError>,
    pub(crate) generation: i32,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// For the leader: all members and their metadata.
    pub(crate) members: Vec<(String, Bytes)>,
}

/// The answer to a sync: the member's assignment.
pub(crate) type Synced = Result<Bytes, ResponseError>;

/// A member that is in a group.
pub(crate) struct Member {
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) assignment: Bytes,
    pub(super) heard: Instant,
    pub(super) joining: Option<oneshot::Sender<Joined>>,
    pub(super) syncing: Option<oneshot::Sender<Synced>>,
}

impl Join {
    /// Whether the request makes sense by itself.
    pub(super) fn check(&self) -> Result<(), ResponseError> {
        if self.session_timeout.is_zero() || self.session_timeout > MAX_TIMEOUT {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        if self.protocol_type.is_empty() || self.protocols.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let bytes: usize = self
            .protocols
            .iter()
            .map(|(name, metadata)| name.len() + metadata.len())
            .sum();
        if bytes > MAX_METADATA_BYTES {
            return Err(ResponseError::InvalidRequest);
        }
        Ok(())
    }
}

impl Joined {
    pub(crate) fn refused(error: ResponseError, member_id: String) -> Self {
        let (protocol, leader) = (String::new(), String::new());
        Self {
            error: Some(error),
            generation: -1,
            protocol,
            leader,
            member_id,
            members: Vec::new(),
        }
    }
}

impl Member {
    pub(super) fn new(join: Join, now: Instant) -> Self {
        Self {
            client_id: join.client_id,
            client_host: join.client_host,
            protocols: join.protocols,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout.min(MAX_TIMEOUT),
            assignment: Bytes::new(),
            heard: now,
            joining: None,
            syncing: None,
        }
    }

    /// Takes over what a member says when it joins again.
    pub(super) fn update(&mut self, join: Join, now: Instant) {
        *self = Self {
            assignment: std::mem::take(&mut self.assignment),
            ..Self::new(join, now)
        };
    }

    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// What it said for one of its protocols.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, bytes)| bytes.clone())
            .unwrap_or_default()
    }

    /// Whether it has not been heard of for longer than its session, or hung up while it waited.
    pub(super) fn is_gone(&self, now: Instant) -> bool {
        match (&self.joining, &self.syncing) {
            (Some(reply), _) => reply.is_closed(),
            (None, Some(reply)) => reply.is_closed(),
            (None, None) => now.duration_since(self.heard) > self.session_timeout,
        }
    }
}
