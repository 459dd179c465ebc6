//! A result on its way: batches of a stream are encoded, written and flushed until the end, a row limit or a stop.

use futures::StreamExt;
use pgwire::messages::data::{FieldDescription, RowDescription};

use crate::backend::{BatchStream, CopyFormat, Rows};
use crate::cancel::Stop;
use crate::copy;
use crate::encode::{Column, EncodeOptions, Format, RowEncoder, columns};
use crate::error::Step;
use crate::writer::Writer;

/// What rows are written as.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    /// DataRow messages.
    DataRows,
    /// CopyData messages.
    Copy(CopyFormat),
}

/// How feeding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// The stream is at its end.
    All,
    /// The row limit was reached; there may be more rows.
    Limit,
}

/// A result whose rows are being sent.
pub(crate) struct RowFeed {
    stream: BatchStream,
    encoder: RowEncoder,
    sink: Sink,
    tag: &'static str,
}

impl RowFeed {
    /// A feed of `rows`, whose columns are written in `formats` (none, one for all, or one each).
    pub(crate) fn new(
        rows: Rows,
        formats: &[Format],
        options: EncodeOptions,
        sink: Sink,
    ) -> dataflow::Result<Self> {
        let columns = columns(&rows.schema, formats)?;
        Ok(Self {
            stream: rows.stream,
            encoder: RowEncoder::new(columns, options),
            sink,
            tag: rows.tag,
        })
    }

    /// The columns.
    pub(crate) fn columns(&self) -> &[Column] {
        self.encoder.columns()
    }

    /// The command tag after `rows` rows.
    pub(crate) fn tag(&self, rows: u64) -> String {
        match (&self.sink, self.tag) {
            (Sink::Copy(_), _) => format!("COPY {rows}"),
            (Sink::DataRows, tag @ ("SELECT" | "SUBSCRIBE" | "FETCH")) => format!("{tag} {rows}"),
            (Sink::DataRows, tag) => tag.to_owned(),
        }
    }

    /// Lets go of a stream that is at its end.
    pub(crate) fn finish(&mut self) {
        self.stream = Box::pin(futures::stream::empty());
    }

    /// Sends rows until the stream ends or `limit` rows were sent; gives their number too. While the stream has none,
    /// what was written is flushed.
    pub(crate) async fn feed(
        &mut self,
        writer: &mut Writer,
        stop: &Stop,
        limit: Option<u64>,
    ) -> Step<(Fed, u64)> {
        let mut sent = 0;
        loop {
            while let Some((cells, row)) = self.encoder.next_row()? {
                match &self.sink {
                    Sink::DataRows => writer.data_row(cells, row)?,
                    Sink::Copy(format) => {
                        writer.copy_data(|out| copy::line(cells, row, format, out))?
                    }
                }
                sent += 1;
                if limit == Some(sent) {
                    return Ok((Fed::Limit, sent));
                }
                if writer.full() {
                    flush(writer, stop).await?;
                }
            }
            if writer.overdue() {
                flush(writer, stop).await?;
            }
            tokio::task::consume_budget().await;
            tokio::select! {
                biased;
                failure = stop.stopped() => return Err(failure),
                batch = self.stream.next() => match batch {
                    Some(batch) => self.encoder.push(batch?)?,
                    None => return Ok((Fed::All, sent)),
                },
                flushed = writer.flush(), if writer.pending() => flushed?,
            }
        }
    }
}

/// Flushes, unless the statement is stopped first.
pub(crate) async fn flush(writer: &mut Writer, stop: &Stop) -> Step<()> {
    tokio::select! {
        biased;
        failure = stop.stopped() => Err(failure),
        flushed = writer.flush() => Ok(flushed?),
    }
}

/// The columns as a RowDescription.
pub(crate) fn description(columns: &[Column]) -> RowDescription {
    let field = |column: &Column| {
        let format = i16::from(column.format == Format::Binary);
        let kind = column.pg_type;
        FieldDescription::new(
            column.name.replace('\0', ""),
            0,
            0,
            kind.oid,
            kind.len,
            kind.modifier,
            format,
        )
    };
    RowDescription::new(columns.iter().map(field).collect())
}
