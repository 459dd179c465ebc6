//! The disk of the state is full: nothing goes on, nothing is lost, and everything goes on when there is room.

use std::time::Instant;

use e2e::kafka::Broker;
use e2e::numbers::Numbers;
use e2e::postgres::Postgres;
use e2e::serve::Server;
use e2e::small_disk::SmallDisk;
use e2e::world::PATIENCE;
use tempfile::TempDir;

use super::everything;
use super::outputs::Outputs;

/// MiB of the disk.
const SIZE: u32 = 64;

pub(super) async fn waits_for_room() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let files = TempDir::new().unwrap();
    let disk = SmallDisk::mount(SIZE);
    let numbers = Numbers::start(broker.address());
    let mut server = Server::start(&disk);
    let outputs = Outputs::begin(&server, &broker, &postgres, files.path()).await;
    for round in 0..3 {
        outputs.all_work(&server).await;
        let records = stands_still(&disk, &server).await;
        if round == 1 {
            server.kill();
            // A checkpoint that did not fit may have been removed in between.
            disk.fill();
            let said = Server::try_start(&disk).map(drop).unwrap_err();
            assert!(said.contains("error[53100]: cannot "), "{said}");
            disk.empty();
            server = Server::start(&disk);
        } else {
            disk.empty();
        }
        let goes_on = format!("SELECT max(records) > {records} FROM total");
        server.await_value(&goes_on, "t").await;
    }
    everything(&server, numbers, &outputs).await;
}

/// Fills the disk until nothing goes on any more; gives the number of records that are shown.
async fn stands_still(disk: &SmallDisk, server: &Server) -> i64 {
    let waiting = "SELECT detail FROM clickmill.jobs WHERE name = 'total' AND state = 'waiting'";
    let begun = Instant::now();
    loop {
        // Checkpoints that are not needed any more make room.
        disk.fill();
        if let [row] = server.query(waiting).await.as_slice() {
            assert!(row[0].contains("No space left"), "{row:?}");
            let records = "SELECT max(records) FROM total";
            return server.value(records).await.parse().unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "a full disk is not noticed");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
