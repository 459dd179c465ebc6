//! A real psql, driven through its standard input and read line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::world::PATIENCE;

/// Lines that may wait to be read.
const QUEUED_LINES: usize = 100_000;

/// A running psql.
pub struct Psql {
    child: Child,
    output: Receiver<String>,
    errors: Receiver<String>,
}

impl Psql {
    /// Starts psql on a server of this machine; `arguments` behind `-X -d …`.
    pub fn start(port: u16, arguments: &[&str]) -> Self {
        let connection =
            format!("host=127.0.0.1 port={port} user=ann dbname=clicks connect_timeout=10");
        // stdbuf: psql must not gather its output because it goes to a pipe.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "-eL", "psql", "-X", "-d", &connection])
            .args(arguments)
            .env_remove("PGOPTIONS")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = lines(child.stdout.take().unwrap());
        let errors = lines(child.stderr.take().unwrap());
        Self {
            child,
            output,
            errors,
        }
    }

    /// Starts psql on a terminal of its own, as a user has it: errors come between the lines of output, and Ctrl-C is
    /// typed. psql that reads a script ends at Ctrl-C; at a terminal it goes on.
    pub fn at_terminal(port: u16, arguments: &str) -> Self {
        let psql = format!(
            "stty -echo; exec psql -X -n -P pager=off -v PROMPT1= -v PROMPT2= {arguments} \
             'host=127.0.0.1 port={port} user=ann dbname=clicks connect_timeout=10'"
        );
        let mut child = Command::new("script")
            .args(["-q", "-e", "-f", "-c", &psql, "/dev/null"])
            .env("LC_ALL", "C.UTF-8")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = lines(child.stdout.take().unwrap());
        let errors = lines(child.stderr.take().unwrap());
        Self {
            child,
            output,
            errors,
        }
    }

    /// What psql prints to standard output for `input`, all of it; with `-At` unless `arguments` say otherwise.
    pub fn ask(port: u16, arguments: &[&str], input: &str) -> Finished {
        let mut psql = Self::start(port, arguments);
        psql.input(input);
        psql.finish()
    }

    /// Types `text`.
    pub fn input(&mut self, text: &str) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// The next line of output.
    pub fn line(&self) -> String {
        next(&self.output, PATIENCE).unwrap_or_else(|| panic!("psql ended: {:?}", self.said()))
    }

    /// The next line of output within `limit`.
    pub fn line_within(&self, limit: Duration) -> Option<String> {
        self.output.recv_timeout(limit).ok()
    }

    /// Lines up to the first that contains `text`, which is the last one.
    pub fn until(&self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.line();
            let found = line.contains(text);
            seen.push(line);
            if found {
                return seen;
            }
        }
    }

    /// The next line of errors and notices.
    pub fn error_line(&self) -> String {
        next(&self.errors, PATIENCE).expect("psql ended without an error")
    }

    /// Errors and notices so far.
    pub fn said(&self) -> Vec<String> {
        self.errors.try_iter().collect()
    }

    /// Ctrl-C at the terminal.
    pub fn control_c(&mut self) {
        self.input("\u{3}");
    }

    /// SIGINT, which ends a psql that reads a script once it has cancelled its statement.
    pub fn interrupt(&self) {
        // stdbuf execs psql: the child is psql itself.
        let status = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// `kill -9`: the socket closes without a word.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the input and gives the rest of what psql prints.
    pub fn finish(mut self) -> Finished {
        drop(self.child.stdin.take());
        let begun = Instant::now();
        let rest = |lines: &Receiver<String>| {
            let mut all = Vec::new();
            while let Some(line) = next(lines, PATIENCE.saturating_sub(begun.elapsed())) {
                all.push(line);
            }
            all
        };
        let (output, errors) = (rest(&self.output), rest(&self.errors));
        let status = self.child.wait().unwrap();
        Finished {
            output,
            errors,
            code: status.code(),
        }
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What psql printed until its end.
#[derive(Debug)]
pub struct Finished {
    /// Lines of standard output.
    pub output: Vec<String>,
    /// Lines of standard error.
    pub errors: Vec<String>,
    /// Exit code.
    pub code: Option<i32>,
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = sync_channel(QUEUED_LINES);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // A terminal ends its lines by carriage return and line feed.
            if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line, `None` at the end; panics when nothing comes.
fn next(lines: &Receiver<String>, patience: Duration) -> Option<String> {
    match lines.recv_timeout(patience) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("psql is silent"),
    }
}
