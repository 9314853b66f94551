//! A login that changes while the service runs: `aerospike.user` or `aerospike.password` from a `${file:…}`.
//!
//! A node asks for the login only when a client connects. So a changed password need not show for a long time, and then
//! in the middle of the night. We therefore read the files every few seconds. A login that is new there is tried with a
//! question of our own (`lookout`). It replaces the present one only where nodes accept it. Until then the present one
//! goes on.
//!
//! This file decides which login is to be tried, and when. It connects to nothing.

use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;

use super::ask::Login;
use crate::config::model::{Aerospike, LoginFiles, Secret};
use crate::delivery::result_codes::Told;
use crate::util::backoff::Backoff;
use crate::util::throttle::Throttle;

/// Pauses between two attempts with a login that nodes have refused. They are short at first: a cluster spreads a
/// changed password within a second.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(30)).half_certain();
/// The interval of lines about a login that is refused, or a file that cannot be read.
const LINES: Duration = Duration::from_secs(60);

/// The login in use, and the files that may hold another one.
pub(super) struct Rotation {
    pub files: LoginFiles,
    state: Mutex<State>,
}

struct State {
    current: (Secret, Secret),
    candidate: Option<Candidate>,
    /// When the candidate may be tried, and how often nodes have refused it.
    try_at: Instant,
    failures: u32,
    unreadable: Throttle,
    refused: Throttle,
}

/// A login from the files that differs from the one in use.
#[derive(Clone)]
pub(super) struct Candidate {
    pub user: Secret,
    pub password: Secret,
    pub login: Login,
}

impl Candidate {
    fn is(&self, read: &(Secret, Secret)) -> bool {
        (&self.user, &self.password) == (&read.0, &read.1)
    }
}

impl Rotation {
    /// `None`: no part of the login is in a file.
    pub fn of(config: &Aerospike) -> Option<Rotation> {
        let (user, password) = config.credentials.clone()?;
        config.login_files.any().then(|| Rotation {
            files: config.login_files.clone(),
            state: Mutex::new(State {
                current: (Secret(user), password),
                candidate: None,
                try_at: Instant::now(),
                failures: 0,
                unreadable: Throttle::new(LINES),
                refused: Throttle::new(LINES),
            }),
        })
    }

    /// The login in the files, if it is not the one in use and is to be tried now. Takes some 50 ms for one that is
    /// new.
    pub fn due(&self, now: Instant) -> Option<Candidate> {
        let state = &mut *self.state.lock();
        let read = match self.files.read(&state.current) {
            Ok(read) => read,
            Err(why) => {
                if let Some(repeated) = state.unreadable.pass_at(now) {
                    warn!("aerospike: the login cannot be read again, the last one is used: {why}{repeated}");
                }
                return None;
            }
        };
        state.unreadable = Throttle::new(LINES);
        if read == state.current {
            state.candidate = None;
            return None;
        }
        if !state.candidate.as_ref().is_some_and(|candidate| candidate.is(&read)) {
            let login = Login::new(&read.0.0, &read.1)?;
            let (user, password) = read;
            state.candidate = Some(Candidate { user, password, login });
            (state.try_at, state.failures) = (now, 0);
            state.refused = Throttle::new(LINES);
        }
        state.candidate.clone().filter(|_| now >= state.try_at)
    }

    /// It was tried without success: later again. `by`: which node refuses it, and the code.
    pub fn put_off(&self, now: Instant, by: Option<&(String, u8)>) {
        let state = &mut *self.state.lock();
        state.try_at = now + PAUSE.pause(state.failures);
        state.failures = state.failures.saturating_add(1);
        if let Some((node, code)) = by
            && let Some(repeated) = state.refused.pass_at(now)
        {
            warn!(
                "aerospike: the new login in {} is refused, the last one is used ({}) node={node}{repeated}",
                self.files,
                Told(*code)
            );
        }
    }

    /// It is in use from now on.
    pub fn taken(&self, candidate: Candidate) {
        let state = &mut *self.state.lock();
        state.current = (candidate.user, candidate.password);
        state.candidate = None;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn later(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn a_new_login_is_tried_at_once_and_a_refused_one_more_and_more_seldom() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pw");
        let write = |text: &str| fs::write(&file, text).unwrap();
        write("old\n");
        let rotation = Rotation {
            files: LoginFiles {
                username: None,
                password: Some(file.clone()),
            },
            state: Mutex::new(State {
                current: (Secret("me".into()), Secret("old".into())),
                candidate: None,
                try_at: Instant::now(),
                failures: 0,
                unreadable: Throttle::new(LINES),
                refused: Throttle::new(LINES),
            }),
        };
        let began = Instant::now();
        let due = |at: Instant| rotation.due(at).map(|candidate| candidate.password.0);
        assert_eq!(due(began), None, "it is the one in use");
        write("wrong\n");
        assert_eq!(due(began).as_deref(), Some("wrong"));
        rotation.put_off(began, Some(&("a".into(), 65)));
        assert_eq!(due(began), None, "it was tried lately");
        assert_eq!(due(later(began, 2)).as_deref(), Some("wrong"));
        for _ in 0..10 {
            rotation.put_off(began, None);
        }
        assert_eq!(due(later(began, 14)), None, "it was refused often");
        assert_eq!(due(later(began, 30)).as_deref(), Some("wrong"));
        // Another one is not made to wait for that.
        write("new\n");
        let new = rotation.due(began).unwrap();
        for broken in ["", "\u{0}\u{0}"] {
            write(broken);
            assert!(due(began).is_none_or(|text| text == broken));
        }
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(due(began), None, "it is not text");
        fs::remove_file(&file).unwrap();
        assert_eq!(due(began), None, "it is not there");
        write("new");
        rotation.taken(new);
        assert_eq!(due(later(began, 60)), None, "it is in use");
    }
}
