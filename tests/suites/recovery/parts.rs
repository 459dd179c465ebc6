//! What does not change from one checkpoint to the next is written once, and read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::serve::Server;
use e2e::world::PATIENCE;
use tempfile::TempDir;

use super::damage;

const ROWS: &str = "200000";

/// The files of parts, the largest first.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("checkpoints")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "parts"));
    files.sort_by_key(|file| std::cmp::Reverse(fs::metadata(file).unwrap().len()));
    files
}

/// The numbers and bytes of checkpoints that are done.
async fn done(server: &Server) -> Vec<(i64, i64)> {
    let done = "SELECT id, bytes FROM clickmill.checkpoints WHERE status = 'done' ORDER BY id";
    let rows = server.query(done).await;
    let number = |text: &String| text.parse().unwrap();
    rows.iter()
        .map(|row| (number(&row[0]), number(&row[1])))
        .collect()
}

/// Changes a little until there are so many more checkpoints; gives the bytes of the newest.
async fn after(server: &Server, more: usize) -> i64 {
    for _ in 0..more {
        let before = done(server).await.len();
        let begun = Instant::now();
        while done(server).await.len() == before {
            assert!(begun.elapsed() < PATIENCE, "no checkpoint is made");
            // Time goes on with what happens.
            server.query("INSERT INTO t VALUES (1)").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    done(server).await.last().unwrap().1
}

pub(super) async fn written_once() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    let statements = format!(
        "CREATE TABLE t (n INT);
         CREATE SOURCE clicks (user_id TEXT FROM 'userId', page TEXT FROM 'pageUrl')
           WITH (connector = 'generator', number_of_rows = {ROWS}, rows_per_second = 1000000, start_time = '2026-01-01T00:00:00Z', seed = 7);
         CREATE MATERIALIZED VIEW every AS SELECT user_id, page FROM clicks;
         CREATE MATERIALIZED VIEW renamed AS SELECT page AS p, user_id AS u FROM every;"
    );
    server.query(&statements).await;
    let read = "SELECT sum(records) FROM clickmill.sources";
    server.await_value(read, ROWS).await;
    // Its rows share the buffers of the other's.
    let all = "SELECT count(*), count(DISTINCT user_id), min(page), max(page),
                 (SELECT count(DISTINCT u) || min(p) || max(p) FROM renamed) FROM every";
    let rows = server.query(all).await;
    after(&server, 2).await;
    let whole = fs::metadata(&parts(folder.path())[0]).unwrap().len();
    let whole = i64::try_from(whole).unwrap();
    // Runs of rows are merged for a while.
    let bytes = after(&server, 8).await;
    assert!(whole > 500_000 && bytes * 10 < whole, "{bytes} of {whole}");
    // What is in many files stays readable, also by the next process, and old files go.
    let bytes = after(&server, 20).await;
    assert!(bytes * 10 < whole, "{bytes} of {whole}");
    let files = parts(folder.path()).len();
    assert!(files <= 20, "{files} files of parts");
    server.kill();
    server = Server::start(folder.path());
    assert_eq!(server.query(all).await, rows);
    after(&server, 4).await;
    server.kill();
    server = Server::start(folder.path());
    assert_eq!(server.query(all).await, rows);
    // A savepoint has everything itself.
    server.query("CREATE SAVEPOINT whole").await;
    let size = "SELECT bytes FROM clickmill.savepoints";
    let size: i64 = server.value(size).await.parse().unwrap();
    assert!(size > 500_000, "{size} bytes");
    after(&server, 4).await;
    server.kill();
    let other = TempDir::new().unwrap();
    let savepoint = folder.path().join("savepoints/whole.savepoint");
    let from = ["--from-savepoint", savepoint.to_str().unwrap()];
    let copy = Server::try_start_with(other.path(), &from).unwrap();
    assert_eq!(copy.query(all).await, rows);
    // Damage to a part is found before anything is shown.
    damage(&parts(folder.path())[0]);
    let said = Server::try_start(folder.path()).map(drop).unwrap_err();
    assert!(
        said.contains("parts is damaged") && said.contains("no checkpoint to go on from"),
        "{said}"
    );
}
