//! Info questions to a chosen address, on our own blocking connection.
//!
//! The client chooses the node that it asks, and keeps only a text about what failed. If a server refuses the whole
//! question (`ERROR:80:not authenticated`, one line without a name: `thr_info.c`, `authenticate`), the client says
//! "Missing node name". If it cannot reach a node that others announce, it says nothing. So code that must say *why*
//! asks here.
//!
//! A connection lives for one question. Each step has a time-out, except the lookup of a host name, and so has the
//! whole answer. A caller that must not wait asks on a thread that it can leave behind.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::tls::{Socket, Tls, Trouble, speaks_tls};
use crate::config::model::{Aerospike, Secret};
use crate::delivery::result_codes::Told;

/// Time-out of each step: connecting, each read and each write.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(1);
/// Time-out of a whole answer after its header: a server may send it byte by byte, each of them in time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Security is not switched on in the server's configuration. The connection continues without a login, like the
/// client's.
const SECURITY_OFF: u8 = 52;
/// A valid answer is smaller than this.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const FRAME_HEADER_BYTES: usize = 8;
const VERSION: u8 = 2;
const INFO: u8 = 1;
const SECURITY: u8 = 2;
const LOGIN: u8 = 20;
const FIELD_USER: u8 = 0;
const FIELD_CREDENTIAL: u8 = 3;
const LOGIN_HEADER_BYTES: usize = 16;
/// Clients send passwords hashed with this salt and cost (`aerospike-core` 3.0.0, `admin_command.rs`).
const SALT: [u8; 16] = [
    244, 107, 11, 190, 207, 254, 141, 27, 6, 103, 216, 79, 109, 193, 216, 169,
];
const COST: u32 = 10;

/// The user that asks.
#[derive(Clone)]
pub struct Login {
    user: String,
    credential: String,
}

impl Login {
    /// `None`: no user is configured. Takes some 50 ms, for the hash of the password.
    pub fn of(config: &Aerospike) -> Option<Login> {
        let (user, password) = config.credentials.as_ref()?;
        Login::new(user, password)
    }

    /// `None`: the password cannot be hashed. Takes as long.
    pub fn new(user: &str, password: &Secret) -> Option<Login> {
        let hash = bcrypt::hash_with_salt(&password.0, COST, SALT).ok()?;
        Some(Login {
            user: user.to_owned(),
            credential: hash.format_for_version(bcrypt::Version::TwoA),
        })
    }

    /// One whose password is hashed already.
    pub(super) fn hashed(user: &str, credential: &str) -> Login {
        Login {
            user: user.to_owned(),
            credential: credential.to_owned(),
        }
    }
}

/// An address, `name:port`, and the name that the certificate of its node must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub address: String,
    /// `None`: the name in the address.
    pub tls_name: Option<String>,
}

impl Place {
    /// One whose certificate has the name in the address.
    pub fn at(address: impl Into<String>) -> Place {
        Place {
            address: address.into(),
            tls_name: None,
        }
    }

    fn host(&self) -> &str {
        let host = self
            .address
            .rsplit_once(':')
            .map_or(self.address.as_str(), |(host, _)| host);
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    fn certificate_name(&self) -> &str {
        self.tls_name.as_deref().unwrap_or_else(|| self.host())
    }
}

/// How to talk to nodes. By default without a login and without TLS.
#[derive(Clone, Default)]
pub struct Manner {
    pub login: Option<Login>,
    pub tls: Option<Tls>,
}

/// The answers, by the names that were asked for.
#[derive(Debug, Default)]
pub struct Answers {
    lines: Vec<(String, String)>,
    /// A login was sent, but the server has security switched off.
    pub is_security_off: bool,
}

impl Answers {
    /// Answers that no node gave: for tests and fuzz targets.
    pub fn of(lines: &[(&str, &str)]) -> Answers {
        let lines = lines
            .iter()
            .map(|(name, answer)| ((*name).to_owned(), (*answer).to_owned()));
        Answers {
            lines: lines.collect(),
            is_security_off: false,
        }
    }

    /// The answer to `name`; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.lines.iter().find(|(asked, _)| asked == name);
        found.map_or("", |(_, answer)| answer.as_str())
    }
}

/// What answers in place of an Aerospike server. Recognised by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    Web,
    Ssh,
    Redis,
    /// TLS, of any kind of server.
    Tls,
    Unknown,
}

impl Stranger {
    fn of(first: &[u8]) -> Stranger {
        match first {
            [b'H', b'T', b'T', b'P', ..] => Stranger::Web,
            [b'S', b'S', b'H', b'-', ..] => Stranger::Ssh,
            [b'-', b'E', b'R', b'R', ..] | [b'-', b'N', b'O', b'A', b'U', b'T', b'H', ..] => Stranger::Redis,
            // A TLS alert.
            [0x15, 0x03, 0..=4, ..] => Stranger::Tls,
            _ => Stranger::Unknown,
        }
    }

    /// Completes a text that begins with "is no Aerospike node".
    pub fn what(self) -> &'static str {
        match self {
            Stranger::Web => "a web server answers",
            Stranger::Ssh => "an SSH server answers",
            Stranger::Redis => "a Redis server answers",
            Stranger::Tls => "it speaks TLS",
            Stranger::Unknown => "something else answers",
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Silence {
    /// The host name has no address.
    Unresolved,
    Connect(io::Error),
    /// The connection was made, but there was no answer.
    Unanswered(io::Error),
    /// Another kind of server answers, or the server speaks TLS.
    Strange(Stranger),
    /// The TLS handshake fails.
    Tls(Trouble),
    /// The server refuses the user, with this code.
    Refused(u8),
}

impl Silence {
    /// How informative this is, compared with the failure at another address of the same name. A server that refuses us
    /// is an Aerospike server; and an unexpected answer tells more than none.
    fn tells(&self) -> u8 {
        match self {
            Silence::Unresolved | Silence::Connect(_) => 0,
            Silence::Unanswered(_) => 1,
            Silence::Strange(_) | Silence::Tls(_) => 2,
            Silence::Refused(_) => 3,
        }
    }
}

/// Completes a sentence that begins with the address.
impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timed_out = |error: &io::Error| matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        match self {
            Silence::Unresolved => f.write_str("which does not resolve"),
            Silence::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("which refuses the connection"),
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                    f.write_str("to which there is no route")
                }
                _ if timed_out(error) => f.write_str("which does not answer"),
                _ => write!(f, "which cannot be connected to ({error})"),
            },
            Silence::Unanswered(error) if timed_out(error) => {
                f.write_str("which takes the connection and does not answer")
            }
            Silence::Unanswered(error) => write!(f, "which closes the connection ({error})"),
            Silence::Strange(Stranger::Unknown) => {
                f.write_str("where something answers that is no Aerospike server without TLS")
            }
            Silence::Strange(stranger) => write!(f, "which is no Aerospike node's: {}", stranger.what()),
            Silence::Tls(trouble) => write!(f, "where TLS fails: {}", trouble.what()),
            Silence::Refused(code) => write!(f, "which refuses us ({})", Told(*code)),
        }
    }
}

/// Asks one place. Tries its IP addresses in turn until one answers.
pub fn ask(place: &Place, manner: &Manner, names: &[&str]) -> Result<Answers, Silence> {
    let found: Vec<SocketAddr> = match place.address.to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(_) => return Err(Silence::Unresolved),
    };
    ask_any(&found, place.certificate_name(), manner, names)
}

fn ask_any(found: &[SocketAddr], name: &str, manner: &Manner, names: &[&str]) -> Result<Answers, Silence> {
    let mut silence = Silence::Unresolved;
    for addr in found {
        match ask_one(*addr, name, manner, names) {
            Ok(answers) => return Ok(answers),
            Err(why) if why.tells() >= silence.tells() => silence = why,
            Err(_) => {}
        }
    }
    Err(silence)
}

fn ask_one(addr: SocketAddr, name: &str, manner: &Manner, names: &[&str]) -> Result<Answers, Silence> {
    let login = manner.login.as_ref();
    match &manner.tls {
        None => match converse(&mut Socket::Plain(open(addr)?), login, names) {
            // A node's port with TLS closes the connection. A second one tells it from a node in trouble.
            Err(Silence::Unanswered(_) | Silence::Strange(Stranger::Unknown)) if open(addr).is_ok_and(speaks_tls) => {
                Err(Silence::Strange(Stranger::Tls))
            }
            asked => asked,
        },
        Some(tls) => match converse(&mut encrypted(addr, tls, name)?, login, names) {
            // With TLS 1.3 a node refuses the client's certificate after the client's part of the handshake.
            Err(Silence::Unanswered(error)) => Err(match Trouble::of(&error, name, tls.has_own()) {
                Some(trouble) => Silence::Tls(trouble),
                None => Silence::Unanswered(error),
            }),
            asked => asked,
        },
    }
}

fn open(addr: SocketAddr) -> Result<TcpStream, Silence> {
    let stream = TcpStream::connect_timeout(&addr, STEP_TIMEOUT).map_err(Silence::Connect)?;
    stream
        .set_read_timeout(Some(STEP_TIMEOUT))
        .and_then(|()| stream.set_write_timeout(Some(STEP_TIMEOUT)))
        .and_then(|()| stream.set_nodelay(true))
        .map_err(Silence::Connect)?;
    Ok(stream)
}

fn encrypted(addr: SocketAddr, tls: &Tls, name: &str) -> Result<Socket, Silence> {
    match tls.encrypt(open(addr)?, name) {
        Ok(stream) => Ok(Socket::Encrypted(Box::new(stream))),
        Err(error) => Err(match Trouble::of(&error, name, tls.has_own()) {
            Some(trouble) => Silence::Tls(trouble),
            // A node's port without TLS closes the connection. A question of its own tells it from a node in trouble.
            None if speaks_plainly(addr) => Silence::Tls(Trouble::NoTls),
            None => Silence::Unanswered(error),
        }),
    }
}

/// Whether a node answers here without TLS. What it answers does not matter, so no login is sent.
fn speaks_plainly(addr: SocketAddr) -> bool {
    open(addr).is_ok_and(|stream| exchange(&mut Socket::Plain(stream), INFO, b"node\n").is_ok())
}

pub(super) fn converse(
    stream: &mut (impl Read + Write),
    login: Option<&Login>,
    names: &[&str],
) -> Result<Answers, Silence> {
    let mut is_security_off = false;
    if let Some(login) = login {
        match log_in(stream, login)? {
            0 => {}
            SECURITY_OFF => is_security_off = true,
            code => return Err(Silence::Refused(code)),
        }
    }
    let mut question = names.join("\n");
    question.push('\n');
    let answer = exchange(stream, INFO, question.as_bytes())?;
    let text = String::from_utf8_lossy(&answer);
    if let Some(code) = refusal(&text) {
        return Err(Silence::Refused(code));
    }
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(Answers {
        lines: lines
            .map(|(name, answer)| (name.to_owned(), answer.to_owned()))
            .collect(),
        is_security_off,
    })
}

/// Logs in. Returns the result code.
fn log_in(stream: &mut (impl Read + Write), login: &Login) -> Result<u8, Silence> {
    let mut body = vec![0; LOGIN_HEADER_BYTES];
    (body[2], body[3]) = (LOGIN, 2);
    for (kind, data) in [(FIELD_USER, &login.user), (FIELD_CREDENTIAL, &login.credential)] {
        let bytes = u32::try_from(data.len() + 1).unwrap_or(u32::MAX);
        body.extend_from_slice(&bytes.to_be_bytes());
        body.push(kind);
        body.extend_from_slice(data.as_bytes());
    }
    let answer = exchange(stream, SECURITY, &body)?;
    answer.get(1).copied().ok_or(Silence::Strange(Stranger::Unknown))
}

fn exchange(stream: &mut (impl Read + Write), kind: u8, body: &[u8]) -> Result<Vec<u8>, Silence> {
    let mut frame = (body.len() as u64).to_be_bytes();
    (frame[0], frame[1]) = (VERSION, kind);
    let mut request = frame.to_vec();
    request.extend_from_slice(body);
    stream.write_all(&request).map_err(Silence::Unanswered)?;
    let mut header = [0; FRAME_HEADER_BYTES];
    // Other servers may answer less than a header.
    let mut taken = 0;
    while taken < header.len() {
        let error = match stream.read(&mut header[taken..]) {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(count) => {
                taken += count;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        return Err(match Stranger::of(&header[..taken]) {
            Stranger::Unknown => Silence::Unanswered(error),
            stranger => Silence::Strange(stranger),
        });
    }
    if header[0] != VERSION || header[1] != kind {
        return Err(Silence::Strange(Stranger::of(&header)));
    }
    (header[0], header[1]) = (0, 0);
    let bytes = usize::try_from(u64::from_be_bytes(header)).unwrap_or(usize::MAX);
    if bytes > ANSWER_BYTES_MAX {
        return Err(Silence::Strange(Stranger::Unknown));
    }
    read_answer(stream, bytes, Instant::now() + ANSWER_TIMEOUT).map_err(Silence::Unanswered)
}

/// Reads `bytes` bytes until `until`. Takes memory only for what has arrived.
fn read_answer(stream: &mut impl Read, bytes: usize, until: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer.len() < bytes {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let wanted = piece.len().min(bytes - answer.len());
        match stream.read(&mut piece[..wanted]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// The code with which a server refuses a whole question. It comes in place of the names (8.1), or as the answer to
/// each name (its `append_security_error`). There, 9 means that the server was too slow (`run_info`) and is not a
/// refusal.
fn refusal(text: &str) -> Option<u8> {
    let first = text.lines().next()?;
    let answer = first.split_once('\t').map_or(first, |(_, answer)| answer);
    error_code(answer).filter(|code| (50..100).contains(code))
}

/// The code in an answer such as `ERROR:80:not authenticated`, or `FAIL:80…` of older servers.
pub fn error_code(answer: &str) -> Option<u8> {
    let (word, rest) = answer.split_once([':', '='])?;
    if !word.eq_ignore_ascii_case("error") && !word.eq_ignore_ascii_case("fail") {
        return None;
    }
    rest.split([':', '=']).next()?.trim().parse().ok()
}

/// Fake servers for tests.
#[cfg(test)]
pub mod fakes {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    /// A frame of kind `kind`.
    pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = (body.len() as u64).to_be_bytes().to_vec();
        (frame[0], frame[1]) = (super::VERSION, kind);
        frame.extend_from_slice(body);
        frame
    }

    /// The address of a server with these answers. In each connection it answers the first question with the first of
    /// them, and so on. Then it closes the connection.
    pub fn port(answers: &[Vec<u8>]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers = answers.to_vec();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                for answer in &answers {
                    let mut header = [0; super::FRAME_HEADER_BYTES];
                    if stream.read_exact(&mut header).is_err() {
                        break;
                    }
                    let mut question = vec![0; usize::from(header[6]) << 8 | usize::from(header[7])];
                    if stream.read_exact(&mut question).is_err() || stream.write_all(answer).is_err() {
                        break;
                    }
                }
            }
        });
        address
    }

    /// A node that gives these answers to any question.
    pub fn node(lines: &[(&str, &str)]) -> String {
        let text: String = lines.iter().map(|(name, value)| format!("{name}\t{value}\n")).collect();
        port(&[frame(super::INFO, text.as_bytes())])
    }

    /// An address at which nobody listens.
    pub fn nobody() -> String {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_in_place_of_the_names_and_in_their_answers() {
        for (text, code) in [
            ("ERROR:80:not authenticated\n", Some(80)),
            ("ERROR:82:unexpected security result\n", Some(82)),
            (
                "node\tERROR:81:role violation - requires permission 'x'\nbuild\t8\n",
                Some(81),
            ),
            ("node\tFAIL:81:role violation\n", Some(81)),
            ("fail=80\n", Some(80)),
            ("ERROR:9:timeout\n", None),
            ("ERROR::other\n", None),
            ("node\tA1\nstatus\tERROR:80:x\n", None),
            ("node\tERROR:4:unrecognized command\n", None),
            ("", None),
        ] {
            assert_eq!(refusal(text), code, "{text}");
        }
    }

    fn anyone(address: &str) -> Result<Answers, Silence> {
        ask(&Place::at(address), &Manner::default(), &["node"])
    }

    fn of_two(one: &str, other: &str) -> Silence {
        let found = [one.parse().unwrap(), other.parse().unwrap()];
        ask_any(&found, "node", &Manner::default(), &["node"]).unwrap_err()
    }

    #[test]
    fn a_login_that_one_address_refuses_is_told_though_another_one_does_not_answer() {
        let refused = fakes::port(&[fakes::frame(INFO, b"ERROR:80:not authenticated\n")]);
        let strange = fakes::port(&[b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]);
        let closes = fakes::port(&[Vec::new()]);
        for (one, other, expected) in [
            (&fakes::nobody(), &refused, "which refuses us (80: not authenticated)"),
            (&strange, &refused, "which refuses us (80: not authenticated)"),
            (&closes, &strange, "which is no Aerospike node's: a web server answers"),
            (&fakes::nobody(), &closes, "which closes the connection"),
        ] {
            for silence in [of_two(one, other), of_two(other, one)] {
                assert!(silence.to_string().starts_with(expected), "{expected}: {silence}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_of_a_server_is_told_by_its_first_bytes() {
        let first = |bytes: &[u8]| anyone(&fakes::port(&[bytes.to_vec()])).unwrap_err();
        for (bytes, expected) in [
            (&b"\x15\x03\x01\x00\x02\x02\x46"[..], Stranger::Tls),
            (b"-ERR unknown command\r\n", Stranger::Redis),
            (b"-NOAUTH Authentication required.\r\n", Stranger::Redis),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Stranger::Ssh),
            // The answer to a record request, not to an info request.
            (&fakes::frame(3, b""), Stranger::Unknown),
            // Longer than any valid answer.
            (b"\x02\x01\x00\x00\x01\x10\x00\x00", Stranger::Unknown),
        ] {
            let silence = first(bytes);
            assert!(
                matches!(silence, Silence::Strange(of) if of == expected),
                "{bytes:?}: {silence:?}"
            );
        }
        let mut cut = fakes::frame(INFO, b"node\tA1\n");
        cut.pop();
        assert!(
            matches!(first(&cut), Silence::Unanswered(_)),
            "an answer that is cut off"
        );
    }

    #[test]
    fn an_answer_that_comes_byte_by_byte_is_not_waited_for_without_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        server.write_all(b"abc").unwrap();
        let late = Instant::now();
        let in_time = late + Duration::from_secs(60);
        assert_eq!(read_answer(&mut stream, 2, in_time).unwrap(), b"ab");
        // A byte is there, but the time is over.
        let error = read_answer(&mut stream, 2, late).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(server);
        let error = read_answer(&mut stream, 2, in_time).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_login_goes_before_the_question_and_its_code_decides() {
        let login = Login {
            user: "penstock".into(),
            credential: "hash".into(),
        };
        let after = |code: u8| {
            let mut answer = [0; LOGIN_HEADER_BYTES];
            answer[1] = code;
            let answers = [
                fakes::frame(SECURITY, &answer),
                fakes::frame(INFO, b"node\tA1\nbuild\t8\n"),
            ];
            {
                let manner = Manner {
                    login: Some(login.clone()),
                    ..Manner::default()
                };
                ask(&Place::at(fakes::port(&answers)), &manner, &["node", "build"])
            }
        };
        let answers = after(0).unwrap();
        assert_eq!((answers.get("node"), answers.get("build")), ("A1", "8"));
        assert!(!answers.is_security_off);
        assert!(after(SECURITY_OFF).unwrap().is_security_off);
        for code in [51, 60, 65] {
            assert!(matches!(after(code), Err(Silence::Refused(of)) if of == code), "{code}");
        }
    }

    #[test]
    fn a_silence_says_how_far_it_came() {
        let error = |kind: io::ErrorKind| io::Error::from(kind);
        for (silence, told) in [
            (
                Silence::Connect(error(io::ErrorKind::TimedOut)),
                "which does not answer",
            ),
            (
                Silence::Connect(error(io::ErrorKind::NetworkUnreachable)),
                "to which there is no route",
            ),
            (
                Silence::Unanswered(error(io::ErrorKind::WouldBlock)),
                "which takes the connection and does not answer",
            ),
        ] {
            assert_eq!(silence.to_string(), told);
        }
        let closed = Silence::Unanswered(error(io::ErrorKind::UnexpectedEof));
        assert!(
            closed.to_string().starts_with("which closes the connection"),
            "{closed}"
        );
    }

    #[test]
    fn a_name_without_an_address_and_a_port_that_refuses_are_told_apart() {
        let silence = anyone("no-such-host.invalid:3000").unwrap_err();
        assert!(matches!(silence, Silence::Unresolved), "{silence}");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = nobody.local_addr().unwrap();
        drop(nobody);
        let silence = anyone(&addr.to_string()).unwrap_err();
        assert_eq!(silence.to_string(), "which refuses the connection");
    }
}
