//! systemd's notifications: datagrams to the socket that `NOTIFY_SOCKET` names, as sd_notify(3) describes them.
//!
//! The crate `sd-notify` 0.5 does not know abstract sockets, and its calls can block.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;

/// A socket of the service manager.
#[derive(Debug)]
pub struct Notify(UnixDatagram);

impl Notify {
    /// The socket of this process's environment. `None`: nobody wants notifications.
    ///
    /// # Errors
    /// If the socket cannot be reached.
    pub fn from_env() -> io::Result<Option<Notify>> {
        match env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Notify::to(&name).map(Some),
            _ => Ok(None),
        }
    }

    /// The socket of this name: a path, or `@` and the name of an abstract socket (Linux).
    ///
    /// # Errors
    /// If the socket cannot be reached.
    pub fn to(name: &OsStr) -> io::Result<Notify> {
        let socket = UnixDatagram::unbound()?;
        match name.as_bytes().strip_prefix(b"@") {
            Some(name) => connect_abstract(&socket, name)?,
            None => socket.connect(name)?,
        }
        // A service manager that does not read must not hold anybody up.
        socket.set_nonblocking(true)?;
        Ok(Notify(socket))
    }

    /// Sends lines `NAME=value` as one datagram.
    ///
    /// # Errors
    /// If nobody listens any more, or the manager does not read.
    pub fn send(&self, lines: &str) -> io::Result<()> {
        self.0.send(lines.as_bytes()).map(|_| ())
    }
}

#[cfg(target_os = "linux")]
fn connect_abstract(socket: &UnixDatagram, name: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::SocketAddr;
    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_: &UnixDatagram, _: &[u8]) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "only Linux has abstract sockets",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What arrives at `manager` of a datagram that is sent to the socket of this name.
    fn arrives(manager: &UnixDatagram, name: &OsStr) -> String {
        manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Notify::to(name).unwrap().send("READY=1\nSTATUS=well").unwrap();
        let mut bytes = [0; 100];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_socket_with_a_path_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        assert_eq!(arrives(&manager, path.as_os_str()), "READY=1\nSTATUS=well");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_is_told() {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::SocketAddr;
        let name = format!("penstock-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert_eq!(
            arrives(&manager, OsStr::new(&format!("@{name}"))),
            "READY=1\nSTATUS=well"
        );
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::to(path.as_os_str()).unwrap();
        // Its queue is full at some time.
        let full = std::iter::repeat_with(|| notify.send("WATCHDOG=1")).take(100_000);
        assert!(full.into_iter().any(|sent| sent.is_err()));
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error() {
        assert!(Notify::to(OsStr::new("/nowhere/notify")).is_err());
    }
}
