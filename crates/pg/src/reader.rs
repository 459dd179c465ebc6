//! The reading half of a connection: it reads all the time, also while a statement runs, so that it sees the client go.

use bytes::BytesMut;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use dataflow::Error;

use crate::frame::{Guard, Message};

/// Messages that wait for their turn at most.
const QUEUE_MESSAGES: usize = 4096;
/// Bytes of messages that wait for their turn, beyond the greatest single message.
const QUEUE_BYTES: usize = 16 << 20;
/// What a message counts at least.
const MESSAGE_BYTES: usize = 64;
/// Bytes that are read on while the queue has no room, to see whether the client is still there.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// Room that a read has at least.
const READ_BYTES: usize = 8 * 1024;

/// The receiving half of a connection.
pub(crate) type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;

/// A message, or the breach of the protocol that ends reading.
pub(crate) struct Inbound {
    pub message: Result<Message, Error>,
    /// Its share of the queue's bytes.
    pub room: OwnedSemaphorePermit,
}

/// Reads messages into a bounded queue.
pub(crate) struct Reader {
    socket: ReadHalf,
    buffer: BytesMut,
    guard: Guard,
    queue: mpsc::Sender<Inbound>,
    room: Arc<Semaphore>,
    gone: CancellationToken,
}

impl Reader {
    /// A reader that begins with the bytes in `buffer`. `gone` is fired when the client has left or says that it does.
    pub(crate) fn new(
        socket: ReadHalf,
        buffer: BytesMut,
        guard: Guard,
        gone: CancellationToken,
    ) -> (Self, mpsc::Receiver<Inbound>) {
        let (queue, inbox) = mpsc::channel(QUEUE_MESSAGES);
        let room = Arc::new(Semaphore::new(QUEUE_BYTES + guard.max_message));
        (
            Self {
                socket,
                buffer,
                guard,
                queue,
                room,
                gone,
            },
            inbox,
        )
    }

    /// Reads until the client is gone.
    pub(crate) async fn run(mut self) {
        // Fired by the drop, so also when this task panics.
        let _gone = self.gone.clone().drop_guard();
        loop {
            match self.guard.next(&mut self.buffer) {
                Ok(Some((Message::Terminate, _))) => return,
                Ok(Some((message, length))) => {
                    if !self.enqueue(Ok(message), length).await {
                        return;
                    }
                }
                Ok(None) => {
                    if !self.read().await {
                        return;
                    }
                }
                Err(breach) => {
                    self.buffer = BytesMut::new();
                    if self.enqueue(Err(breach), 0).await {
                        self.discard().await;
                    }
                    return;
                }
            }
        }
    }

    /// Queues a message; waits for room. False when the client is gone. When the session is over, reads on.
    async fn enqueue(&mut self, message: Result<Message, Error>, length: usize) -> bool {
        let share = u32::try_from(length.max(MESSAGE_BYTES)).unwrap_or(u32::MAX);
        let (room, queue) = (self.room.clone(), self.queue.clone());
        let mut place = Box::pin(async move {
            let room = room.acquire_many_owned(share).await.ok()?;
            Some((room, queue.reserve_owned().await.ok()?))
        });
        loop {
            tokio::select! {
                biased;
                place = &mut place => {
                    let Some((room, place)) = place else {
                        self.discard().await;
                        return false;
                    };
                    place.send(Inbound { message, room });
                    return true;
                }
                alive = read(&mut self.socket, &mut self.buffer), if self.buffer.len() < READ_AHEAD_BYTES => {
                    if !alive {
                        return false;
                    }
                }
            }
        }
    }

    async fn read(&mut self) -> bool {
        read(&mut self.socket, &mut self.buffer).await
    }

    /// Reads and forgets until the client is gone.
    async fn discard(&mut self) {
        while self.read().await {
            self.buffer.clear();
        }
    }
}

/// Reads some bytes; false at the end.
async fn read(socket: &mut ReadHalf, buffer: &mut BytesMut) -> bool {
    buffer.reserve(READ_BYTES);
    matches!(socket.read_buf(buffer).await, Ok(1..))
}
