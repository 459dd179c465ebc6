//! A real PostgreSQL server of one test, from Debian's package.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::world::PATIENCE;

/// A server with a folder of its own; stopped when dropped. Its user `postgres` needs no password.
pub struct Postgres {
    folder: TempDir,
    port: u16,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("clickmill-postgres-").tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        if is_root() {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let server = Self { folder, port };
        server.run("initdb", &["-A", "trust", "-U", "postgres", "--no-sync"]);
        server.start_again();
        server
    }

    /// Starts it after [`Postgres::kill`].
    pub fn start_again(&self) {
        let sockets = self.folder.path().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -k {sockets}",
            self.port
        );
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "-w", "-l", &log, "-o", &options]);
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&self) {
        self.run("pg_ctl", &["stop", "-m", "immediate"]);
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// A client.
    pub async fn connect(&self) -> Client {
        let begun = Instant::now();
        loop {
            match tokio_postgres::connect(&self.url(), NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return client;
                }
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        run(&mut self.command(program, arguments));
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(binary(program));
            command
        } else {
            Command::new(binary(program))
        };
        let data = self.folder.path().join("data");
        command.args(arguments).arg("-D").arg(data).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // In a failing test another panic would hide the first.
        let _ = self
            .command("pg_ctl", &["stop", "-m", "immediate"])
            .status();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Debian has the server's programs in a folder of each version.
fn binary(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let found = versions.map(|version| version.unwrap().path().join("bin").join(program));
    found
        .filter(|path| path.exists())
        .max()
        .unwrap_or_else(|| Path::new(program).to_owned())
}

fn run(command: &mut Command) {
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status();
    assert!(
        done.is_ok_and(|status| status.success()),
        "{command:?} failed"
    );
}
