//! A small HTTP server: one thread, sockets that never block it, and a limit on everything that a client can use.
//!
//! It serves `GET` and `HEAD` only, one request per connection. The thread waits until sockets are ready (`mio`,
//! edge-triggered). Then each connection does as much as it can without blocking. A connection ends at its deadline,
//! whatever its client does. If there is no room for a new connection, the server ends the one that has been idle for
//! the longest time. The server knows no paths: the handler makes the answers.

mod connection;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{error, warn};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::util::throttle::Throttle;
use connection::{Connection, Next};
pub use wire::{Answer, Request, Status};
// For the fuzz targets.
#[doc(hidden)]
pub use wire::{Head, read};

/// Limits on what clients can use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Number of connections at the same time.
    pub connections_max: usize,
    /// Size of a request, from its first byte to the end of its headers.
    pub head_bytes_max: usize,
    /// Lifetime of a connection.
    pub connection_max: Duration,
    /// A connection that has been idle for less time than this is not ended for a new one. The new one waits.
    pub idle_min: Duration,
    /// Total size of all answers that clients have not read yet. A single answer may be larger.
    pub unread_bytes_max: usize,
    /// How many bytes the server reads and throws away after the answer. If it closed a connection that has unread
    /// bytes, the connection would be reset, and the client could lose the answer.
    pub surplus_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 64,
            head_bytes_max: 8 * 1024,
            connection_max: Duration::from_secs(10),
            idle_min: Duration::from_secs(1),
            unread_bytes_max: 4 * 1024 * 1024,
            surplus_bytes_max: 1024 * 1024,
        }
    }
}

/// The server cannot listen at the address.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { address, source } = self;
        let port = address.port();
        write!(f, "http: cannot listen at {address} error=\"{source}\" cure=\"")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "another program listens there (ss -ltnp sport = {port} names it), perhaps another penstock: \
                 end it, or choose another port in http.listen"
            )?,
            io::ErrorKind::AddrNotAvailable => f.write_str(
                "no network interface of this machine has this address: write 127.0.0.1, 0.0.0.0 for all, or one of its own \
                 in http.listen",
            )?,
            io::ErrorKind::PermissionDenied => {
                f.write_str("ports below 1024 need rights of their own: choose a higher one in http.listen")?;
            }
            _ => f.write_str("choose another address in http.listen, or remove [http]")?,
        }
        f.write_str("\"")
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A server that listens, but does not answer yet.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    listener: TcpListener,
    poll: Poll,
    waker: Arc<Waker>,
    limits: Limits,
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

impl Server {
    /// Listens at this address. Port 0 means any free port.
    ///
    /// # Errors
    /// If the address is in use, or not available on this machine.
    pub fn bind(address: SocketAddr, limits: Limits) -> Result<Server, BindError> {
        Self::listen(address, limits).map_err(|source| BindError { address, source })
    }

    fn listen(address: SocketAddr, limits: Limits) -> io::Result<Server> {
        let mut listener = TcpListener::bind(address)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Server {
            address: listener.local_addr()?,
            listener,
            poll,
            waker,
            limits,
        })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers on its own thread, until the returned value is dropped. If the handler panics, only that one request
    /// gets no answer.
    ///
    /// # Errors
    /// If the operating system cannot start the thread.
    pub fn start(self, handler: impl Fn(&Request) -> Answer + Send + 'static) -> io::Result<Running> {
        let (address, waker) = (self.address, self.waker.clone());
        let serving = Serving::new(self, handler);
        let is_stopped = serving.is_stopped.clone();
        let thread = thread::Builder::new().name("http".into()).spawn(|| serving.run())?;
        Ok(Running {
            address,
            is_stopped,
            waker,
            thread: Some(thread),
        })
    }
}

/// A server that answers. It ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        let woken = self.waker.wake();
        // If the thread could not be woken, nobody waits for it. If it panicked, the panic hook has printed that.
        if let (Ok(()), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

/// How long the server waits after it failed to accept (no file descriptor is left, for example).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The state of the thread.
struct Serving {
    server: Server,
    slots: Vec<Option<Connection>>,
    /// A connection that is accepted, and waits for a slot.
    next: Option<TcpStream>,
    /// When to accept again, after accepting failed.
    accept_again: Option<Instant>,
    refused: Throttle,
    handler: Box<dyn Fn(&Request) -> Answer + Send>,
    is_stopped: Arc<AtomicBool>,
}

impl Serving {
    fn new(server: Server, handler: impl Fn(&Request) -> Answer + Send + 'static) -> Serving {
        Serving {
            slots: (0..server.limits.connections_max).map(|_| None).collect(),
            server,
            next: None,
            accept_again: None,
            refused: Throttle::default(),
            handler: Box::new(handler),
            is_stopped: Arc::default(),
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut is_more = false;
        loop {
            let timeout = if is_more { Some(Duration::ZERO) } else { self.wait_max() };
            match self.server.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    error!("http: cannot wait for clients; the endpoints are gone error=\"{error}\"");
                    return;
                }
            }
            if self.is_stopped.load(Ordering::Acquire) {
                return;
            }
            for event in &events {
                if event.token() != LISTENER && event.token() != WAKER {
                    self.go_on(event.token().0);
                }
            }
            self.end_late();
            is_more = self.accept();
        }
    }

    /// The time until the next deadline, or until a waiting connection may take another one's place.
    fn wait_max(&self) -> Option<Duration> {
        let connections = self.slots.iter().flatten();
        let deadlines = connections.clone().map(|each| each.deadline);
        let idle = connections
            .filter(|_| self.next.is_some())
            .map(|each| each.active_at + self.server.limits.idle_min);
        let now = Instant::now();
        deadlines
            .chain(idle)
            .chain(self.accept_again)
            .min()
            .map(|at| at.saturating_duration_since(now))
    }

    fn go_on(&mut self, slot: usize) {
        let Some(Some(connection)) = self.slots.get_mut(slot) else {
            return; // an event from before its end
        };
        let handler = &self.handler;
        let answer = |request: &Request| {
            // The handler only reads, so a panic leaves nothing half changed.
            catch_unwind(AssertUnwindSafe(|| handler(request)))
                .unwrap_or_else(|_| Answer::text(Status::InternalError, "a bug: the log has it\n"))
        };
        match connection.go_on(&self.server.limits, &answer) {
            Next::Waits => self.bound_unread(slot),
            Next::Ended => self.end(slot),
        }
    }

    fn end(&mut self, slot: usize) {
        // The poll forgets a socket that is closed.
        if let Some(place) = self.slots.get_mut(slot) {
            *place = None;
        }
    }

    /// Ends the connections whose deadline has passed.
    fn end_late(&mut self) {
        let now = Instant::now();
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|each| each.deadline <= now) {
                *slot = None;
            }
        }
    }

    /// While the unread answers are too large in total, ends connections that have not read theirs, the idlest one
    /// first. Never ends `kept`.
    fn bound_unread(&mut self, kept: usize) {
        let unread = |slots: &[Option<Connection>]| slots.iter().flatten().map(Connection::unread).sum::<usize>();
        while unread(&self.slots) > self.server.limits.unread_bytes_max {
            let Some(slot) = self.idlest(|slot, each| slot != kept && each.unread() > 0) else {
                return;
            };
            self.end(slot);
        }
    }

    fn idlest(&self, is_meant: impl Fn(usize, &Connection) -> bool) -> Option<usize> {
        let used = (0..)
            .zip(&self.slots)
            .filter_map(|(slot, each)| Some((slot, each.as_ref()?)));
        used.filter(|(slot, each)| is_meant(*slot, each))
            .min_by_key(|(_, each)| each.active_at)
            .map(|(slot, _)| slot)
    }

    /// Accepts new connections. `true`: there may be more, but the open connections get their turn first.
    fn accept(&mut self) -> bool {
        self.accept_again = None;
        for _ in 0..self.server.limits.connections_max {
            if self.next.is_none() {
                match self.server.listener.accept() {
                    Ok((stream, _)) => self.next = Some(stream),
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock => return false,
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => continue,
                        _ => {
                            if let Some(repeated) = self.refused.pass() {
                                warn!(
                                    "http: cannot accept clients; trying again error=\"{error}\" repeated={repeated}"
                                );
                            }
                            self.accept_again = Some(Instant::now() + ACCEPT_AGAIN);
                            return false;
                        }
                    },
                }
            }
            let Some(slot) = self.free_slot() else {
                return false;
            };
            if let Some(stream) = self.next.take() {
                self.admit(slot, stream);
            }
        }
        true
    }

    /// Returns a free slot. If all slots are in use, ends the idlest connection, if it has been idle for long enough.
    fn free_slot(&mut self) -> Option<usize> {
        let free = self.slots.iter().position(Option::is_none);
        free.or_else(|| {
            let now = Instant::now();
            let idle_min = self.server.limits.idle_min;
            let slot = self.idlest(|_, each| each.active_at + idle_min <= now)?;
            self.end(slot);
            Some(slot)
        })
    }

    fn admit(&mut self, slot: usize, mut stream: TcpStream) {
        let interest = Interest::READABLE | Interest::WRITABLE;
        // If the poll cannot register the socket, the connection is closed here.
        if self
            .server
            .poll
            .registry()
            .register(&mut stream, Token(slot), interest)
            .is_ok()
            && let Some(place) = self.slots.get_mut(slot)
        {
            *place = Some(Connection::new(stream, &self.server.limits));
            self.go_on(slot);
        }
    }
}
