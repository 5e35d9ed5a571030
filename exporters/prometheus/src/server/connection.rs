//! One connection: what it is waiting for, how long it may, and how it ends.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Limits;
use super::guard::Refusal;
use super::routes::Site;
use super::stats::Closed;

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The rest of a request's header (from the start of a new connection: half-open until it is there).
    Header,
    /// Our answer.
    Answering,
    /// The client, to take the answer.
    Writing,
    /// The next request.
    Idle,
    /// The client, to read its last answer and go.
    Lingering,
}

/// The phase of a connection and since when. Written by the connection's task, read by the accept loop.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<(Phase, Instant)>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Phase::Header, Instant::now())))
    }

    /// Since when the connection has waited for its client; `None` while an answer is on its way.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let (phase, since) = *self.0.lock();
        match phase {
            Phase::Header | Phase::Idle | Phase::Lingering => Some(since),
            Phase::Answering | Phase::Writing => None,
        }
    }

    fn enter(&self, phase: Phase) {
        *self.0.lock() = (phase, Instant::now());
    }

    fn enter_from(&self, from: Phase, to: Phase) {
        let mut state = self.0.lock();
        if state.0 == from {
            *state = (to, Instant::now());
        }
    }

    /// When patience ends, and what it is called then. Answering has a limit of its own, which gives an answer.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Closed)> {
        let (phase, since) = *self.0.lock();
        let (patience, why) = match phase {
            Phase::Header => (limits.header_timeout, Closed::HeaderTimeout),
            Phase::Idle => (limits.idle_timeout, Closed::IdleTimeout),
            Phase::Writing => (limits.write_timeout, Closed::WriteTimeout),
            Phase::Answering | Phase::Lingering => return None,
        };
        Some((since + patience, why))
    }
}

/// Serves one connection until either side ends it, it waits too long, or the server stops.
pub(crate) async fn serve(
    mut stream: TcpStream,
    activity: Arc<Activity>,
    site: Arc<Site>,
    mut stop: watch::Receiver<bool>,
) {
    let end = {
        let service = service_fn(async |request| {
            activity.enter(Phase::Answering);
            let response = site.answer(request).await;
            activity.enter(Phase::Writing);
            Ok::<_, Infallible>(response)
        });
        let io = TokioIo::new(Watched { stream: &mut stream, activity: &activity });
        let limits = &site.limits;
        let connection = http1::Builder::new()
            // The deadlines below tell a header that does not come from a connection that rests between two
            // scrapes; hyper's one timeout would cover both.
            .header_read_timeout(None)
            .half_close(true)
            .max_header_size(limits.max_header_bytes)
            .max_buf_size(limits.max_header_bytes.max(8 * 1024))
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        let mut timer = pin!(sleep_until(Instant::now() + limits.header_timeout));
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        let mut stopping = false;
        poll_fn(|cx| {
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(End::Finished(result));
            }
            if stopping && activity.waiting_since().is_some() {
                return Poll::Ready(End::Stopped);
            }
            let Some((deadline, why)) = activity.deadline(limits) else { return Poll::Pending };
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().poll(cx).map(|()| End::TimedOut(why))
        })
        .await
    };
    match end {
        End::Stopped => {}
        End::TimedOut(why) => site.stats.close(why),
        End::Finished(result) => {
            if let Some(refusal) = result.err().and_then(|error| refusal_by_hyper(&error)) {
                site.stats.refuse(refusal);
            }
            activity.enter(Phase::Lingering);
            linger(&mut stream).await;
        }
    }
}

enum End {
    Finished(hyper::Result<()>),
    TimedOut(Closed),
    Stopped,
}

/// hyper answers these two by itself.
fn refusal_by_hyper(error: &hyper::Error) -> Option<Refusal> {
    if error.is_parse_too_large() {
        Some(Refusal::HeadTooLarge)
    } else if error.is_parse() {
        Some(Refusal::Malformed)
    } else {
        None
    }
}

/// Closing a socket with unread bytes can make the client's system throw away what it has not read yet, which would be
/// the refusal that says what was wrong. So the rest is read and dropped, within bounds; a client that is gone ends it.
async fn linger(stream: &mut TcpStream) {
    const PATIENCE: Duration = Duration::from_secs(1);
    const MOST: usize = 1 << 20;
    let drain = async {
        // hyper has done so already if all went well; then this fails on some systems.
        let _ = stream.shutdown().await;
        let mut scratch = [0; 4096];
        let mut read = 0;
        while read < MOST {
            match stream.read(&mut scratch).await? {
                0 => break,
                count => read += count,
            }
        }
        io::Result::Ok(())
    };
    // Whether the client went, broke off or was too slow, nothing is left to do for it.
    let _ = timeout(PATIENCE, drain).await;
}

/// The socket, with an eye on what passes.
struct Watched<'a> {
    stream: &'a mut TcpStream,
    activity: &'a Activity,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut *self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.enter_from(Phase::Idle, Phase::Header);
        }
        result
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.enter_from(Phase::Idle, Phase::Writing);
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.enter_from(Phase::Idle, Phase::Writing);
        Pin::new(&mut *self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes the socket when all that it had to write is written: the answer is out.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut *self.stream).poll_flush(cx);
        if result.is_ready() {
            self.activity.enter_from(Phase::Writing, Phase::Idle);
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}
