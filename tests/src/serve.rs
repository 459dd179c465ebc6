//! `clickmill serve` as a process of its own, on a folder of state.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqllogictest::{AsyncDB, DBOutput};

use crate::slt::wire::Wire;
use crate::world::PATIENCE;

/// Where a server keeps its state.
pub trait StateAt {
    /// What it is told with `--data-dir`.
    fn argument(&self) -> OsString;

    /// How the program is run.
    fn command(&self) -> Command {
        Command::new(program())
    }

    /// What its environment has for it.
    fn environment(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What `clickmill state` says of it, and whether it ended well.
    fn inspect(&self, what: &str) -> (String, bool) {
        let mut command = self.command();
        command.args(["state", what]).arg(self.argument());
        let output = command.envs(self.environment()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat());
        (text.unwrap(), output.status.success())
    }
}

impl StateAt for Path {
    fn argument(&self) -> OsString {
        self.as_os_str().to_owned()
    }
}

/// `clickmill serve` on state that lasts.
pub struct Server {
    child: Child,
    /// Where psql finds it.
    pub port: u16,
    /// What it said before it listened.
    pub said: String,
    /// What it says later, which is read so that it can go on saying it.
    later: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it, which must work.
    pub fn start(place: &(impl StateAt + ?Sized)) -> Self {
        Self::try_start(place).unwrap_or_else(|said| panic!("clickmill did not start:\n{said}"))
    }

    /// Starts it, or gives what it said when it ended.
    pub fn try_start(place: &(impl StateAt + ?Sized)) -> Result<Self, String> {
        Self::try_start_with(place, &[])
    }

    /// As [`Server::try_start`], with further arguments.
    pub fn try_start_with(
        place: &(impl StateAt + ?Sized),
        arguments: &[&str],
    ) -> Result<Self, String> {
        Self::run(place.command(), place, arguments)
    }

    /// As [`Server::try_start`]; it will end by itself at a failpoint, perhaps before it listens.
    pub fn start_to_end_at(
        place: &(impl StateAt + ?Sized),
        failpoint: &str,
        arguments: &[&str],
    ) -> Result<Self, String> {
        let mut program = place.command();
        program.env("CLICKMILL_FAILPOINT", failpoint);
        Self::run(program, place, arguments)
    }

    fn run(
        mut program: Command,
        place: &(impl StateAt + ?Sized),
        arguments: &[&str],
    ) -> Result<Self, String> {
        let mut child = program
            .args([
                "serve",
                "--pg-port",
                "0",
                "--checkpoint-interval",
                "500ms",
                "--data-dir",
            ])
            .arg(place.argument())
            .args(arguments)
            .envs(place.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                let ended = child.wait().unwrap();
                return Err(format!("{seen}{ended}"));
            };
            if let Some((_, rest)) = line.split_once("listens on ") {
                break rest.split(':').nth(1).unwrap().to_owned();
            }
            seen.push_str(&line);
            seen.push('\n');
        };
        let later = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&later);
        let read = move || {
            for line in lines.map_while(Result::ok) {
                let mut later = heard.lock();
                later.push_str(&line);
                later.push('\n');
            }
        };
        Ok(Self {
            child,
            port: address.parse().unwrap(),
            said: seen,
            later,
            reading: Some(std::thread::spawn(read)),
        })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end; gives whether it ended well.
    pub fn wait(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Waits for its end by itself, with an error; gives what it said since it listens.
    pub fn failed(&mut self) -> String {
        let begun = Instant::now();
        let ended = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(!ended.success(), "it ended well");
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        format!("{}{ended}", self.later.lock())
    }

    /// Waits until a query gives this value.
    pub async fn await_value(&self, sql: &str, expected: &str) {
        let begun = Instant::now();
        loop {
            let value = self.value(sql).await;
            if value == expected {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{sql} gives {value} and not {expected}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to end.
    pub fn stop(&mut self) {
        self.signal("TERM");
        assert!(self.wait());
    }

    /// Ends it as the kernel does when memory runs out: no handler runs, nothing is written.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The rows of a query; of several statements those of the last.
    pub async fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let mut wire = Wire::connect(self.port).await.unwrap();
        match wire.run(sql).await {
            Ok(DBOutput::Rows { rows, .. }) => rows,
            Ok(_) => Vec::new(),
            Err(error) => panic!("{sql}\n{error}"),
        }
    }

    /// Sends a statement, and does not care what becomes of it.
    pub async fn send(&self, sql: &str) {
        if let Ok(mut wire) = Wire::connect(self.port).await {
            drop(wire.run(sql).await);
        }
    }

    /// The first value of a query.
    pub async fn value(&self, sql: &str) -> String {
        self.query(sql).await[0][0].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, which lies beside the folder of this test's.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().parent().unwrap().join("clickmill");
    assert!(program.exists(), "{} is not built", program.display());
    program
}
