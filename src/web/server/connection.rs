//! One connection: reads the request, writes the answer, then throws away what the client still sends.
//!
//! Does as much as it can without waiting. To handle a new kind of hostile client, change `go_on` and add a test to
//! `tests.rs`.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Instant;

use mio::net::TcpStream;

use super::Limits;
use super::wire::{self, Answer, Head, Request};

/// What the connection needs after its turn.
pub enum Next {
    /// Another turn, once the socket is ready.
    Waits,
    Ended,
}

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    state: State,
    /// When the connection ends, even if it is not finished.
    pub deadline: Instant,
    /// When it last read or wrote bytes, or when it was accepted.
    pub active_at: Instant,
}

#[derive(Debug)]
enum State {
    /// The request so far.
    Reading(Vec<u8>),
    /// The answer, and how much of it is sent.
    Writing(Vec<u8>, usize),
    /// The answer is sent. This many bytes from the client may still be read and thrown away. This gives the client
    /// time to read the answer.
    Closing(usize),
}

/// The size of one read. It is smaller than the limit for a head, so that a slow client does not use that much memory.
const CHUNK_BYTES: usize = 2048;

impl Connection {
    pub fn new(stream: TcpStream, limits: &Limits) -> Connection {
        let now = Instant::now();
        Connection {
            stream,
            state: State::Reading(Vec::new()),
            deadline: now + limits.connection_max,
            active_at: now,
        }
    }

    /// Number of bytes of the answer that the client has not taken yet.
    pub fn unread(&self) -> usize {
        match &self.state {
            State::Writing(answer, sent) => answer.len() - sent,
            State::Reading(_) | State::Closing(_) => 0,
        }
    }

    /// Goes on until the socket has no more bytes to read, or accepts no more bytes to write.
    pub fn go_on(&mut self, limits: &Limits, handler: &impl Fn(&Request) -> Answer) -> Next {
        loop {
            match self.step(limits, handler) {
                Ok(true) => self.active_at = Instant::now(),
                Ok(false) => return Next::Ended,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Next::Waits,
                    // The client is gone. There is nobody to answer.
                    _ => return Next::Ended,
                },
            }
        }
    }

    /// Does one read or one write. `false`: the connection has ended.
    fn step(&mut self, limits: &Limits, handler: &impl Fn(&Request) -> Answer) -> io::Result<bool> {
        let mut chunk = [0; CHUNK_BYTES];
        match &mut self.state {
            State::Reading(head) => {
                let room = CHUNK_BYTES.min(limits.head_bytes_max.saturating_sub(head.len()));
                let chunk = chunk.get_mut(..room).unwrap_or_default();
                let read = self.stream.read(chunk)?;
                if read == 0 {
                    return Ok(false);
                }
                head.extend_from_slice(chunk.get(..read).unwrap_or_default());
                let is_full = head.len() >= limits.head_bytes_max;
                let (answer, has_body) = match wire::read(head, is_full) {
                    Head::Partial => return Ok(true),
                    Head::Refused(answer) => (answer, true),
                    Head::Whole(request, has_body) => (handler(&request), has_body),
                };
                self.state = State::Writing(answer.encoded(has_body), 0);
                Ok(true)
            }
            State::Writing(answer, sent) => {
                let written = self.stream.write(answer.get(*sent..).unwrap_or_default())?;
                if written == 0 {
                    return Ok(false);
                }
                *sent += written;
                if *sent >= answer.len() {
                    self.state = State::Closing(limits.surplus_bytes_max);
                    self.stream.shutdown(Shutdown::Write)?;
                }
                Ok(true)
            }
            State::Closing(left) => {
                let read = self.stream.read(&mut chunk)?;
                *left = left.saturating_sub(read);
                Ok(read > 0 && *left > 0)
            }
        }
    }
}
