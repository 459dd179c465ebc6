//! Everything that is done to a folder of state, cut off after each step: what is left starts, with all that was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use database::Database;
use durable::DiskChange;
use e2e::disk::{Disk, Left};
use e2e::tools::long;
use e2e::world::{Answer, Client, PATIENCE, start_synced};
use tempfile::TempDir;

/// How many rows are inserted.
const ROWS: i64 = 60;

/// What was acknowledged after so many changes of the disk.
type Acknowledged = BTreeMap<usize, i64>;

pub(super) async fn cut_off_anywhere() {
    let folder = TempDir::new().unwrap();
    let watched = durable::watch(folder.path());
    let mut changes: Vec<DiskChange> = Vec::new();
    let mut acknowledged = Acknowledged::new();
    let mut database = start_synced(folder.path()).unwrap();
    let mut client = Client::of(&database);
    let made = "CREATE TABLE t (n BIGINT); CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n, sum(n) AS sum FROM t";
    client.run(made).await.unwrap();
    changes.extend(watched.try_iter());
    acknowledged.insert(changes.len(), 0);
    for n in 0..ROWS {
        client
            .run(&format!("INSERT INTO t VALUES ({n})"))
            .await
            .unwrap();
        changes.extend(watched.try_iter());
        acknowledged.insert(changes.len(), n + 1);
        match n % 20 {
            5 => drop(client.run(&format!("CREATE SAVEPOINT s{n}")).await.unwrap()),
            12 => drop(
                client
                    .run(&format!("DROP SAVEPOINT s{}", n - 7))
                    .await
                    .unwrap(),
            ),
            // Until checkpoints have been made and removed.
            8 => await_checkpoint(&mut client).await,
            15 => {
                database.shutdown();
                drop((client, database));
                database = start_synced(folder.path()).unwrap();
                client = Client::of(&database);
            }
            _ => {}
        }
    }
    database.shutdown();
    drop((client, database));
    changes.extend(watched.try_iter());
    let removed = |change: &&DiskChange| matches!(change, DiskChange::Remove(path) if path.to_string_lossy().ends_with(".state"));
    assert!(
        changes.iter().filter(removed).count() > 3,
        "checkpoints were not removed"
    );
    check_all(folder.path(), &changes, &acknowledged).await;
}

async fn await_checkpoint(client: &mut Client) {
    let done = "SELECT max(id) FROM clickmill.checkpoints WHERE status = 'done'";
    let (before, begun) = (one(client, done).await, Instant::now());
    while one(client, done).await == before {
        assert!(begun.elapsed() < PATIENCE, "no checkpoint is made");
        client
            .run("INSERT INTO t SELECT n FROM t WHERE false")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn one(client: &mut Client, query: &str) -> Vec<Option<String>> {
    match client.run(query).await.unwrap() {
        Answer::Rows { rows, .. } => rows.into_iter().next().unwrap_or_default(),
        other => panic!("{query} gives {other:?}"),
    }
}

/// Cuts off after each change, in each way; without `--long` the ways that differ little take turns.
async fn check_all(folder: &Path, changes: &[DiskChange], acknowledged: &Acknowledged) {
    let mut disk = Disk::default();
    let mut checked = 0;
    for at in 0..=changes.len() {
        let last = at.checked_sub(1).map(|before| &changes[before]);
        if let Some(change) = last {
            disk.apply(change);
        }
        for (turn, left) in Left::ALL.into_iter().enumerate() {
            if long() || left == Left::Sure || at % Left::ALL.len() == turn {
                let scratch = TempDir::new().unwrap();
                disk.leave(left, last, folder, scratch.path());
                check(scratch.path(), acknowledged, at, (left, last)).await;
                checked += 1;
            }
        }
    }
    println!(
        "{} changes of the disk, {checked} disks started",
        changes.len()
    );
}

/// What is left starts, and has everything that was acknowledged by then, and nothing that was not asked for.
async fn check(
    folder: &Path,
    acknowledged: &Acknowledged,
    at: usize,
    what: (Left, Option<&DiskChange>),
) {
    let database = start_synced(folder).unwrap_or_else(|error| panic!("{at} {what:?}: {error}"));
    let newest = acknowledged.range(..=at).next_back();
    let rows = rows(&database).await;
    database.shutdown();
    let Some(rows) = rows else {
        assert!(newest.is_none(), "{at} {what:?}: the table is gone");
        return;
    };
    let least = newest.map_or(0, |(_, rows)| *rows);
    assert!(
        (least..=least + 1).contains(&rows),
        "{at} {what:?}: {rows} rows and {least} acknowledged"
    );
}

/// How many rows there are, in the table and in the view alike: the first ones; `None` without the table.
async fn rows(database: &Database) -> Option<i64> {
    let mut client = Client::of(database);
    if one(
        &mut client,
        "SELECT count(*) FROM information_schema.tables WHERE table_name = 't'",
    )
    .await
        != [Some("1".to_owned())]
    {
        return None;
    }
    let query = "SELECT count(*), coalesce(sum(n), 0), coalesce(max(n), -1), (SELECT n FROM v), (SELECT coalesce(sum, 0) FROM v) FROM t";
    let row = one(&mut client, query).await;
    let numbers: Vec<i64> = row
        .iter()
        .map(|n| n.as_deref().unwrap_or("0").parse().unwrap())
        .collect();
    let n = numbers[0];
    assert_eq!(numbers, [n, n * (n - 1) / 2, n - 1, n, n * (n - 1) / 2]);
    Some(n)
}
