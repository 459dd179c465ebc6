//! The program killed with `kill -9` and started again on its folder of state, while records come from a real Apache Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use e2e::kafka::{Broker, consumed};
use e2e::numbers::{Numbers, PARTITIONS, STEP_MS, TOPIC};
use e2e::postgres::Postgres;
use e2e::serve::{Server, StateAt};
use e2e::tools::{long, trial};
use e2e::world::{PATIENCE, block_on};
use futures::{StreamExt, pin_mut};
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio_postgres::{NoTls, SimpleQueryMessage};

mod failpoints;
mod full_disk;
mod gaps;
mod objects;
mod outputs;
mod parts;
mod replace;
mod savepoints;
mod writes;

use outputs::Outputs;

const PROGRAMS: &[&str] = &["java", "mvn", "kcat"];
const OBJECTS: &[&str] = &["java", "mvn", "kcat", "python3"];
/// Event time of a window, in milliseconds.
const WINDOW_MS: i64 = 10_000;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "recovery::killed_again_and_again_nothing_is_lost_or_doubled",
            PROGRAMS,
            || block_on(killed_again_and_again(TempDir::new().unwrap().path())),
        ),
        trial(
            "recovery::targets_are_killed_and_come_back",
            PROGRAMS,
            || block_on(targets_are_killed()),
        ),
        trial(
            "recovery::who_stood_still_too_long_is_taken_over_and_commits_nothing",
            PROGRAMS,
            || block_on(taken_over(TempDir::new().unwrap().path())),
        ),
        trial(
            "recovery::dead_letters_are_the_bytes_that_came_once",
            PROGRAMS,
            || block_on(dead_letters()),
        ),
        trial(
            "recovery::a_damaged_checkpoint_is_named_and_the_one_before_it_taken",
            &[],
            || block_on(damaged_checkpoints()),
        ),
        trial(
            "recovery::ended_at_each_failpoint_nothing_is_lost_or_doubled",
            PROGRAMS,
            || {
                block_on(failpoints::ended_at_each(
                    TempDir::new().unwrap().path(),
                    &[],
                ))
            },
        ),
        trial(
            "recovery::a_new_folder_begins_with_a_savepoint",
            PROGRAMS,
            || block_on(savepoints::begin_with_one()),
        ),
        trial(
            "recovery::what_does_not_change_is_written_once",
            &[],
            || block_on(parts::written_once()),
        ),
        trial(
            "recovery::records_deleted_unread_are_skipped_and_told_or_fail_the_views",
            PROGRAMS,
            || block_on(gaps::deleted_before_they_were_read()),
        ),
        trial(
            "recovery::a_full_disk_is_waited_for",
            &["java", "mvn", "kcat", "unshare", "nsenter"],
            || block_on(full_disk::waits_for_room()),
        ),
        trial(
            "recovery::a_view_with_another_query_keeps_its_state",
            &[],
            || block_on(replace::keeps_state()),
        ),
        trial(
            "recovery::what_a_loss_of_power_leaves_is_what_was_acknowledged",
            &[],
            || block_on(writes::cut_off_anywhere()),
        ),
        trial(
            "recovery::what_cannot_be_read_again_is_in_the_journal",
            &[],
            || block_on(socket()),
        ),
        trial(
            "recovery::in_an_object_store_nothing_is_lost_or_doubled",
            OBJECTS,
            || block_on(objects::killed_again_and_again()),
        ),
        trial(
            "recovery::in_an_object_store_who_stood_still_commits_nothing",
            OBJECTS,
            || block_on(objects::taken_over()),
        ),
        trial(
            "recovery::in_an_object_store_ended_at_each_failpoint",
            OBJECTS,
            || block_on(objects::ended_at_each_failpoint()),
        ),
        trial(
            "recovery::an_object_store_that_does_not_answer_is_waited_for",
            &["python3"],
            || block_on(objects::store_away()),
        ),
        trial(
            "recovery::in_an_object_store_a_savepoint_is_kept",
            &["python3"],
            || block_on(objects::savepoints()),
        ),
        trial("recovery::a_folder_has_one_owner", &[], || {
            block_on(one_owner())
        }),
        trial(
            "recovery::an_orderly_end_leaves_nothing_to_run_again",
            &[],
            || block_on(orderly_end()),
        ),
    ]
}

/// A client of a SUBSCRIBE that goes on, whenever it is cut off, after the last version of which it had everything.
#[derive(Default)]
struct Follower {
    token: i64,
    /// How often each number is there.
    numbers: BTreeMap<i64, i64>,
    /// How many numbers there are.
    seen: Arc<AtomicI64>,
}

impl Follower {
    /// Follows until the server is gone.
    async fn follow(mut self, port: u16) -> Self {
        let config = format!("host=127.0.0.1 port={port} user=test dbname=test");
        // It may be killed before anybody has connected.
        let Ok((client, connection)) = tokio_postgres::connect(&config, NoTls).await else {
            return self;
        };
        tokio::spawn(connection);
        let text = match self.token {
            0 => "SUBSCRIBE every WITH (progress)".to_owned(),
            token => {
                format!("SUBSCRIBE every WITH (snapshot = false, progress) AS OF {token}")
            }
        };
        let stream = client.simple_query_raw(&text).await;
        let Ok(stream) = stream else {
            return self;
        };
        pin_mut!(stream);
        // What came of a version that is not complete counts for nothing.
        let mut open = Vec::new();
        while let Some(message) = stream.next().await {
            let row = match message {
                Ok(SimpleQueryMessage::Row(row)) => row,
                Ok(_) => continue,
                Err(error) => {
                    assert!(error.as_db_error().is_none(), "{text}: {error:?}");
                    break;
                }
            };
            let number = |column: &str| -> i64 { row.get(column).unwrap().parse().unwrap() };
            if row.get("clickmill_progressed") == Some("t") {
                self.token = number("clickmill_version");
                for (n, diff) in open.drain(..) {
                    *self.numbers.entry(n).or_default() += diff;
                }
                let seen = i64::try_from(self.numbers.len()).unwrap();
                self.seen.store(seen, Ordering::Relaxed);
            } else {
                open.push((number("n"), number("clickmill_diff")));
            }
        }
        self
    }

    /// Every number came once.
    fn check(&self, sent: i64) {
        let wrong = self.numbers.iter().filter(|(_, count)| **count != 1);
        let wrong: Vec<_> = wrong.take(10).collect();
        assert!(
            wrong.is_empty(),
            "a subscriber has numbers so often: {wrong:?}"
        );
        let numbers: Vec<i64> = self.numbers.keys().copied().collect();
        let expected: Vec<i64> = (-i64::from(PARTITIONS)..sent).collect();
        assert!(numbers == expected, "a subscriber lacks numbers of {sent}");
    }
}

fn statements(brokers: &str) -> String {
    format!(
        "CREATE SOURCE numbers (n BIGINT, \"user\" TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL '1 second')
         WITH (connector = 'kafka', topic = '{TOPIC}', brokers = '{brokers}') FORMAT PLAIN ENCODE JSON;
         CREATE MATERIALIZED VIEW every AS SELECT n, ts FROM numbers;
         CREATE MATERIALIZED VIEW total AS SELECT count(*) AS records, sum(n) AS sum FROM numbers WHERE n >= 0;
         CREATE MATERIALIZED VIEW users WITH (unbounded_state = true) AS
           SELECT \"user\", count(*) AS records FROM numbers WHERE n >= 0 GROUP BY \"user\";
         CREATE MATERIALIZED VIEW windows AS
           SELECT window_start, window_time, count(*) AS records, sum(n) AS sum, count(DISTINCT \"user\") AS users
           FROM TUMBLE(numbers, ts, INTERVAL '10 seconds') WHERE n >= 0 GROUP BY window_start, window_end, window_time;
         CREATE MATERIALIZED VIEW firsts AS
           SELECT window_start, sum(records) AS records
           FROM TUMBLE(windows, window_time, INTERVAL '1 minute') GROUP BY window_start, window_end;"
    )
}

async fn killed_again_and_again(place: &(impl StateAt + ?Sized)) {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let numbers = Numbers::start(broker.address());
    let mut server = Server::start(place);
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let files = TempDir::new().unwrap();
    let outputs = Outputs::begin(&server, &broker, &postgres, files.path()).await;
    let kills = if long() { 1000 } else { 25 };
    let mut seen = BTreeSet::new();
    let mut moment: u64 = 20_260_101;
    let mut records: i64 = 0;
    let mut follower = Follower::default();
    let mut killed: BTreeMap<String, i32> = BTreeMap::new();
    for round in 0..kills {
        let following = tokio::spawn(follower.follow(server.port));
        // The moment of the kill is a matter of chance; until then everything that was seen must stay.
        moment = moment
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // Every third time one of the sinks has the time to write something; the others find them on their way.
        let begun = Instant::now();
        let until = begun + Duration::from_millis(20 + (moment >> 33) % 700);
        let names = outputs.names();
        let waited_for = (round % 3 == 2).then(|| names[(round / 3) % names.len()]);
        let mut wrote = BTreeSet::new();
        loop {
            let windows: BTreeSet<Vec<String>> = server
                .query("SELECT * FROM windows")
                .await
                .into_iter()
                .collect();
            let jobs = server
                .query("SELECT name, state, detail FROM clickmill.jobs")
                .await;
            let lost: Vec<_> = seen.difference(&windows).collect();
            assert!(
                lost.is_empty(),
                "after {round} kills these rows are gone: {lost:?}, {jobs:?}"
            );
            seen = windows;
            let now: i64 = server
                .value("SELECT coalesce(max(records), 0) FROM total")
                .await
                .parse()
                .unwrap();
            assert!(
                now >= records,
                "after {round} kills there are {now} records, and were {records}"
            );
            records = now;
            wrote.extend(outputs.writing(&server).await);
            let has_come = waited_for.is_none_or(|sink| wrote.contains(sink));
            if Instant::now() >= until && has_come {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{waited_for:?} does not write");
        }
        server.kill();
        wrote
            .into_iter()
            .for_each(|sink| *killed.entry(sink).or_insert(0) += 1);
        follower = following.await.unwrap();
        server = Server::start(place);
    }
    println!("kills behind the first commit of a start, by sink: {killed:?}");
    for sink in outputs.names() {
        assert!(
            killed.contains_key(sink),
            "sink {sink} was never killed at work: {killed:?}"
        );
    }
    let following = tokio::spawn(follower.follow(server.port));
    let sent = everything(&server, numbers, &outputs).await;
    // Once more, with nothing coming any more.
    server.kill();
    let follower = following.await.unwrap();
    server = Server::start(place);
    check(&server, sent).await;
    outputs.finish(&server).await;
    outputs.check(&server, sent).await;
    let taken = "SELECT count(*) FROM clickmill.recoveries WHERE checkpoint_version > 0";
    assert_eq!(server.value(taken).await, "1", "no checkpoint was taken");
    all_is_seen(server, follower, sent).await;
}

/// What a subscriber has not seen of the last versions, it sees now; every number came once.
async fn all_is_seen(mut server: Server, follower: Follower, sent: i64) {
    let seen = Arc::clone(&follower.seen);
    let following = tokio::spawn(follower.follow(server.port));
    let begun = Instant::now();
    while seen.load(Ordering::Relaxed) < sent + i64::from(PARTITIONS) {
        assert!(
            begun.elapsed() < PATIENCE,
            "the subscriber does not see all"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill();
    following.await.unwrap().check(sent);
}

/// The broker and the database are killed while sinks write to them, the last time together with clickmill.
async fn targets_are_killed() {
    let mut broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let (folder, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let numbers = Numbers::start(broker.address());
    let mut server = Server::start(folder.path());
    let address = broker.address().to_owned();
    let outputs = Outputs::begin(&server, &broker, &postgres, files.path()).await;
    for round in 0..if long() { 30 } else { 3 } {
        outputs.all_work(&server).await;
        broker.kill();
        postgres.kill();
        let away = "SELECT count(*) > 0 FROM clickmill.sources WHERE state <> 'running'";
        server.await_value(away, "t").await;
        if round % 3 == 2 {
            server.kill();
        }
        broker = tokio::task::spawn_blocking(move || {
            broker.start_again();
            broker
        })
        .await
        .unwrap();
        assert_eq!(broker.address(), address);
        postgres.start_again();
        if round % 3 == 2 {
            server = Server::start(folder.path());
        }
    }
    everything(&server, numbers, &outputs).await;
}

/// A process that was stopped, and one that is alive, are taken over: they end by themselves, and what they write counts for
/// nothing.
async fn taken_over(place: &(impl StateAt + ?Sized)) {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let files = TempDir::new().unwrap();
    let numbers = Numbers::start(broker.address());
    let mut first = Server::start(place);
    let outputs = Outputs::begin(&first, &broker, &postgres, files.path()).await;
    outputs.all_work(&first).await;
    first.signal("STOP");
    // It was seen a moment ago: refused on a disk, and looked at for a while in an object store.
    let begun = Instant::now();
    let mut second = loop {
        match Server::try_start(place) {
            Ok(second) => break second,
            Err(said) => assert!(
                said.contains("error[55006]: another clickmill uses"),
                "{said}"
            ),
        }
        assert!(begun.elapsed() < PATIENCE, "it is not taken over");
    };
    assert!(
        begun.elapsed() > Duration::from_secs(5),
        "it was taken over too soon"
    );
    outputs.all_work(&second).await;
    first.signal("CONT");
    let said = first.failed();
    assert!(said.contains("another clickmill has taken over"), "{said}");
    outputs.all_work(&second).await;
    // One that is alive, too, when somebody says so.
    let third = Server::try_start_with(place, &["--take-over"]).unwrap();
    let said = second.failed();
    assert!(said.contains("another clickmill has taken over"), "{said}");
    outputs.all_work(&third).await;
    everything(&third, numbers, &outputs).await;
}

/// Bad records of every kind leave as they came, each once, also when clickmill is killed.
async fn dead_letters() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    kafka::admin::create_topic(broker.address(), "clicks", 1).unwrap();
    let producer = kafka::Producer::new(broker.address(), "clicks", &[]).unwrap();
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    let brokers = broker.address();
    server
        .query(&format!(
            "CREATE SOURCE clicks (n BIGINT NOT NULL, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts)
             WITH (connector = 'kafka', topic = 'clicks', brokers = '{brokers}', bad_data = 'dead_letter',
                   dead_letter.topic = 'dead', dead_letter.partitions = 1, dead_letter.delivery = 'exactly_once')
             FORMAT PLAIN ENCODE JSON;
             CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM clicks;"
        ))
        .await;
    let kinds: [(&str, &[u8]); 6] = [
        ("not_json", b"{\"n\":1"),
        ("not_utf8", b"{\"n\":1,\"x\":\"\xff\"}"),
        ("wrong_type", b"{\"n\":\"one\",\"ts\":0}"),
        ("missing", b"{\"ts\":0}"),
        ("missing", b"{\"n\":1,\"ts\":null}"),
        ("out_of_range", b"{\"n\":99999999999999999999,\"ts\":0}"),
    ];
    let rounds = 5;
    for round in 0..rounds {
        for (_, payload) in kinds
            .iter()
            .chain([&("", b"{\"n\":1,\"ts\":0}".as_slice())])
        {
            let record = kafka::Record {
                payload: Some(payload),
                timestamp_ms: Some(1000 + round),
                ..kafka::Record::default()
            };
            producer.send(&record).unwrap();
        }
        assert_eq!(producer.flush(PATIENCE).failed, 0);
        server
            .await_value("SELECT n FROM total", &(round + 1).to_string())
            .await;
        if round % 2 == 0 {
            let written =
                "SELECT count(*) FROM clickmill.sinks WHERE state = 'running' AND pending_rows = 0";
            server.await_value(written, "1").await;
        }
        server.kill();
        server = Server::start(folder.path());
    }
    let written = "SELECT count(*) FROM clickmill.sinks WHERE sink = 'clicks_dead_letters' AND state = 'running' AND pending_rows = 0";
    server.await_value(written, "1").await;
    let each = i64::try_from(kinds.len()).unwrap() + 1;
    let mut expected = String::new();
    for round in 0..rounds {
        for (at, (reason, payload)) in (0..).zip(kinds) {
            let (offset, time) = (round * each + at, 1000 + round);
            let payload = String::from_utf8_lossy(payload);
            expected.push_str(&format!("clicks 0 {offset} {reason} @{time} {payload}\n"));
        }
    }
    let found = consumed(broker.address(), "dead", "%h @%T %s\n");
    let headers = regex::Regex::new("clickmill.topic=(.*?),clickmill.partition=(.*?),clickmill.offset=(.*?),clickmill.reason=(.*?),clickmill.error=.* @").unwrap();
    assert_eq!(headers.replace_all(&found, "$1 $2 $3 $4 @"), expected);
}

/// Waits until everything that is sent is everywhere, once; gives how many numbers there are.
async fn everything(server: &Server, numbers: Numbers, outputs: &Outputs<'_>) -> i64 {
    let sent = numbers.end();
    let (all, closes) = (sent.to_string(), PARTITIONS.to_string());
    server.await_value("SELECT records FROM total", &all).await;
    server
        .await_value("SELECT count(*) FROM every WHERE n < 0", &closes)
        .await;
    // Views that gather changes are a moment behind.
    server
        .await_value("SELECT sum(records) FROM users", &all)
        .await;
    check(server, sent).await;
    outputs.finish(server).await;
    outputs.check(server, sent).await;
    sent
}

/// Every number counts once, everywhere.
async fn check(server: &Server, sent: i64) {
    let all = "SELECT count(*), count(DISTINCT n), min(n), max(n) FROM every WHERE n >= 0";
    let expected = [sent, sent, 0, sent - 1].map(|n| n.to_string());
    assert_eq!(server.query(all).await, [expected]);
    let sum = sent * (sent - 1) / 2;
    let total = server.query("SELECT records, sum FROM total").await;
    assert_eq!(total, [[sent, sum].map(|n| n.to_string())]);
    let users = server
        .query("SELECT sum(records), count(*) FROM users")
        .await;
    assert_eq!(users, [[sent.to_string(), sent.min(50).to_string()]]);
    let mut windows = server
        .query("SELECT records, sum, users FROM windows ORDER BY window_start")
        .await;
    let size = WINDOW_MS / STEP_MS;
    let mut model = Vec::new();
    for first in (0..sent).step_by(usize::try_from(size).unwrap()) {
        let next = (first + size).min(sent);
        let users = (next - first).min(50);
        let row = [next - first, (first + next - 1) * (next - first) / 2, users];
        model.push(row.map(|n| n.to_string()).to_vec());
    }
    assert_eq!(windows.len(), model.len());
    for (row, expected) in windows.drain(..).zip(model) {
        assert_eq!(row, expected);
    }
    let firsts = server.value("SELECT sum(records) FROM firsts").await;
    let closed = sent - sent % (60_000 / STEP_MS);
    let firsts: i64 = firsts.parse().unwrap();
    assert!(
        firsts == sent || firsts == closed,
        "{firsts} of {sent} in minutes"
    );
}

/// A server with a table of one row, two checkpoints of it, and what came after them.
async fn with_checkpoints(place: &(impl StateAt + ?Sized)) -> Server {
    let server = Server::start(place);
    server
        .query("CREATE TABLE t (n INT); CREATE MATERIALIZED VIEW v AS SELECT n * 2 AS m FROM t;")
        .await;
    let begun = Instant::now();
    let done = "SELECT count(*) FROM clickmill.checkpoints WHERE status = 'done'";
    let mut n = 0;
    while server.value(done).await.parse::<i32>().unwrap() < 3 {
        assert!(begun.elapsed() < PATIENCE, "no checkpoints are made");
        server.query(&format!("INSERT INTO t VALUES ({n})")).await;
        n += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.join("checkpoints")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "state"));
    files.sort();
    files
}

fn damage(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

/// What `clickmill state` tells.
fn state(what: &str, folder: &Path) -> String {
    folder.inspect(what).0
}

async fn damaged_checkpoints() {
    let folder = TempDir::new().unwrap();
    let mut server = with_checkpoints(folder.path()).await;
    let everything = "SELECT count(*), sum(n), (SELECT sum(m) FROM v) FROM t";
    let rows = server.query(everything).await;
    server.kill();
    let files = checkpoints(folder.path());
    assert_eq!(files.len(), 2);
    assert!(state("verify", folder.path()).ends_with("sound\n"));
    damage(&files[1]);
    let verified = state("verify", folder.path());
    assert!(
        verified.contains("error[XX001]") && verified.contains("is damaged"),
        "{verified}"
    );
    let inspected = state("inspect", folder.path());
    assert!(
        inspected.contains("view v: running") && inspected.contains("CREATE TABLE t (n INT);"),
        "{inspected}"
    );
    server = Server::start(folder.path());
    let name = files[1].display().to_string();
    assert!(
        server.said.contains(&name) && server.said.contains("is damaged"),
        "{}",
        server.said
    );
    assert_eq!(server.query(everything).await, rows);
    server.kill();
    for file in checkpoints(folder.path()) {
        damage(&file);
    }
    let said = Server::try_start(folder.path()).map(drop).unwrap_err();
    assert!(
        said.contains("error[XX001]") && said.contains("no checkpoint to go on from"),
        "{said}"
    );
}

async fn socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // One connection gets lines, those after it none.
    let sending = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        for n in 0..1000 {
            writeln!(first, "{{\"n\":{n}}}").unwrap();
        }
        writeln!(first, "no JSON").unwrap();
        (first, listener)
    });
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    server
        .query(&format!(
            "CREATE SOURCE lines (n BIGINT) WITH (connector = 'socket', hostname = '127.0.0.1', port = {port}, bad_data = 'store')
             FORMAT PLAIN ENCODE JSON;
             CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, sum(n) AS sum FROM lines;"
        ))
        .await;
    let bad = "SELECT \"offset\", reason FROM lines_errors";
    let begun = Instant::now();
    while server.query("SELECT n FROM total").await != [["1000"]]
        || server.query(bad).await.is_empty()
    {
        assert!(begun.elapsed() < PATIENCE, "the lines do not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (connection, _listener) = sending.join().unwrap();
    for _ in 0..2 {
        server.kill();
        server = Server::start(folder.path());
        assert_eq!(
            server.query("SELECT * FROM total").await,
            [["1000", "499500"]]
        );
        assert_eq!(server.query(bad).await, [["1000", "not_json"]]);
    }
    drop(connection);
}

async fn one_owner() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    let said = Server::try_start(folder.path()).map(drop).unwrap_err();
    assert!(
        said.contains("error[55006]: another clickmill uses"),
        "{said}"
    );
    server.query("CREATE TABLE t (n INT)").await;
    server.kill();
    let server = Server::start(folder.path());
    assert_eq!(server.value("SELECT count(*) FROM t").await, "0");
}

async fn orderly_end() {
    let folder = TempDir::new().unwrap();
    let mut server = with_checkpoints(folder.path()).await;
    let rows = server.query("SELECT * FROM v").await;
    server.query("INSERT INTO t VALUES (NULL)").await;
    server.stop();
    server = Server::start(folder.path());
    let recovered = "SELECT ticks, records FROM clickmill.recoveries";
    assert_eq!(server.query(recovered).await, [["0", "0"]]);
    assert_eq!(server.query("SELECT * FROM v").await.len(), rows.len() + 1);
    server.query("DROP TABLE t CASCADE").await;
    server.kill();
    server = Server::start(folder.path());
    assert_eq!(server.query("SHOW TABLES").await.len(), 0);
}
