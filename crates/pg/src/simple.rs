//! The simple query protocol: the statements of one text, one after another, each answered before the next begins.

use pgwire::messages::copy::{CopyDone, CopyOutResponse};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};

use dataflow::{Error, SqlState};

use crate::backend::{CopyFormat, Outcome, Parsed, Rows, TransactionStatus, is_live};
use crate::cancel::Stop;
use crate::connection::{Connection, drive};
use crate::copy;
use crate::encode::Format;
use crate::error::{Failure, Step};
use crate::rows::{RowFeed, Sink, description, flush};

/// The tag of the statement that forgets prepared statements too.
const DISCARD_ALL: &str = "DISCARD ALL";

impl Connection {
    /// Answers a Query message.
    pub(crate) async fn simple(&mut self, text: &str) -> Step<()> {
        self.extended.forget_unnamed();
        let mut stop = self.stop();
        let running = self.entry.running(stop.cancel.clone());
        let failed = match self.statements(text, &mut stop).await {
            Err(Failure::Statement(error)) => Some(error),
            other => {
                other?;
                None
            }
        };
        if let Some(error) = failed {
            self.failed(&error, Some(text))?;
        }
        drop(running);
        self.finish_batch(Some(text)).await?;
        self.ready().await
    }

    async fn statements(&mut self, text: &str, stop: &mut Stop) -> Step<()> {
        let statements = self.session.parse(text)?;
        if statements.is_empty() {
            return self.put(EmptyQueryResponse::new());
        }
        for parsed in &statements {
            // What is written already must not wait for a statement that keeps the thread busy.
            flush(&mut self.writer, stop).await?;
            stop.deadline = if is_live(parsed) {
                None
            } else {
                self.deadline()
            };
            match self.execute(parsed, &[], stop).await? {
                Outcome::Rows(rows) => self.rows(rows, stop).await?,
                Outcome::Copy(rows, format) => self.copy_out(rows, format, stop).await?,
                Outcome::Done(tag) => self.done(tag)?,
            }
        }
        Ok(())
    }

    /// Runs a statement up to its outcome; notices so far are sent.
    pub(crate) async fn execute(
        &mut self,
        parsed: &Parsed,
        params: &[datafusion::scalar::ScalarValue],
        stop: &Stop,
    ) -> Step<Outcome> {
        let work = self.session.execute(parsed, params, &stop.cancel);
        let outcome = drive(&mut self.writer, stop, work).await?;
        self.notices()?;
        Ok(outcome)
    }

    async fn rows(&mut self, rows: Rows, stop: &Stop) -> Step<()> {
        let mut feed = RowFeed::new(
            rows,
            &[Format::Text],
            self.encode_options()?,
            Sink::DataRows,
        )?;
        self.put(description(feed.columns()))?;
        let (_, sent) = feed.feed(&mut self.writer, stop, None).await?;
        self.complete(feed.tag(sent))
    }

    /// Sends a result in COPY-out form.
    pub(crate) async fn copy_out(
        &mut self,
        rows: Rows,
        format: CopyFormat,
        stop: &Stop,
    ) -> Step<()> {
        let header = format == CopyFormat::Csv { header: true };
        let mut feed = RowFeed::new(
            rows,
            &[Format::Text],
            self.encode_options()?,
            Sink::Copy(format),
        )?;
        let columns = i16::try_from(feed.columns().len())
            .map_err(|_| Error::new(SqlState::PROGRAM_LIMIT, "too many columns"))?;
        self.put(CopyOutResponse::new(
            0,
            columns,
            vec![0; feed.columns().len()],
        ))?;
        let mut sent_header = Ok(());
        if header {
            sent_header = self.writer.copy_data(|out| {
                copy::header(feed.columns(), out);
                Ok(())
            });
        }
        sent_header?;
        let (_, sent) = feed.feed(&mut self.writer, stop, None).await?;
        self.put(CopyDone::new())?;
        self.complete(feed.tag(sent))
    }

    /// A statement without rows is done.
    pub(crate) fn done(&mut self, tag: String) -> Step<()> {
        if tag == DISCARD_ALL {
            self.extended.forget_all();
        }
        self.complete(tag)
    }

    /// Ends a statement: its notices, then its command tag.
    pub(crate) fn complete(&mut self, tag: String) -> Step<()> {
        self.notices()?;
        self.put(CommandComplete::new(tag))
    }

    /// Lets gathered DDL take effect. Portals end with their transaction.
    pub(crate) async fn finish_batch(&mut self, text: Option<&str>) -> Step<()> {
        let stop = self.stop();
        let running = self.entry.running(stop.cancel.clone());
        match drive(&mut self.writer, &stop, self.session.finish_batch()).await {
            Err(Failure::Statement(error)) => self.failed(&error, text)?,
            other => other?,
        }
        drop(running);
        if self.session.transaction_status() == TransactionStatus::Idle {
            self.extended.forget_portals();
        }
        Ok(())
    }
}
