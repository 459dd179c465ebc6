//! An S3-compatible server of one test, started by `tests/s3/server`.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::serve::StateAt;
use crate::tools::tests_folder;
use crate::world::PATIENCE;

/// The bucket.
const BUCKET: &str = "clickmill";

/// A server with an empty bucket; ended when dropped.
pub struct S3 {
    child: Child,
    port: u16,
}

impl S3 {
    /// Starts one, and makes the bucket.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new(tests_folder().join("s3/server"))
            .args(["run", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        let begun = Instant::now();
        while !server.make_bucket() {
            assert!(begun.elapsed() < 2 * PATIENCE, "moto does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn make_bucket(&self) -> bool {
        let request = format!(
            "PUT /{BUCKET} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes());
        asked
            .and_then(|()| stream.read_to_string(&mut answer))
            .is_ok()
            && answer.starts_with("HTTP/1.1 200")
    }

    /// State below a name in the bucket.
    pub fn state(&self, name: &str) -> InBucket {
        InBucket {
            address: format!("s3://{BUCKET}/{name}"),
            port: self.port,
        }
    }

    /// It stands still, and answers nobody, until it goes on.
    pub fn stand_still(&self, still: bool) {
        let signal = if still { "STOP" } else { "CONT" };
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// State in the bucket.
#[derive(Clone, Debug)]
pub struct InBucket {
    address: String,
    port: u16,
}

impl StateAt for InBucket {
    fn argument(&self) -> OsString {
        self.address.clone().into()
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "canary-of-s3".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }
}
