//! Sockets and threads: an accept loop for each listener and one thread per connection. All threads are joined at the
//! end.
//!
//! Reads frames into one buffer per connection and writes each answer with one call. Knows nothing of what frames mean.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::engine::{Conversation, Engine};
use super::faults::{Faults, Verdict};
use super::wire::{self, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameHeader, PROTO_MESSAGE};

/// The open connections of a listener, so that another thread can close them.
#[derive(Clone, Default)]
pub struct Connections {
    open: Arc<Mutex<HashMap<u64, TcpStream>>>,
}

impl Connections {
    fn add(&self, id: u64, stream: TcpStream) {
        self.open.lock().insert(id, stream);
    }

    fn remove(&self, id: u64) {
        self.open.lock().remove(&id);
    }

    pub fn close_all(&self) {
        for stream in self.open.lock().values() {
            // A connection that the other side has closed cannot be shut down again. It ends anyway.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Registers a connection among the open ones until it is dropped.
struct Registered(Connections, u64);

impl Drop for Registered {
    fn drop(&mut self) {
        self.0.remove(self.1);
    }
}

type Handler = Arc<dyn Fn(TcpStream) + Send + Sync>;

/// Connection threads. Dropping them waits until they end.
#[derive(Default)]
pub struct Threads(Vec<JoinHandle<()>>);

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // The thread has already printed its panic; there is nothing to add here.
            let _ = thread.join();
        }
    }
}

/// An accept loop with its connection threads. Stops and joins them all when dropped.
pub struct Listener {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<Threads>>,
}

impl Listener {
    /// `accept` decides whether a new connection is served or closed at once.
    pub fn serve(
        listener: TcpListener,
        name: &'static str,
        connections: Connections,
        accept: impl Fn() -> bool + Send + 'static,
        handler: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let handler: Handler = Arc::new(handler);
        let stopping = Arc::new(AtomicBool::new(false));
        let acceptor = {
            let stopping = stopping.clone();
            thread::Builder::new()
                .name(format!("{name}-accept"))
                .spawn(move || accept_loop(listener, name, &stopping, &connections, &accept, &handler))?
        };
        Ok(Listener {
            addr,
            stopping,
            acceptor: Some(acceptor),
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops listening and closes all connections. Their threads end when they notice.
    pub fn stop(mut self) -> Threads {
        self.end()
    }

    fn end(&mut self) -> Threads {
        let Some(acceptor) = self.acceptor.take() else {
            return Threads::default();
        };
        self.stopping.store(true, Ordering::SeqCst);
        // The accept loop waits for a connection; this one wakes it. The loop closes the others.
        let woken = TcpStream::connect_timeout(&self.addr, Duration::from_secs(1));
        if woken.is_ok() || acceptor.is_finished() {
            // The thread has already printed its panic; there is nothing to add here.
            return acceptor.join().unwrap_or_default();
        }
        Threads::default()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the threads that must still be joined.
fn accept_loop(
    listener: TcpListener,
    name: &str,
    stopping: &AtomicBool,
    connections: &Connections,
    accept: &dyn Fn() -> bool,
    handler: &Handler,
) -> Threads {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        if stopping.load(Ordering::SeqCst) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Usually there are no file descriptors left. Without a pause, this would be a busy loop.
                log::warn!("{name}: cannot accept a connection: {error}");
                thread::sleep(Duration::from_millis(10));
                continue;
            }
        };
        let Ok(copy) = stream.try_clone() else { continue };
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        // Registered before `accept` is asked, so that a refusal that begins now closes it.
        connections.add(id, copy);
        if !accept() {
            connections.remove(id);
            continue;
        }
        let (handler, registry) = (handler.clone(), connections.clone());
        let spawned = thread::Builder::new().name(format!("{name}-conn")).spawn(move || {
            // Dropped after the stream, and also by a panic: the other half of the socket must not stay open.
            let _registered = Registered(registry, id);
            handler(stream);
        });
        match spawned {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                connections.remove(id);
                log::warn!("{name}: cannot serve a connection: {error}");
            }
        }
    }
    drop(listener);
    connections.close_all();
    Threads(threads)
}

/// Serves one connection until either side ends it.
pub fn converse(engine: &Arc<Engine>, mut stream: TcpStream) {
    engine.counters.connections.fetch_add(1, Ordering::Relaxed);
    // Answers are written completely, so there is nothing to gain by waiting for more.
    let _ = stream.set_nodelay(true);
    match &engine.tls {
        None => {
            answer_all(engine, &mut stream);
            let _ = stream.shutdown(Shutdown::Both);
        }
        Some(tls) => {
            if let Some(mut stream) = tls.accept(stream) {
                answer_all(engine, &mut stream);
                let _ = stream.sock.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Answers on one connection until either side ends it.
pub fn answer_all(engine: &Arc<Engine>, stream: &mut (impl Read + Write)) {
    let mut frames = Frames::default();
    let mut conversation = Conversation::default();
    let mut out = Vec::new();
    let presence = &engine.node.presence;
    let life = presence.life();
    // An error means that the client left or that we closed the socket. Both only end the conversation.
    while let Ok(Some((header, body))) = frames.next(stream) {
        let (verdict, faults) = engine.faults.judge(header.kind == PROTO_MESSAGE);
        match verdict {
            Verdict::Drop => continue,
            Verdict::Hold => {
                hold(engine, faults, header, &frames.buffer[body], &conversation);
                continue;
            }
            // Cleared or stopped meanwhile: it never takes effect.
            Verdict::ApplyAfter(after) if !faults.wait(after) => continue,
            _ => {}
        }
        // A node that has left answers nothing. If it refuses, the connection is closed too.
        if !presence.is_still(life) {
            continue;
        }
        out.clear();
        if !engine.answer(header, &frames.buffer[body], &mut conversation, &mut out) {
            break;
        }
        let sent = match verdict {
            Verdict::Answer => stream.write_all(&out),
            Verdict::AnswerAfter(after) => {
                faults.wait(after);
                stream.write_all(&out)
            }
            Verdict::Apply | Verdict::ApplyAfter(_) | Verdict::Hold | Verdict::Drop => Ok(()),
            Verdict::Reset => {
                let _ = stream.write_all(&out[..out.len().min(RESET_BYTES)]);
                break;
            }
        };
        if sent.is_err() {
            break;
        }
        frames.release();
        if out.capacity() > KEPT_BYTES {
            out = Vec::new();
        }
    }
}

/// Keeps a message until it is released. The connection continues without it.
fn hold(engine: &Arc<Engine>, faults: &Faults, header: FrameHeader, body: &[u8], conversation: &Conversation) {
    let (body, mut conversation) = (body.to_vec(), conversation.apart());
    let life = engine.node.presence.life();
    // Weak, because the engine owns the faults, and the faults own this.
    let later = Arc::downgrade(engine);
    faults.hold(Box::new(move || {
        if let Some(engine) = later.upgrade()
            && engine.node.presence.is_still(life)
        {
            engine.answer(header, &body, &mut conversation, &mut Vec::new());
        }
    }));
}

/// How much of an answer is sent before a reset: less than the frame's header and one row's.
const RESET_BYTES: usize = 20;
const READ_BYTES: usize = 64 * 1024;
/// A buffer that grew beyond this for one frame is freed afterwards.
const KEPT_BYTES: usize = 8 << 20;

/// Splits a byte stream into frames, with one buffer.
#[derive(Default)]
struct Frames {
    buffer: Vec<u8>,
    /// The part of the buffer that is read but not returned yet.
    pending: Range<usize>,
}

impl Frames {
    /// The next frame: its header, and the range of its body in the buffer. `None`: the stream ended, or the frame is
    /// not allowed.
    fn next(&mut self, stream: &mut impl Read) -> io::Result<Option<(FrameHeader, Range<usize>)>> {
        if !self.fill(stream, FRAME_HEADER_BYTES)? {
            return Ok(None);
        }
        let start = self.pending.start;
        let Some(header) = self.buffer[start..]
            .first_chunk()
            .map(|bytes| wire::frame_header(*bytes))
        else {
            return Ok(None);
        };
        let bytes = match usize::try_from(header.bytes) {
            Ok(bytes) if bytes <= FRAME_BYTES_MAX && header.version == wire::PROTO_VERSION => bytes,
            _ => return Ok(None),
        };
        if !self.fill(stream, FRAME_HEADER_BYTES + bytes)? {
            return Ok(None);
        }
        let body = self.pending.start + FRAME_HEADER_BYTES..self.pending.start + FRAME_HEADER_BYTES + bytes;
        self.pending.start = body.end;
        Ok(Some((header, body)))
    }

    /// Reads until `wanted` bytes are pending. `false`: the stream ended first.
    fn fill(&mut self, stream: &mut impl Read, wanted: usize) -> io::Result<bool> {
        while self.pending.len() < wanted {
            if self.pending.start > 0 && self.pending.start + wanted > self.buffer.len() {
                self.buffer.copy_within(self.pending.clone(), 0);
                self.pending = 0..self.pending.len();
            }
            if self.pending.len() == self.buffer.len() {
                // The buffer grows to the claimed length only when a full buffer of data has arrived. The new zeroed
                // memory is not touched before its data arrives.
                let mut larger = vec![0; if self.buffer.is_empty() { READ_BYTES } else { wanted }];
                larger[..self.pending.len()].copy_from_slice(&self.buffer);
                self.buffer = larger;
            }
            match stream.read(&mut self.buffer[self.pending.end..]) {
                Ok(0) => return Ok(false),
                Ok(bytes) => self.pending.end += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn release(&mut self) {
        if self.pending.is_empty() && self.buffer.len() > KEPT_BYTES {
            *self = Frames::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns its bytes in pieces of this size.
    struct Drip(Vec<u8>, usize);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.1.min(self.0.len()).min(buffer.len());
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0.drain(..bytes);
            Ok(bytes)
        }
    }

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = wire::begin_frame(&mut out, kind);
        out.extend_from_slice(body);
        wire::end_frame(&mut out, start);
        out
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let bodies = [vec![1; 5], vec![2; 200_000], vec![], vec![3; 70_000], vec![4; 1]];
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(1, body)).collect();
        for step in [1, 7, 4096, 1 << 20] {
            let mut stream = Drip(stream.clone(), step);
            let mut frames = Frames::default();
            for body in &bodies {
                let (header, range) = frames.next(&mut stream).unwrap().unwrap();
                assert_eq!(header.bytes as usize, body.len());
                assert_eq!(&frames.buffer[range], body.as_slice(), "in steps of {step}");
            }
            assert!(frames.next(&mut stream).unwrap().is_none());
        }
    }

    #[test]
    fn a_frame_over_the_bound_or_of_another_protocol_ends_the_stream() {
        let mut too_big = vec![2, 3];
        too_big.extend_from_slice(&(FRAME_BYTES_MAX as u64 + 1).to_be_bytes()[2..]);
        for bytes in [too_big, vec![b'G', b'E', b'T', b' ', b'/', b' ', b'H', b'T']] {
            assert!(Frames::default().next(&mut Drip(bytes, 100)).unwrap().is_none());
        }
    }

    #[test]
    fn a_claimed_length_allocates_nothing_before_its_bytes_arrive() {
        let mut bytes = vec![2, 3];
        bytes.extend_from_slice(&(FRAME_BYTES_MAX as u64).to_be_bytes()[2..]);
        let mut frames = Frames::default();
        assert!(frames.next(&mut Drip(bytes, 100)).unwrap().is_none());
        assert!(frames.buffer.len() <= READ_BYTES);
    }
}
