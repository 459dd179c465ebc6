//! psql 15 against the Postgres port of a database in this process: every statement that a user types, Ctrl-C, `\watch`,
//! a killed client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Broker, BrokerConfig};
use e2e::psql::Psql;
use e2e::tools::trial;
use e2e::world::{Client, PATIENCE, World, block_on};
use libtest_mimic::Trial;
use pg::PgServer;

const PROGRAMS: &[&str] = &["psql", "stdbuf", "script"];
/// A row must reach psql within this time behind the return of the INSERT that made it, at least half of the time.
const ROW_LATENCY: Duration = Duration::from_millis(50);

pub(super) fn trials() -> Vec<Trial> {
    type Test = (&'static str, fn());
    let tests: [Test; 11] = [
        ("selects_views_and_tables", || {
            on_server(selects_views_and_tables)
        }),
        ("describes_relations", || on_server(describes_relations)),
        ("shows_errors_with_a_caret", || {
            on_server(shows_errors_with_a_caret)
        }),
        ("notices_and_command_tags", || {
            on_server(notices_and_command_tags)
        }),
        ("subscribes_row_by_row", || on_server(subscribes_row_by_row)),
        ("copies_a_subscription", || on_server(copies_a_subscription)),
        ("rows_come_in_a_moment", || on_server(rows_come_in_a_moment)),
        ("interrupt_cancels_and_goes_on", || {
            on_server(interrupt_cancels_and_goes_on)
        }),
        ("watch_repeats", || on_server(watch_repeats)),
        ("a_killed_client_leaves_nothing", || {
            on_server(a_killed_client_leaves_nothing)
        }),
        ("selects_a_source", selects_a_source),
    ];
    tests
        .into_iter()
        .map(|(name, test)| trial(&format!("psql::{name}"), PROGRAMS, test))
        .collect()
}

/// A database with a few rows, and its port.
struct Served {
    world: World,
    server: PgServer,
    runtime: tokio::runtime::Runtime,
}

impl Served {
    fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// The output of psql for `input`, in its unaligned form.
    fn ask(&self, input: &str) -> Vec<String> {
        let finished = Psql::ask(self.port(), &["-At"], input);
        assert!(finished.errors.is_empty(), "{input}\n{finished:?}");
        finished.output
    }

    fn execute(&self, statement: &str) {
        self.runtime
            .block_on(self.world.connect().execute(statement));
    }

    /// Waits until `count` sessions are open.
    fn await_sessions(&self, count: usize) {
        let begun = Instant::now();
        while self.server.sessions() != count {
            assert!(
                begun.elapsed() < PATIENCE,
                "{} sessions are open, not {count}",
                self.server.sessions()
            );
            std::thread::yield_now();
        }
    }
}

const SETUP: &str = "
CREATE TABLE clicks (user_id TEXT, page TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
CREATE MATERIALIZED VIEW per_minute AS
  SELECT page, window_start, window_end, count(*) AS clicks FROM TUMBLE(clicks, ts, INTERVAL '1 minute')
  GROUP BY page, window_start, window_end;
CREATE MATERIALIZED VIEW raw AS SELECT user_id, page, ts FROM clicks WHERE page <> '/admin';
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM clicks;
CREATE VIEW pages AS SELECT DISTINCT page FROM clicks;";

const ROWS: &str = "INSERT INTO clicks VALUES ('u1', '/home', '2026-01-01 00:00:10Z'), ('u2', '/home', '2026-01-01 00:00:20Z'),
  ('u1', '/cart', '2026-01-01 00:01:00Z')";

fn on_server(test: fn(&Served)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let world = World::with_system_clock();
    runtime.block_on(async {
        let mut client = world.connect();
        client.execute(SETUP).await;
        client.execute(ROWS).await;
        client
            .execute("ADVANCE WATERMARK FOR clicks TO '2026-01-01 00:01:00Z'")
            .await;
    });
    let server = runtime.block_on(world.serve());
    let served = Served {
        world,
        server,
        runtime,
    };
    test(&served);
    let Served {
        server,
        runtime,
        world,
    } = served;
    runtime.block_on(server.shutdown());
    drop(world);
}

fn selects_views_and_tables(served: &Served) {
    assert_eq!(
        served.ask("SELECT * FROM per_minute ORDER BY page;"),
        ["/home|2026-01-01 00:00:00+00|2026-01-01 00:01:00+00|2"]
    );
    let joined =
        "SELECT c.user_id, m.clicks FROM clicks c JOIN per_minute m ON c.page = m.page ORDER BY 1;";
    assert_eq!(served.ask(joined), ["u1|2", "u2|2"]);
    assert_eq!(
        served.ask("SELECT n, (SELECT count(*) FROM clicks) FROM total;"),
        ["3|3"]
    );
    assert_eq!(
        served.ask("TABLE pages ORDER BY page; SELECT 1 AS one, NULL, 'ä', 1.50, true;"),
        ["/cart", "/home", "1||ä|1.5|t"]
    );
    // FETCH_COUNT makes psql send DECLARE and FETCH, which are refused with a hint.
    let finished = Psql::ask(
        served.port(),
        &["-At"],
        "\\set FETCH_COUNT 2\nSELECT page FROM clicks ORDER BY ts;\n",
    );
    let said = finished.errors.join("\n");
    assert!(
        finished.output == ["/home", "/home", "/cart"] || said.contains("DECLARE is not supported"),
        "{finished:?}"
    );
    let table = Psql::ask(served.port(), &[], "SELECT page, clicks FROM per_minute;").output;
    assert_eq!(
        table,
        [
            " page  | clicks ",
            "-------+--------",
            " /home |      2",
            "(1 row)",
            ""
        ]
    );
}

fn describes_relations(served: &Served) {
    let all = served.ask("\\d");
    for line in [
        "public|clicks|table|ann",
        "public|per_minute|materialized view|ann",
        "public|pages|view|ann",
    ] {
        let (schema_and_name, rest) = line.rsplit_once('|').unwrap();
        assert!(
            all.iter().any(|l| l.starts_with(schema_and_name)),
            "{line} ({rest}) in {all:?}"
        );
    }
    let tables = served.ask("\\dt");
    assert!(
        tables.len() == 1 && tables[0].starts_with("public|clicks|table|"),
        "{tables:?}"
    );
    let views = served.ask("\\dm");
    let names: Vec<&str> = views
        .iter()
        .filter_map(|line| line.split('|').nth(1))
        .collect();
    assert_eq!(names, ["per_minute", "raw", "total"]);
    let columns = served.ask("\\d per_minute");
    let expected = [
        "page|text||",
        "window_start|timestamp with time zone||",
        "window_end|timestamp with time zone||",
        "clicks|bigint||",
    ];
    for (line, start) in columns.iter().zip(expected) {
        assert!(line.starts_with(start), "{columns:?}");
    }
    let missing = Psql::ask(served.port(), &["-At"], "\\d nothing\n");
    assert_eq!(
        missing.errors,
        ["Did not find any relation named \"nothing\"."]
    );
}

fn shows_errors_with_a_caret(served: &Served) {
    let input = "\\set VERBOSITY verbose\nSELECT page,\n  usr_id FROM clicks;\nCREATE MATERIALIZED VIEW v AS SELECT * FROM COUNT_WINDOW(clicks, 9);\n";
    let errors = Psql::ask(served.port(), &["-At"], input).errors.join("\n");
    let caret = "ERROR:  42703: column \"usr_id\" does not exist\nLINE 2:   usr_id FROM clicks;\n          ^\nHINT:  perhaps you meant \"user_id\"";
    assert!(errors.contains(caret), "{errors}");
    let refusal = "ERROR:  0A000: COUNT_WINDOW window is not supported\nLINE 1: CREATE MATERIALIZED VIEW v AS SELECT * FROM COUNT_WINDOW(cli...\n                                                    ^\nHINT:  use TUMBLE, HOP, CUMULATE or SESSION";
    assert!(errors.contains(refusal), "{errors}");
}

fn notices_and_command_tags(served: &Served) {
    let input = "CREATE MATERIALIZED VIEW hops AS SELECT window_start, window_end, count(*) AS n
  FROM HOP(clicks, ts, INTERVAL '10 s', INTERVAL '1 min') GROUP BY window_start, window_end;
INSERT INTO clicks VALUES ('u3', '/x', '2026-01-01 00:02:00Z');
DROP MATERIALIZED VIEW hops;
BEGIN;
COMMIT;
";
    let finished = Psql::ask(served.port(), &["-A"], input);
    assert_eq!(
        finished.output,
        [
            "CREATE MATERIALIZED VIEW",
            "INSERT 0 1",
            "DROP MATERIALIZED VIEW",
            "BEGIN",
            "COMMIT"
        ]
    );
    let said = finished.errors.join("\n");
    assert!(
        said.contains("NOTICE:  view \"hops\" gives the rows of a window once"),
        "{said}"
    );
    assert!(
        said.contains("HINT:  EMIT ON UPDATE shows rows of open windows too"),
        "{said}"
    );
}

/// Starts a statement that never ends and reads its first `rows` lines.
fn live(served: &Served, arguments: &[&str], statement: &str, rows: usize) -> (Psql, Vec<String>) {
    let mut psql = Psql::start(served.port(), arguments);
    psql.input(&format!("{statement};\n"));
    let lines = (0..rows).map(|_| psql.line()).collect();
    (psql, lines)
}

fn subscribes_row_by_row(served: &Served) {
    let (psql, first) = live(served, &["-At"], "SUBSCRIBE raw", 3);
    let rows: Vec<Vec<&str>> = first
        .iter()
        .map(|line| line.split('\t').skip(1).collect())
        .collect();
    assert!(
        rows.contains(&vec!["1", "u1", "/home", "2026-01-01 00:00:10+00"]),
        "{first:?}"
    );
    served.execute("INSERT INTO clicks VALUES ('u7', '/new', '2026-01-01 00:03:00Z'), ('u7', '/admin', '2026-01-01 00:03:00Z')");
    let new = psql.line();
    assert!(
        new.ends_with("\t1\tu7\t/new\t2026-01-01 00:03:00+00"),
        "{new}"
    );
    // An updating view: the old row goes, the new one comes, in one version.
    let (total, first) = live(served, &["-At"], "SUBSCRIBE total", 1);
    assert!(first[0].ends_with("\t1\t5"), "{first:?}");
    served.execute("INSERT INTO clicks VALUES ('u8', '/new', '2026-01-01 00:03:01Z')");
    let mut change = [total.line(), total.line()].map(|line| {
        line.split('\t')
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    change.sort();
    assert_eq!(change, [["-1", "5"], ["1", "6"]]);
}

fn copies_a_subscription(served: &Served) {
    let statement = "COPY (SUBSCRIBE (SELECT page, window_end, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 minute') \
        GROUP BY page, window_start, window_end)) TO STDOUT WITH (FORMAT csv, HEADER)";
    let (psql, header) = live(served, &["-At"], statement, 1);
    assert_eq!(
        header,
        ["clickmill_version,clickmill_diff,page,window_end,n"]
    );
    assert!(psql.line().ends_with(",1,/home,2026-01-01 00:01:00+00,2"));
    served.execute("ADVANCE WATERMARK FOR clicks TO '2026-01-01 00:02:00Z'");
    assert!(psql.line().ends_with(",1,/cart,2026-01-01 00:02:00+00,1"));
}

fn rows_come_in_a_moment(served: &Served) {
    let (psql, _) = live(served, &["-At"], "SUBSCRIBE raw", 3);
    let mut times: Vec<Duration> = (0..21)
        .map(|number| {
            served.execute(&format!(
                "INSERT INTO clicks VALUES ('fast', '/{number}', '2026-01-01 01:00:00Z')"
            ));
            let inserted = Instant::now();
            let line = psql.line();
            assert!(line.contains(&format!("\t/{number}\t")), "{line}");
            inserted.elapsed()
        })
        .collect();
    times.sort_unstable();
    assert!(times[times.len() / 2] < ROW_LATENCY, "{times:?}");
}

fn interrupt_cancels_and_goes_on(served: &Served) {
    let mut psql = Psql::at_terminal(served.port(), "-At -v VERBOSITY=verbose");
    for statement in [
        "SUBSCRIBE raw",
        "COPY (SUBSCRIBE raw) TO STDOUT",
        "SUBSCRIBE (SELECT page FROM clicks)",
    ] {
        psql.input(&format!("{statement};\n"));
        psql.until("/cart");
        psql.control_c();
        psql.until("ERROR:  57014: canceling statement due to user request");
        psql.input("SELECT 'the connection ' || 'goes on', count(*) FROM clicks;\n");
        assert_eq!(
            psql.until("goes on").last().unwrap(),
            "the connection goes on|3"
        );
    }
    served.await_sessions(1);
    psql.input("\\q\n");
    served.await_sessions(0);
    // A psql that reads a script stops at SIGINT, with the statement cancelled.
    let (psql, _) = live(
        served,
        &["-At", "-v", "VERBOSITY=verbose"],
        "SUBSCRIBE raw",
        3,
    );
    psql.interrupt();
    let finished = psql.finish();
    let said = finished.errors.join("\n");
    assert!(
        said.contains("ERROR:  57014: canceling statement due to user request"),
        "{said}"
    );
}

fn watch_repeats(served: &Served) {
    let mut psql = Psql::at_terminal(served.port(), "-At");
    psql.input("SELECT n FROM total \\watch 0.05\n");
    psql.until("3");
    served.execute("INSERT INTO clicks VALUES ('u9', '/w', '2026-01-01 00:05:00Z')");
    psql.until("4");
    psql.control_c();
    psql.input("SELECT 'af' || 'ter';\n");
    psql.until("after");
}

fn a_killed_client_leaves_nothing(served: &Served) {
    served.await_sessions(0);
    let statement = "SUBSCRIBE (SELECT page, count(*) AS n FROM clicks GROUP BY page)";
    let (psql, _) = live(served, &["-At"], statement, 2);
    let (other, _) = live(served, &["-At"], "SUBSCRIBE raw", 3);
    served.await_sessions(2);
    psql.kill();
    other.kill();
    served.await_sessions(0);
    // Nothing waits for them: changes go through.
    served.execute("INSERT INTO clicks VALUES ('u9', '/w', '2026-01-01 00:05:00Z')");
    assert_eq!(served.ask("SELECT n FROM total;"), ["4"]);
}

/// A SELECT on a source reads what is there and ends, with windows too; the same text as a view gives the same rows.
fn selects_a_source() {
    block_on(async {
        let config = BrokerConfig {
            auto_create_partitions: Some(2),
            ..BrokerConfig::default()
        };
        let broker = Broker::start(config).await.unwrap();
        let brokers = broker.address().to_string();
        broker.create_topic("click-stream", 2).unwrap();
        let to = brokers.clone();
        tokio::task::spawn_blocking(move || produce_a_few(&to))
            .await
            .unwrap();
        let world = Arc::new(World::with_system_clock());
        let mut client = world.connect();
        client.execute(&source_of(&brokers)).await;
        let server = world.serve().await;
        let port = server.address().port();
        let count = "SELECT count(*), count(DISTINCT user_id) FROM clicks;";
        let windows = "SELECT page, count(*) FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY page, window_start, window_end ORDER BY 1, 2;";
        let input = format!("{count}\n{windows}\n");
        let finished = tokio::task::spawn_blocking(move || Psql::ask(port, &["-At"], &input))
            .await
            .unwrap();
        assert_eq!(
            finished.output,
            ["30|3", "/0|5", "/0|10", "/1|5", "/1|10"],
            "{finished:?}"
        );
        explains_a_source(&mut client).await;
        server.shutdown().await;
        broker.shutdown().await;
    });
}

async fn explains_a_source(client: &mut Client) {
    let plan = client
        .query("EXPLAIN SELECT page FROM clicks WHERE page <> '/0'")
        .await;
    assert!(
        plan.iter()
            .any(|line| line[0].contains("Read source clicks")),
        "{plan:?}"
    );
}

fn source_of(brokers: &str) -> String {
    format!(
        "CREATE SOURCE clicks (user_id TEXT, page TEXT, ts TIMESTAMPTZ, WATERMARK FOR ts AS ts) \
         WITH (connector = 'kafka', topic = 'click-stream', brokers = '{brokers}') FORMAT PLAIN ENCODE JSON"
    )
}

/// Thirty clicks: three users, two pages, one each three seconds, from 2026-01-01 00:00:00 UTC.
fn produce_a_few(brokers: &str) {
    let producer = kafka::Producer::new(brokers, "click-stream", &[("linger.ms", "0")]).unwrap();
    for number in 0..30_i64 {
        let ts = 1_767_225_600_000 + number * 3_000;
        let value = format!(
            r#"{{"user_id":"u{}","page":"/{}","ts":{ts}}}"#,
            number % 3,
            number % 2
        );
        let record = kafka::Record {
            payload: Some(value.as_bytes()),
            partition: Some((number % 2) as i32),
            ..kafka::Record::default()
        };
        producer.send(&record).unwrap();
    }
    assert_eq!(producer.flush(PATIENCE).delivered, 30);
}
