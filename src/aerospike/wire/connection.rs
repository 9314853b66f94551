//! A socket on which no call waits longer than its deadline.
//!
//! The sockets never block. A worker waits with `poll(2)` for all of its sockets at once ([`wait`]), and each wait
//! takes what is left of the one deadline. The time-outs of `std` would be those of one system call: with them, a node
//! that sends a byte a second would be waited for without end, and a node that takes nothing would hold up the others.
//! One `poll` per answer costs no more than setting a time-out before each read.
//!
//! Only the name of a node's address may take longer: the system resolves it without a limit. Nodes usually announce
//! numbers.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Bytes of the node, or its end.
    Receive,
    /// Room for more bytes. Before that: the end of the attempt to connect.
    Send,
}

/// A connection to a node, or the attempt to make one.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Further addresses of the node, the next one last.
    others: Vec<SocketAddr>,
}

impl Connection {
    /// Begins to connect to `host:port`.
    ///
    /// # Errors
    /// The address is none, or the system refuses all of its numbers at once.
    pub fn begin(address: &str) -> io::Result<Connection> {
        let mut others: Vec<SocketAddr> = match address.parse() {
            Ok(number) => vec![number],
            Err(_) => address.to_socket_addrs()?.collect(),
        };
        others.reverse();
        let stream = begin_next(&mut others, None)?;
        Ok(Connection { stream, others })
    }

    /// Whether it is connected. Asked when the socket is ready for [`Interest::Send`].
    ///
    /// # Errors
    /// No address of the node accepts the connection.
    pub fn is_connected(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            self.stream = begin_next(&mut self.others, Some(error))?;
            return Ok(false);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.stream.set_nodelay(true)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a request can be sent on a connection that was idle. It cannot if the node has closed it, or has sent
    /// something that nobody asked for.
    pub fn is_idle(&self) -> bool {
        self.stream
            .peek(&mut [0])
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Hands bytes to the kernel, and returns how many it took: 0 if it has no room.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if is_passing(&error) => Ok(0),
            result => result,
        }
    }

    /// Takes bytes that have come, and returns how many. `None`: there are none.
    ///
    /// # Errors
    /// The connection is broken, or the node has closed it.
    pub fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.read(into) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "closed by the node")),
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Begins to connect to the next address that the system does not refuse at once.
fn begin_next(addresses: &mut Vec<SocketAddr>, mut error: Option<io::Error>) -> io::Result<TcpStream> {
    while let Some(address) = addresses.pop() {
        match mio::net::TcpStream::connect(address) {
            Ok(stream) => return Ok(stream.into()),
            Err(refused) => error = Some(refused),
        }
    }
    Err(error.unwrap_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address")))
}

/// Waits until at least one connection is ready, or until `deadline`. Afterwards `ready` has the numbers of those that
/// are. A connection that is broken is ready too.
///
/// # Errors
/// The system cannot wait for so many sockets.
pub fn wait<'c>(
    connections: impl Iterator<Item = (usize, &'c Connection, Interest)>,
    deadline: Instant,
    ready: &mut Vec<usize>,
) -> io::Result<()> {
    ready.clear();
    let mut polled = Vec::new();
    for (number, connection, interest) in connections {
        let events = match interest {
            Interest::Receive => PollFlags::IN,
            Interest::Send => PollFlags::OUT,
        };
        ready.push(number);
        polled.push(PollFd::new(&connection.stream, events));
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&left)) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    let mut place = 0;
    ready.retain(|_| {
        place += 1;
        !polled[place - 1].revents().is_empty()
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn connected(listener: &TcpListener) -> (Connection, TcpStream) {
        let mut connection = Connection::begin(&listener.local_addr().unwrap().to_string()).unwrap();
        until(&connection, Interest::Send);
        assert!(connection.is_connected().unwrap());
        (connection, listener.accept().unwrap().0)
    }

    fn until(connection: &Connection, interest: Interest) {
        let mut ready = Vec::new();
        wait(
            [(7, connection, interest)].into_iter(),
            Instant::now() + LONG,
            &mut ready,
        )
        .unwrap();
        assert_eq!(ready, [7]);
    }

    #[test]
    fn bytes_go_both_ways_and_nothing_waits_for_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut connection, mut node) = connected(&listener);
        let mut bytes = [0; 8];
        assert_eq!(connection.receive(&mut bytes).unwrap(), None);
        assert!(connection.is_idle());
        assert_eq!(connection.send(b"ask").unwrap(), 3);
        node.read_exact(&mut bytes[..3]).unwrap();
        node.write_all(b"told").unwrap();
        until(&connection, Interest::Receive);
        assert!(!connection.is_idle(), "bytes that nobody took");
        assert_eq!(connection.receive(&mut bytes).unwrap(), Some(4));
        assert_eq!(&bytes[..4], b"told");
        assert!(connection.is_idle());
        drop(node);
        until(&connection, Interest::Receive);
        assert!(!connection.is_idle(), "closed");
        let closed = connection.receive(&mut bytes).unwrap_err();
        assert_eq!(closed.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_refused_connection_is_an_error_and_a_name_is_resolved() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut by_name = Connection::begin(&format!("localhost:{port}")).unwrap();
        // The name may have a second address, at which nobody listens.
        while !by_name.is_connected().unwrap() {
            until(&by_name, Interest::Send);
        }
        drop(listener);
        let refused = || -> io::Result<bool> {
            let mut connection = Connection::begin(&format!("127.0.0.1:{port}"))?;
            until(&connection, Interest::Send);
            connection.is_connected()
        };
        assert_eq!(refused().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(Connection::begin("no address").is_err());
    }

    #[test]
    fn only_the_ready_ones_of_several_connections_are_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, mut node) = connected(&listener);
        let (second, _other) = connected(&listener);
        node.write_all(b"x").unwrap();
        let all = || [(1, &second, Interest::Receive), (2, &first, Interest::Receive)].into_iter();
        let mut ready = Vec::new();
        wait(all(), Instant::now() + LONG, &mut ready).unwrap();
        assert_eq!(ready, [2]);
        wait(all().take(1), Instant::now(), &mut ready).unwrap();
        assert!(ready.is_empty(), "the deadline has passed");
    }
}
