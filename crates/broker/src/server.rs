//! Listening and the connections: frames of bounded size in, answers out, one request at a time per connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::api;
use crate::shared::Shared;

/// The largest request, in bytes.
const MAX_FRAME_BYTES: i32 = 16 << 20;
/// The smallest request: key, version and correlation id.
const MIN_FRAME_BYTES: i32 = 8;
/// How long a connection may say nothing, and how long it may take to accept an answer.
const MAX_SILENCE: Duration = Duration::from_secs(10 * 60);
/// How often sessions and old batches are looked at.
const TICK: Duration = Duration::from_millis(50);
/// The pause after an accept that failed, e.g. because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until told to stop, or until whoever could tell is gone; then closes all connections.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            _ = ticks.tick() => shared.tick(),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) if connections.len() >= shared.config.max_connections => {
                    tracing::warn!(%peer, limit = shared.config.max_connections, "too many connections to the embedded broker");
                }
                Ok((stream, peer)) => {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        if let Err(reason) = serve(stream, peer, &shared).await {
                            tracing::debug!(%peer, %reason, "the embedded broker closes a connection");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded broker cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// One connection until it ends; an error says why it was ended from this side.
async fn serve(mut stream: TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(frame) = timeout(MAX_SILENCE, read_frame(&mut stream)).await?? {
        let answered = tokio::select! {
            answered = api::answer(shared, peer, frame) => answered,
            () = hung_up(&stream) => return Ok(()),
        };
        let Some(answer) = answered.map_err(io::Error::other)? else {
            continue;
        };
        timeout(MAX_SILENCE, stream.write_all(&answer.bytes)).await??;
        if answer.is_fetch {
            shared
                .bytes_out
                .fetch_add(answer.bytes.len() as u64, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The next request without its length, or `None` where the client closed the connection.
async fn read_frame(stream: &mut TcpStream) -> io::Result<Option<Bytes>> {
    let length = match stream.read_i32().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if !(MIN_FRAME_BYTES..=MAX_FRAME_BYTES).contains(&length) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a request of {length} bytes"),
        ));
    }
    // The buffer grows with what arrives, not with what was announced.
    let mut frame = BytesMut::new();
    let mut body = stream.take(u64::from(length.unsigned_abs()));
    while body.limit() > 0 {
        if body.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame.freeze()))
}

/// Ends when the client closes the connection, and never when it has sent more requests instead.
async fn hung_up(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        std::future::pending::<()>().await;
    }
}
