//! Messages on their way to a client, and when they leave.
//!
//! Messages gather in one buffer. Who produces rows flushes when the source turns `Pending`, when the buffer is
//! [`Writer::full`], and when its first row has waited long enough ([`Writer::overdue`]).

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use pgwire::messages::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use dataflow::{Error, Result, SqlState};

use crate::encode::Cells;

/// Bytes from which the buffer is flushed.
const FULL_BYTES: usize = 64 * 1024;
/// How long a row waits for others to come along.
const MAX_DELAY: Duration = Duration::from_millis(10);
/// Capacity above which an empty buffer is given back.
const KEEP_BYTES: usize = 4 * FULL_BYTES;

/// The sending half of a connection.
pub(crate) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Buffers messages and writes them.
pub(crate) struct Writer {
    socket: WriteHalf,
    buffer: BytesMut,
    /// When the oldest message in the buffer was put there.
    since: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(socket: WriteHalf) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            since: None,
        }
    }

    /// Appends a message.
    pub(crate) fn put(&mut self, message: impl Message) -> Result<()> {
        let start = self.buffer.len();
        self.stamp();
        message.encode(&mut self.buffer).map_err(|error| {
            self.buffer.truncate(start);
            Error::internal(format!("a message cannot be sent: {error}"))
        })
    }

    /// Appends a byte that is no message: the answer to an encryption request.
    pub(crate) fn put_byte(&mut self, byte: u8) {
        self.stamp();
        self.buffer.put_u8(byte);
    }

    /// Appends a row of cells as a DataRow.
    pub(crate) fn data_row(&mut self, cells: &[Cells], row: usize) -> Result<()> {
        let columns = u16::try_from(cells.len()).map_err(|_| too_large())?;
        self.framed(b'D', |buffer| {
            buffer.put_u16(columns);
            for cell in cells {
                match cell.get(row) {
                    None => buffer.put_i32(-1),
                    Some(value) => {
                        buffer.put_i32(i32::try_from(value.len()).map_err(|_| too_large())?);
                        buffer.put_slice(value);
                    }
                }
            }
            Ok(())
        })
    }

    /// Appends a CopyData whose body `write` appends.
    pub(crate) fn copy_data(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<()>,
    ) -> Result<()> {
        self.framed(b'd', write)
    }

    fn framed(&mut self, kind: u8, write: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
        self.stamp();
        let start = self.buffer.len();
        self.buffer.put_u8(kind);
        self.buffer.put_i32(0);
        let written = write(&mut self.buffer)
            .and_then(|()| i32::try_from(self.buffer.len() - start - 1).map_err(|_| too_large()));
        match written {
            Ok(length) => {
                self.buffer[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            Err(error) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    fn stamp(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether something waits to be flushed.
    pub(crate) fn pending(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether the buffer holds as much as should leave at once.
    pub(crate) fn full(&self) -> bool {
        self.buffer.len() >= FULL_BYTES
    }

    /// Whether the oldest message has waited as long as any may.
    pub(crate) fn overdue(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= MAX_DELAY)
    }

    /// Writes everything. Dropped half-way it loses nothing and writes nothing twice: the rest stays in the buffer.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.buffer.has_remaining() {
            if self.socket.write_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.socket.flush().await?;
        self.since = None;
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Tells the client that nothing more will come.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }
}

fn too_large() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT, "a row is too large to be sent")
}
