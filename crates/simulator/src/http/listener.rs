//! A listener whose connections can be cut, so that a client sees no answer at all.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use futures::task::AtomicWaker;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Whether a kept-alive connection is to close, and the task to wake.
#[derive(Debug, Default)]
struct Closing {
    now: AtomicBool,
    reader: AtomicWaker,
}

/// Cuts one connection, or all of them when the server has stopped.
#[derive(Clone, Debug)]
pub struct Cut {
    connection: Arc<AtomicBool>,
    closing: Arc<Closing>,
    server: Arc<AtomicBool>,
}

impl Cut {
    /// Cuts the connection: nothing more is written to it.
    pub fn now(&self) {
        self.connection.store(true, Ordering::SeqCst);
    }

    /// Closes this connection after a while in an orderly way, as a server closes an idle one.
    pub fn later(&self, wait: Duration) {
        let closing = Arc::clone(&self.closing);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            closing.now.store(true, Ordering::SeqCst);
            closing.reader.wake();
        });
    }

    fn check(&self) -> io::Result<()> {
        if self.connection.load(Ordering::SeqCst) || self.server.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

/// Accepts connections that can be cut.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    stopped: Arc<AtomicBool>,
}

impl Listener {
    /// Wraps a bound listener; `stopped` cuts all connections.
    pub fn new(inner: TcpListener, stopped: Arc<AtomicBool>) -> Self {
        Self { inner, stopped }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.inner.accept().await {
                Ok((stream, peer)) => {
                    // Without this, answers sent in two writes wait for the client's delayed acknowledgement.
                    let _ = stream.set_nodelay(true);
                    let cut = Cut {
                        connection: Arc::default(),
                        closing: Arc::default(),
                        server: Arc::clone(&self.stopped),
                    };
                    return (Connection { stream, cut }, peer);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl Connected<IncomingStream<'_, Listener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().cut.clone()
    }
}

/// A connection that can be cut.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    cut: Cut,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = self.cut.check() {
            return Poll::Ready(Err(error));
        }
        self.cut.closing.reader.register(cx.waker());
        if self.cut.closing.now.load(Ordering::SeqCst) {
            // Acts as if the client had closed. The server then closes its side without having announced it
            // in its last answer.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Err(error) = self.cut.check() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Err(error) = self.cut.check() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
