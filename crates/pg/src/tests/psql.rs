//! psql itself, where it is installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::raw::{PATIENCE, server};
use crate::PgServer;

/// A running psql whose output is read line by line.
struct Psql {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Psql {
    /// Starts psql on the server; `None`, said aloud, where there is none.
    fn start(server: &PgServer, arguments: &[&str]) -> Option<Self> {
        let connection = connection(server);
        Self::spawn(
            Command::new("stdbuf")
                .args(["-oL", "psql", "-X", "-d", &connection])
                .args(arguments),
        )
    }

    /// Starts psql in a terminal of its own, where Ctrl-C is a key.
    fn start_in_terminal(server: &PgServer) -> Option<Self> {
        let command = format!("psql -X -At -P pager=off -d '{}'", connection(server));
        Self::spawn(Command::new("script").args(["-q", "-e", "-c", &command, "/dev/null"]))
    }

    fn spawn(command: &mut Command) -> Option<Self> {
        let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !["psql", "stdbuf", "script"].into_iter().all(installed) {
            eprintln!("psql, stdbuf or script is not installed: skipped");
            return None;
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .for_each(|line| drop(sender.send(line)))
        });
        Some(Self { child, lines })
    }

    fn input(&mut self, text: &str) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.recv())
            .await
            .expect("psql is silent")
    }

    fn interrupt(&self) {
        let status = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// The rest of its output, and what it said beside it.
    async fn end(mut self) -> (Vec<String>, String) {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(line);
        }
        let mut errors = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        self.child.wait().unwrap();
        (rest, errors)
    }
}

fn connection(server: &PgServer) -> String {
    format!(
        "host=127.0.0.1 port={} user=ann dbname=db",
        server.address().port()
    )
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_errors_and_notices() {
    let (server, _) = server().await;
    let Some(psql) = Psql::start(
        &server,
        &["-At", "-c", "rows 2; notice hello; fail; rows 3"],
    ) else {
        return;
    };
    let (lines, errors) = psql.end().await;
    assert_eq!(lines, ["0|name 0", "1|name 1", "NOTICE"]);
    let wanted = "NOTICE:  hello\nHINT:  a hint\nERROR:  column \"x\" does not exist\n\
        LINE 1: rows 2; notice hello; fail; rows 3\n                                ^\nHINT:  Try y.\n";
    assert_eq!(errors, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_repeats_until_interrupted() {
    let (server, state) = server().await;
    let Some(mut psql) = Psql::start(&server, &["-At"]) else {
        return;
    };
    psql.input("rows 1 \\watch 0.01\n");
    let mut seen = 0;
    while seen < 3 {
        seen += usize::from(psql.line().await.unwrap() == "0|name 0");
    }
    // A psql that reads a script may end at Ctrl-C or go on behind \watch, as the signal finds it; the server goes on.
    psql.interrupt();
    psql.end().await;
    state.open_results(0).await;
    let Some(psql) = Psql::start(&server, &["-At", "-c", "rows 2"]) else {
        return;
    };
    assert_eq!(psql.end().await.0, ["0|name 0", "1|name 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupt_ends_a_live_copy_with_57014() {
    let (server, state) = server().await;
    let arguments = ["-At", "-v", "VERBOSITY=verbose", "-c", "copy live 5"];
    let Some(mut psql) = Psql::start(&server, &arguments) else {
        return;
    };
    for wanted in ["0\tname 0", "1\tname 1", "2\tname 2"] {
        assert_eq!(psql.line().await.unwrap(), wanted);
    }
    psql.interrupt();
    state.open_results(0).await;
    let (_, errors) = psql.end().await;
    assert!(
        errors.contains("ERROR:  57014: canceling statement due to user request"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_psql_ends_its_query() {
    let (server, state) = server().await;
    let Some(mut psql) = Psql::start(&server, &[]) else {
        return;
    };
    psql.input("copy quiet;\n");
    state.open_results(1).await;
    psql.child.kill().unwrap();
    state.open_results(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ctrl_c_in_a_terminal_the_session_goes_on() {
    let (server, state) = server().await;
    let Some(mut psql) = Psql::start_in_terminal(&server) else {
        return;
    };
    for live in ["copy live 5", "sleep"] {
        psql.input(&format!("{live};\n"));
        let begun = async {
            while state.executed.lock().last().is_none_or(|last| last != live) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, begun).await.unwrap();
        psql.input("\x03");
        while !psql
            .line()
            .await
            .unwrap()
            .contains("canceling statement due to user request")
        {}
        state.open_results(0).await;
        psql.input("rows 2;\n");
        while psql.line().await.unwrap().trim_end() != "1|name 1" {}
    }
}
