//! Tests of printing: prefixes, signs, flushes, and what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io;

use dataflow::schema::Encoding;
use dataflow::sink::may_pass;
use parking_lot::Mutex;

use super::*;
use crate::sink_testing::{declared, numbers, request, sink};
use crate::testing::source;

/// What was written and not flushed, and what was flushed.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Screen {
    fn shows(&self) -> String {
        String::from_utf8(self.0.lock().1.clone()).unwrap()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let (waiting, shown) = &mut *self.0.lock();
        shown.append(waiting);
        Ok(())
    }
}

/// Writes nothing.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writer(prefix: &str, updating: bool, out: impl Write + Send + 'static) -> PrintWriter {
    let sink = PrintSink {
        prefix: prefix.to_owned(),
        updating,
    };
    sink.writer(request("s"), Box::new(out))
}

#[test]
fn rows_are_lines_with_the_prefix_and_are_shown_at_a_commit() {
    let screen = Screen::default();
    let mut writer = writer("clicks> ", false, screen.clone());
    assert_eq!(writer.begin().unwrap(), None);
    writer.write(1, &[numbers(&[1, 2]), numbers(&[3])]).unwrap();
    writer.write(2, &[]).unwrap();
    assert_eq!(screen.shows(), "");
    writer.commit(2).unwrap();
    assert_eq!(screen.shows(), "clicks> 1\nclicks> 2\nclicks> 3\n");
    writer.write(3, &[numbers(&[4])]).unwrap();
    writer.commit(3).unwrap();
    assert!(screen.shows().ends_with("clicks> 3\nclicks> 4\n"));
}

#[test]
fn rows_that_are_taken_back_have_a_sign_and_keep_their_order() {
    let screen = Screen::default();
    let mut writer = writer("", true, screen.clone());
    let rows = numbers(&[1, 1, 2]).rows;
    let changes = DeltaBatch::new(rows, vec![1, -1, 1]);
    writer.write(1, &[changes, numbers(&[3])]).unwrap();
    writer.commit(1).unwrap();
    assert_eq!(screen.shows(), "+ 1\n- 1\n+ 2\n+ 3\n");
}

#[test]
fn trouble_may_pass() {
    let mut writer = writer("", false, Closed);
    let error = writer.write(1, &[numbers(&[1])]).unwrap_err();
    assert_eq!(error.state().0, "58030");
    assert!(
        error
            .message()
            .starts_with("cannot write to standard output: ")
    );
    assert!(may_pass(&error));
}

#[test]
fn it_is_a_sink_of_plain_rows_and_no_source() {
    for name in ["prefix", "print-identifier"] {
        let declared = declared(Encoding::Json);
        let sink = sink(&PrintConnector, &[(name, "a")], &declared).unwrap();
        assert_eq!(sink.target(), "standard output");
        assert_eq!(sink.delivery(), Delivery::AtLeastOnce);
    }
    let mut upsert = declared(Encoding::Json);
    upsert.format = SinkFormat::Upsert;
    let error = sink(&PrintConnector, &[], &upsert).unwrap_err();
    assert_eq!(
        error.message(),
        "FORMAT UPSERT with connector \"print\" is not supported"
    );
    let error = source(&PrintConnector, &[]).unwrap_err();
    assert_eq!(
        error.message(),
        "a source with connector \"print\" is not supported"
    );
}
