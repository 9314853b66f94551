//! One connection: its request is read, its answer written, and what its client still says thrown away.
//!
//! Goes on as far as it can without waiting. A new kind of hostile client is a case of `go_on`, and a test in `tests.rs`.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Instant;

use mio::net::TcpStream;

use super::Limits;
use super::wire::{self, Answer, Head, Request};

/// What comes after a turn.
pub enum Next {
    /// More, once the socket is ready.
    Waits,
    Ended,
}

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    state: State,
    /// When it ends, whatever is open then.
    pub deadline: Instant,
    /// When bytes went in or out last, or when it was accepted.
    pub active_at: Instant,
}

#[derive(Debug)]
enum State {
    /// The request so far.
    Reading(Vec<u8>),
    /// The answer, and how much of it is sent.
    Writing(Vec<u8>, usize),
    /// The answer is sent. So many bytes are still thrown away, so that the client can read it in peace.
    Closing(usize),
}

/// Bytes of one read. Smaller than a head, so that slow clients do not take a whole one each.
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

    /// Bytes of an answer that the client has not taken.
    pub fn unread(&self) -> usize {
        match &self.state {
            State::Writing(answer, sent) => answer.len() - sent,
            State::Reading(_) | State::Closing(_) => 0,
        }
    }

    /// Goes on until the socket has nothing for it, or takes nothing of it.
    pub fn go_on(&mut self, limits: &Limits, handler: &impl Fn(&Request) -> Answer) -> Next {
        loop {
            match self.step(limits, handler) {
                Ok(true) => self.active_at = Instant::now(),
                Ok(false) => return Next::Ended,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Next::Waits,
                    // The client is gone: nobody is left to tell.
                    _ => return Next::Ended,
                },
            }
        }
    }

    /// One read or one write. `false`: it has come to its end.
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
