//! Tests of the webhook against a server in the test: order, headers, answers that may pass and such that do not.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use dataflow::schema::Encoding;
use dataflow::sink::may_pass;

use super::*;
use crate::sink_testing::{declared, numbers, request, sink};

/// A request as the server got it: its first line, its headers in lower case, its body.
struct Request {
    line: String,
    headers: Vec<String>,
    body: String,
}

impl Request {
    fn read(stream: &TcpStream) -> Self {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_lowercase());
        }
        let line = lines.remove(0);
        let length = lines
            .iter()
            .find_map(|l| l.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        Self {
            line,
            headers: lines,
            body: String::from_utf8(body).unwrap(),
        }
    }

    fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|h| h == header)
    }
}

/// A server that gives each request the next of the answers, and ends after the last.
fn server(answers: &'static [(u16, &'static str)]) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in?token=secret", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, text) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            requests.push(Request::read(&stream));
            let length = text.len();
            write!(
                stream,
                "HTTP/1.1 {status} it\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
            )
            .unwrap();
        }
        requests
    });
    (url, serving)
}

fn open(pairs: &[(&str, &str)]) -> Box<dyn SinkWriter> {
    let sink = sink(&HttpConnector, pairs, &declared(Encoding::Json)).unwrap();
    assert_eq!(sink.delivery(), Delivery::AtLeastOnce);
    let mut writer = sink.open(request("clicks.out")).unwrap();
    assert_eq!(writer.begin().unwrap(), None);
    writer
}

#[test]
fn rows_arrive_once_and_in_order() {
    let (url, serving) = server(&[(200, "thanks"), (204, ""), (201, "")]);
    let mut writer = open(&[
        ("url", &url),
        ("batch", "2"),
        ("header.authorization", "Bearer abc"),
        ("header.x-team", "web"),
    ]);
    writer.write(7, &[numbers(&[1, 2]), numbers(&[3])]).unwrap();
    writer.write(8, &[numbers(&[4, 5])]).unwrap();
    writer.commit(8).unwrap();
    writer.commit(9).unwrap();
    let requests = serving.join().unwrap();
    let bodies: Vec<&str> = requests.iter().map(|r| r.body.as_str()).collect();
    assert_eq!(bodies, ["[1,2]", "[3,4]", "[5]"]);
    for (request, version) in requests.iter().zip(["7", "8", "8"]) {
        assert_eq!(request.line, "post /in?token=secret http/1.1");
        for header in [
            "content-type: application/json",
            "clickmill-sink: clicks.out",
            "authorization: bearer abc",
            "x-team: web",
        ] {
            assert!(request.has(header), "{header} in {:?}", request.headers);
        }
        assert!(request.has(&format!("clickmill-version: {version}")));
    }
}

#[test]
fn a_batch_of_one_is_the_bare_record() {
    let (url, serving) = server(&[(200, ""), (200, "")]);
    let mut writer = open(&[("url", &url), ("batch", "1")]);
    writer.write(1, &[numbers(&[1, 2])]).unwrap();
    writer.commit(1).unwrap();
    let requests = serving.join().unwrap();
    let bodies: Vec<&str> = requests.iter().map(|r| r.body.as_str()).collect();
    assert_eq!(bodies, ["1", "2"]);
}

#[test]
fn a_server_that_is_busy_gets_the_same_request_again() {
    let (url, serving) = server(&[(200, ""), (503, "later"), (429, ""), (200, "")]);
    let mut writer = open(&[("url", &url), ("batch", "1")]);
    writer.write(3, &[numbers(&[1, 2])]).unwrap();
    writer.commit(3).unwrap();
    let requests = serving.join().unwrap();
    let bodies: Vec<&str> = requests.iter().map(|r| r.body.as_str()).collect();
    assert_eq!(bodies, ["1", "2", "2", "2"]);
}

#[test]
fn a_refusal_is_final_and_shows_the_beginning_of_the_answer() {
    let (url, serving) = server(&[(400, "no \n such field"), (302, "")]);
    let mut writer = open(&[("url", &url), ("header.authorization", "Bearer abc")]);
    writer.write(3, &[numbers(&[1])]).unwrap();
    let error = writer.commit(3).unwrap_err();
    assert!(!may_pass(&error), "{error:?}");
    assert_eq!(error.state().0, "22023");
    assert!(
        error.message().ends_with("status 400: no such field"),
        "{error}"
    );
    writer.write(4, &[numbers(&[1])]).unwrap();
    let error = writer.commit(4).unwrap_err();
    assert_eq!(error.state().0, "22023");
    assert!(error.hint_text().unwrap().contains("redirections"));
    serving.join().unwrap();
}

#[test]
fn a_server_that_is_away_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in?token=secret", listener.local_addr().unwrap());
    drop(listener);
    let mut writer = open(&[("url", &url), ("timeout", "100 ms")]);
    writer.write(1, &[numbers(&[1])]).unwrap();
    let error = writer.commit(1).unwrap_err();
    assert!(may_pass(&error), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_server_that_does_not_answer_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut writer = open(&[("url", &url), ("timeout", "100 ms")]);
    writer.write(1, &[numbers(&[1])]).unwrap();
    let error = writer.commit(1).unwrap_err();
    assert!(may_pass(&error), "{error:?}");
}

#[test]
fn secrets_are_not_shown() {
    let pairs = [
        ("url", "https://example.com/hook?key=secret"),
        ("header.authorization", "Bearer secret"),
    ];
    let shown = sink(&HttpConnector, &pairs, &declared(Encoding::Json)).unwrap();
    assert_eq!(shown.target(), "https://example.com/hook");
    assert!(!format!("{shown:?}").contains("secret"));
    let headers = HeaderValue::try_from("a\nsecret");
    assert!(headers.is_err());
    for pairs in [
        &[("url", "https://u:secret@example.com/")][..],
        &[("url", "ftp://example.com/secret")],
        &[("url", "https://exa mple.com/secret")],
        &[("url", "/secret")],
        &[("url", "http://a/"), ("header.x", "secret\n")],
        &[("url", "http://a/"), ("header.x y", "secret")],
        &[("url", "http://a/"), ("header.Content-Type", "secret")],
        &[
            ("url", "http://a/"),
            ("header.x", "1"),
            ("header.X", "secret"),
        ],
    ] {
        let error = sink(&HttpConnector, pairs, &declared(Encoding::Json)).unwrap_err();
        assert_eq!(error.state().0, "22023", "{pairs:?}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn wrong_options_and_formats_are_refused() {
    for pairs in [
        &[][..],
        &[("url", "http://a/"), ("batch", "0")],
        &[("url", "http://a/"), ("timeout", "0 s")],
        &[("url", "http://a/"), ("timeout", "1 h")],
        &[("url", "http://a/"), ("method", "PUT")],
    ] {
        let error = sink(&HttpConnector, pairs, &declared(Encoding::Json)).unwrap_err();
        assert_eq!(error.state().0, "22023", "{pairs:?}");
    }
    let mut upsert = declared(Encoding::Json);
    upsert.format = SinkFormat::Upsert;
    let mut updating = declared(Encoding::Json);
    updating.updating = true;
    for declared in [upsert, updating] {
        let error = sink(&HttpConnector, &[("url", "http://a/")], &declared).unwrap_err();
        assert_eq!(error.state().0, "0A000");
    }
    let mut options = Options::new(Vec::new()).unwrap();
    let error = HttpConnector.source(&mut options).unwrap_err();
    assert_eq!(error.state().0, "0A000");
}
