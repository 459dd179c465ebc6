//! clickmill ends at each of its failpoints, one start after the other, and nothing is lost or doubled.

use dataflow::failpoint::Failpoint;
use e2e::kafka::Broker;
use e2e::numbers::Numbers;
use e2e::postgres::Postgres;
use e2e::serve::{Server, StateAt};
use tempfile::TempDir;

use super::outputs::Outputs;
use super::{Follower, all_is_seen, everything};

/// What is asked for when the journal is to have a statement.
const STATEMENT: &str = "CREATE MATERIALIZED VIEW probe AS SELECT count(*) AS n FROM numbers";

/// Moments of files, which objects do not have: an object is there whole, or not at all.
pub(super) const OF_FILES: [Failpoint; 3] = [
    Failpoint::JournalHalfWritten,
    Failpoint::JournalRotated,
    Failpoint::FileHalfWritten,
];

/// `without` are those that do not come there.
pub(super) async fn ended_at_each(place: &(impl StateAt + ?Sized), without: &[Failpoint]) {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let files = TempDir::new().unwrap();
    let numbers = Numbers::start(broker.address());
    let mut server = Server::start(place);
    let outputs = Outputs::begin(&server, &broker, &postgres, files.path()).await;
    outputs.all_work(&server).await;
    server.kill();
    let mut follower = Follower::default();
    for (round, (point, name)) in Failpoint::ALL.into_iter().enumerate() {
        if point == Failpoint::SavepointTaken || without.contains(&point) {
            // That of savepoints is of another kind of start, and has its own test.
            continue;
        }
        // Some come once in a start.
        let comes_once = name.starts_with("recovery.")
            || name.starts_with("folder.")
            || name.contains("statement");
        let times = if comes_once { 1 } else { 1 + round % 3 };
        let started = Server::start_to_end_at(place, &format!("{name}:{times}"), &[]);
        let said = match started {
            Err(said) => said,
            Ok(mut server) => {
                let following = tokio::spawn(follower.follow(server.port));
                if point == Failpoint::StatementSynced {
                    server.send(STATEMENT).await;
                }
                // It may have come to it before it listened, and have told both before its end.
                let all = move || server.said.clone() + &server.failed();
                let said = tokio::task::spawn_blocking(all).await.unwrap();
                follower = following.await.unwrap();
                said
            }
        };
        let expected = format!("failpoint {point:?}");
        assert!(said.contains(&expected), "{name}:{times}\n{said}");
    }
    server = Server::start(place);
    let sent = everything(&server, numbers, &outputs).await;
    // Nobody was told that the statement was carried out, and the journal has it.
    server.await_value("SELECT n >= 0 FROM probe", "t").await;
    all_is_seen(server, follower, sent).await;
}
