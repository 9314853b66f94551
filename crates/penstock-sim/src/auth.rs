//! Logins. Without a configured user it answers like the community edition (`security_ce.c`: 51, and the connection
//! continues), or like an enterprise edition without security in its configuration (52). With a user it requires a
//! login or a session token on every connection, like the enterprise edition.
//!
//! There is one user with all rights: no roles, no administration (54). The user can be changed at run time, logins can
//! be refused with any code, and all sessions can be ended. So tests can simulate a changed password or a dropped user.
//!
//! Each node has its own: a cluster spreads a changed user within a second, so for a moment the nodes differ.

use parking_lot::RwLock;

use super::wire::{self, Reader, code};

const COMMAND_AUTHENTICATE: u8 = 0;
const COMMAND_LOGIN: u8 = 20;
const FIELD_USER: u8 = 0;
const FIELD_CREDENTIAL: u8 = 3;
const FIELD_SESSION_TOKEN: u8 = 5;
const FIELD_SESSION_TTL: u8 = 6;
const HEADER_BYTES: usize = 16;
const SESSION_TTL_SECONDS: u32 = 86_400;
/// Clients send passwords hashed with this salt and cost (aerospike-core 3.0.0, `admin_command.rs`).
const SALT: [u8; 16] = [
    244, 107, 11, 190, 207, 254, 141, 27, 6, 103, 216, 79, 109, 193, 216, 169,
];
const COST: u32 = 10;

/// Who may log in.
pub struct Auth {
    state: RwLock<State>,
}

#[derive(Clone)]
struct State {
    user: Option<User>,
    /// The answer to a login if there is no user.
    without: u8,
    /// The answer to every login, if set.
    refused: Option<u8>,
    /// The era of sessions. Sessions of earlier eras are over.
    time: u64,
    seed: u64,
}

#[derive(Clone)]
struct User {
    name: String,
    credential: String,
    token: [u8; 16],
}

impl User {
    fn new(name: &str, password: &str, seed: u64) -> std::io::Result<Self> {
        let hash = bcrypt::hash_with_salt(password, COST, SALT).map_err(std::io::Error::other)?;
        let mut random = super::random::Random::new(seed ^ u64::from(std::process::id()));
        let mut token = [0; 16];
        token
            .chunks_exact_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&random.next().to_be_bytes()));
        Ok(User {
            name: name.to_owned(),
            credential: hash.format_for_version(bcrypt::Version::TwoA),
            token,
        })
    }
}

/// The era in which a connection logged in, if it did.
#[derive(Clone, Default)]
pub struct Session {
    since: Option<u64>,
}

impl Auth {
    /// `without`: the answer to a login if there is no user.
    pub fn new(user: Option<(&str, &str)>, without: u8, seed: u64) -> std::io::Result<Self> {
        let user = user
            .map(|(name, password)| User::new(name, password, seed))
            .transpose()?;
        Ok(Auth {
            state: RwLock::new(State {
                user,
                without,
                refused: None,
                time: 0,
                seed,
            }),
        })
    }

    /// The same users for another node.
    pub fn copy(&self) -> Self {
        Auth {
            state: RwLock::new(self.state.read().clone()),
        }
    }

    /// Gives the user another password, or puts another user in its place. Connections that have logged in go on. New
    /// ones need the new login: the tokens of earlier sessions are refused. (Whether an enterprise server refuses them
    /// is not published. If it does not, a client notices the change later, and no sooner.)
    pub fn set_password(&self, name: &str, password: &str) -> std::io::Result<()> {
        let seed = self.state.read().seed.wrapping_add(1);
        let user = User::new(name, password, seed)?;
        let state = &mut *self.state.write();
        (state.user, state.seed) = (Some(user), seed);
        Ok(())
    }

    /// Sets the user and ends all sessions.
    pub fn set_user(&self, name: &str, password: &str) -> std::io::Result<()> {
        self.set_password(name, password)?;
        self.end_sessions();
        Ok(())
    }

    /// Switches security off. A login is then answered with this code.
    pub fn remove_user(&self, without: u8) {
        let state = &mut *self.state.write();
        (state.user, state.without) = (None, without);
    }

    /// Refuses every login and every session token with this code. `None` checks them again.
    pub fn refuse(&self, code: Option<u8>) {
        self.state.write().refused = code;
    }

    /// Ends all sessions: all connections must log in again.
    pub fn end_sessions(&self) {
        self.state.write().time += 1;
    }

    /// The code with which a connection without a login is refused (`as_security_check_auth`).
    pub fn check(&self, session: &Session) -> Result<(), u8> {
        let state = self.state.read();
        if state.user.is_none() || session.since == Some(state.time) {
            Ok(())
        } else {
            Err(code::NOT_AUTHENTICATED)
        }
    }

    /// Answers a login or a session token. `false`: it is refused.
    pub fn answer(&self, session: &mut Session, body: &[u8], out: &mut Vec<u8>) -> bool {
        let start = wire::begin_frame(out, wire::PROTO_SECURITY);
        let state = self.state.read();
        let login = state.login(body);
        match login {
            Ok((command, user)) => {
                session.since = Some(state.time);
                let fields = if command == COMMAND_LOGIN { 2 } else { 0 };
                put_header(out, code::OK, fields);
                if command == COMMAND_LOGIN {
                    put_field(out, FIELD_SESSION_TOKEN, &user.token);
                    put_field(out, FIELD_SESSION_TTL, &SESSION_TTL_SECONDS.to_be_bytes());
                }
            }
            Err(code) => put_header(out, code, 0),
        }
        wire::end_frame(out, start);
        login.is_ok()
    }
}

impl State {
    /// The error is a result code.
    fn login(&self, body: &[u8]) -> Result<(u8, &User), u8> {
        if let Some(code) = self.refused {
            return Err(code);
        }
        let Some(user) = &self.user else {
            return Err(self.without);
        };
        let request = Request::parse(body).ok_or(code::SECURITY_FIELD)?;
        if request.user != user.name.as_bytes() {
            return Err(code::SECURITY_USER);
        }
        match request.command {
            COMMAND_LOGIN if request.credential == user.credential.as_bytes() => Ok((COMMAND_LOGIN, user)),
            COMMAND_LOGIN => Err(code::SECURITY_CREDENTIAL),
            COMMAND_AUTHENTICATE if request.token == user.token => Ok((COMMAND_AUTHENTICATE, user)),
            COMMAND_AUTHENTICATE => Err(code::SECURITY_SESSION),
            _ => Err(code::SECURITY_COMMAND),
        }
    }
}

struct Request<'a> {
    command: u8,
    user: &'a [u8],
    credential: &'a [u8],
    token: &'a [u8],
}

impl<'a> Request<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let header: [u8; HEADER_BYTES] = reader.array()?;
        let mut request = Request {
            command: header[2],
            user: &[],
            credential: &[],
            token: &[],
        };
        for _ in 0..header[3] {
            let size = reader.u32()? as usize;
            let (&kind, data) = reader.take(size)?.split_first()?;
            match kind {
                FIELD_USER => request.user = data,
                FIELD_CREDENTIAL => request.credential = data,
                FIELD_SESSION_TOKEN => request.token = data,
                _ => {}
            }
        }
        Some(request)
    }
}

fn put_header(out: &mut Vec<u8>, code: u8, fields: u8) {
    let mut header = [0; HEADER_BYTES];
    header[1] = code;
    header[3] = fields;
    out.extend_from_slice(&header);
}

fn put_field(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.extend_from_slice(&(data.len() as u32 + 1).to_be_bytes());
    out.push(kind);
    out.extend_from_slice(data);
}
