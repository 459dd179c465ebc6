//! Runs scripts in a session of this process: rows to standard output, notices to standard error.

use database::{Cancel, Notice, Outcome as Answer, Rows, Session};
use dataflow::{Error, SqlState};
use futures::StreamExt;
use pg::backend::CopyFormat;
use pg::encode::{Cells, EncodeOptions, RowEncoder, Zone, columns};

use crate::output::Output;
use crate::report::{Failure, Outcome, Report};
use crate::script::Script;
use crate::table::{Row, Table, csv_line, text_line};

/// What a script did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Statements that were run.
    pub(crate) statements: usize,
    /// Materialized views that were created.
    pub(crate) views: usize,
    /// A SUBSCRIBE was ended by the user: nothing more is to be run.
    pub(crate) stopped: bool,
}

/// Runs scripts one after the other.
pub(crate) struct Runner<'a> {
    session: Session,
    output: &'a Output,
    stop: &'a Cancel,
    /// Notices are shown too, not only warnings.
    chatty: bool,
}

impl<'a> Runner<'a> {
    /// A runner whose statements end when `stop` is cancelled.
    pub(crate) fn new(
        session: Session,
        output: &'a Output,
        stop: &'a Cancel,
        chatty: bool,
    ) -> Self {
        Self {
            session,
            output,
            stop,
            chatty,
        }
    }

    /// Runs the statements of a script. What its last statements created takes effect with [`Runner::finish`].
    pub(crate) async fn run(&mut self, script: &Script) -> Outcome<Done> {
        let parsed = self.session.parse(script.text());
        let parsed = parsed.map_err(|error| located(script, error))?;
        let mut done = Done::default();
        for statement in &parsed {
            let cancel = self.stop.child_token();
            let answer = self.session.execute(statement, &[], &cancel).await;
            self.show_notices();
            let at = |error: Error| located(script, error.at(Some(statement.location)));
            let ended = match answer {
                Ok(answer) => self.show(answer, &mut done).await,
                Err(error) => Err(Stopped::Error(error)),
            };
            match ended {
                Ok(()) => {}
                Err(Stopped::Failure(failure)) => return Err(failure),
                Err(Stopped::Error(error)) if self.is_interrupt(&error) => {
                    return Err(Failure::Interrupted);
                }
                Err(Stopped::Error(error)) => return Err(at(error)),
            }
            done.statements += 1;
            if done.stopped {
                break;
            }
        }
        Ok(done)
    }

    /// What was created takes effect, all of it together.
    pub(crate) async fn finish(&mut self) -> Outcome {
        let result = self.session.finish_batch().await;
        self.show_notices();
        Ok(result?)
    }

    fn is_interrupt(&self, error: &Error) -> bool {
        self.stop.is_cancelled() && error.state() == SqlState::QUERY_CANCELED
    }

    async fn show(&self, answer: Answer, done: &mut Done) -> Result<(), Stopped> {
        match answer {
            Answer::Done(tag) => {
                done.views += usize::from(tag == "CREATE MATERIALIZED VIEW");
                Ok(())
            }
            Answer::Rows(rows) if rows.tag == "SUBSCRIBE" => {
                let ended = self.lines(rows, &CopyFormat::Text).await;
                self.live_end(ended, done)
            }
            Answer::Rows(rows) => self.table(rows).await,
            Answer::Copy(rows, format) => {
                let ended = self.lines(rows, &format).await;
                self.live_end(ended, done)
            }
        }
    }

    /// That the user ends a SUBSCRIBE is its usual end.
    fn live_end(&self, ended: Result<(), Stopped>, done: &mut Done) -> Result<(), Stopped> {
        match ended {
            Err(Stopped::Error(error)) if self.is_interrupt(&error) => {
                done.stopped = true;
                Ok(())
            }
            other => other,
        }
    }

    async fn table(&self, mut rows: Rows) -> Result<(), Stopped> {
        let mut encoder = self.encoder(&rows)?;
        let mut table = Table::new(names(&encoder));
        while let Some(batch) = rows.stream.next().await {
            encoder.push(batch?)?;
            while let Some((cells, row)) = encoder.next_row()? {
                let row = values(cells, row);
                table.push(row, self.output).map_err(Stopped::output)?;
            }
        }
        table.finish(self.output).map_err(Stopped::output)
    }

    async fn lines(&self, mut rows: Rows, format: &CopyFormat) -> Result<(), Stopped> {
        let mut encoder = self.encoder(&rows)?;
        let mut out = Vec::new();
        if let CopyFormat::Csv { header: true } = format {
            csv_line(&names(&encoder).into_iter().map(Some).collect(), &mut out);
        }
        if rows.tag == "SUBSCRIBE" && self.chatty {
            let columns = names(&encoder).join(", ");
            self.output.note(format_args!("columns: {columns}"));
        }
        while let Some(batch) = rows.stream.next().await {
            encoder.push(batch?)?;
            while let Some((cells, row)) = encoder.next_row()? {
                let row = values(cells, row);
                match format {
                    CopyFormat::Text => text_line(&row, &mut out),
                    CopyFormat::Csv { .. } => csv_line(&row, &mut out),
                }
            }
            self.output.data(&out).map_err(Stopped::output)?;
            out.clear();
        }
        self.output.data(&out).map_err(Stopped::output)
    }

    fn encoder(&self, rows: &Rows) -> Result<RowEncoder, Error> {
        let mut options = EncodeOptions::default();
        if let Some(zone) = self.session.setting("timezone") {
            options.zone = Zone::parse(&zone)?;
        }
        Ok(RowEncoder::new(columns(&rows.schema, &[])?, options))
    }

    fn show_notices(&mut self) {
        for notice in self.session.take_notices() {
            self.show_notice(&notice);
        }
    }

    fn show_notice(&self, notice: &Notice) {
        if notice.severity == "WARNING" {
            self.output.warning(&notice.message);
        } else if self.chatty {
            self.output.note(&notice.message);
        } else {
            return;
        }
        if let Some(hint) = &notice.hint {
            self.output.hint(hint);
        }
    }
}

/// Why a statement ended early.
enum Stopped {
    Error(Error),
    Failure(Failure),
}

impl Stopped {
    fn output(error: std::io::Error) -> Self {
        Self::Failure(Failure::output(&error))
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The error with its place in the file.
fn located(script: &Script, error: Error) -> Failure {
    let place = error.location().map(|location| script.place(location));
    let mut report = Report::from(error);
    report.place = place;
    report.into()
}

fn names(encoder: &RowEncoder) -> Vec<String> {
    encoder.columns().iter().map(|c| c.name.clone()).collect()
}

fn values(cells: &[Cells], row: usize) -> Row {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    cells.iter().map(|cell| cell.get(row).map(text)).collect()
}
