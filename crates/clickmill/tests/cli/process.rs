//! A process under test: its lines as they come, its end, and signals to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take that should take a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a process that ended has left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process that runs; killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

/// The lines of one of its streams.
struct Stream {
    lines: Receiver<String>,
    seen: String,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    fn new(source: impl Read + Send + 'static) -> Self {
        let (send, lines) = channel();
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            lines,
            seen: String::new(),
            thread: Some(thread),
        }
    }

    /// The next line with `text` in it.
    fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {text:?} came, but\n{}", self.seen);
            };
            self.keep(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    fn keep(&mut self, line: &str) {
        self.seen.push_str(line);
        self.seen.push('\n');
    }

    /// All of it, once the process has ended.
    fn rest(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        let rest: Vec<String> = self.lines.try_iter().collect();
        rest.iter().for_each(|line| self.keep(line));
        std::mem::take(&mut self.seen)
    }
}

/// clickmill with some words behind it, in a folder, with nothing but its own variables.
pub(crate) fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickmill"));
    command.args(words).current_dir(folder).stdin(Stdio::null());
    for name in ["BROKERS", "TOPIC", "CLICKMILL_LOG", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// Runs clickmill to its end.
pub(crate) fn clickmill(folder: &Path, words: &[&str]) -> Ended {
    Process::start(&mut command(folder, words)).end()
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = Stream::new(child.stdout.take().unwrap());
        let stderr = Stream::new(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// The next line of standard output with `text` in it.
    pub(crate) fn stdout_line(&mut self, text: &str) -> String {
        self.stdout.wait_for(text)
    }

    /// The next line of standard error with `text` in it.
    pub(crate) fn stderr_line(&mut self, text: &str) -> String {
        self.stderr.wait_for(text)
    }

    /// Sends a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let status = self.wait();
        Ended {
            code: status.code(),
            stdout: self.stdout.rest(),
            stderr: self.stderr.rest(),
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a process that has ended already this is an error that says nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
