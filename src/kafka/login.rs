//! A login that changes while the service runs: `sasl.username` or `sasl.password` from a `${file:…}`.
//!
//! A broker asks for the login only when a client connects. So a changed password shows when a connection is lost and
//! the broker refuses the next one. Then the files are read again. If their content is new, librdkafka uses it for its
//! next connections (`rd_kafka_sasl_set_credentials`). A login that works is never replaced.
//!
//! Each client has a [`Login`]. Its callbacks and its polling thread call it.

use std::ffi::CString;
use std::time::{Duration, Instant};

use log::{info, warn};
use parking_lot::Mutex;
use rdkafka::bindings as sys;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::model::{LoginFiles, Secret};
use crate::kafka::ffi::Owned;
use crate::util::throttle::Throttle;

/// How long after a refusal the files are looked at. While logins are refused, librdkafka says so every 30 seconds.
const LOOKED_AT: Duration = Duration::from_secs(70);
/// How often the files are looked at then.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The login of one client.
#[derive(Debug)]
pub(in crate::kafka) struct Login {
    /// Which client it is, for the log.
    client: &'static str,
    files: LoginFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: (Secret, Secret),
    refused: Option<Instant>,
    looked: Option<Instant>,
    unreadable: Throttle,
}

impl Login {
    /// `config`: the client's settings. `None`: no part of its login is in a file.
    pub fn of(client: &'static str, config: &ClientConfig, files: &LoginFiles) -> Option<Login> {
        let value = |name: &str| Some(Secret(config.get(name)?.to_owned()));
        let current = (value("sasl.username")?, value("sasl.password")?);
        files.any().then(|| Login {
            client,
            files: files.clone(),
            state: Mutex::new(State {
                current,
                refused: None,
                looked: None,
                unreadable: Throttle::default(),
            }),
        })
    }

    /// Must be called with each error of the client.
    pub fn hear(&self, error: &KafkaError) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            self.state.lock().refused = Some(Instant::now());
        }
    }

    /// Gives the client the login that is in the files now, if brokers refuse the one that it has. Call it often.
    ///
    /// # Safety
    /// `client` is alive during the call.
    pub unsafe fn renew(&self, client: *mut sys::rd_kafka_t) {
        let Some((user, password)) = self.changed(Instant::now()) else {
            return;
        };
        let (Ok(name), Ok(secret)) = (CString::new(user.0.as_str()), CString::new(password.0.as_str())) else {
            warn!(
                "kafka: the new login is not used: its file holds a zero byte client=\"{}\"",
                self.client
            );
            return;
        };
        // SAFETY: the client is alive, as the caller promises; librdkafka copies the texts under its own lock.
        let error = unsafe { sys::rd_kafka_sasl_set_credentials(client, name.as_ptr(), secret.as_ptr()) };
        // SAFETY: whoever receives a returned error owns it.
        if unsafe { Owned::new(error, sys::rd_kafka_error_destroy) }.is_some() {
            warn!(
                "kafka: librdkafka does not take the new login client=\"{}\"",
                self.client
            );
            return;
        }
        let mut state = self.state.lock();
        state.current = (user, password);
        state.refused = None;
        drop(state);
        info!(
            "kafka: the login in {} has changed and is used from now on client=\"{}\"",
            self.files, self.client
        );
    }

    /// The login in the files, if one is due that differs from the current one.
    fn changed(&self, now: Instant) -> Option<(Secret, Secret)> {
        let mut state = self.state.lock();
        let is_refused = state
            .refused
            .is_some_and(|at| now.saturating_duration_since(at) < LOOKED_AT);
        let is_due = state
            .looked
            .is_none_or(|at| now.saturating_duration_since(at) >= LOOK_INTERVAL);
        if !is_refused || !is_due {
            return None;
        }
        state.looked = Some(now);
        match self.files.read(&state.current) {
            Ok(read) => (read != state.current).then_some(read),
            Err(why) => {
                if let Some(repeated) = state.unreadable.pass_at(now) {
                    warn!("kafka: the broker refuses the login, and no new one can be read: {why}{repeated}");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refused() -> KafkaError {
        KafkaError::Global(RDKafkaErrorCode::Authentication)
    }

    #[test]
    fn a_login_is_read_again_only_after_a_refusal_and_taken_only_when_it_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pw");
        fs::write(&file, "old\n").unwrap();
        let files = LoginFiles {
            username: None,
            password: Some(file.clone()),
        };
        let mut config = ClientConfig::new();
        config.set("sasl.username", "me").set("sasl.password", "old");
        let login = Login::of("consumer", &config, &files).unwrap();
        let read = |at: Instant| login.changed(at).map(|(user, password)| (user.0, password.0));
        let began = Instant::now();

        fs::write(&file, "new\n").unwrap();
        assert_eq!(read(began), None, "the old one still works");
        login.hear(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure));
        assert_eq!(read(began), None);

        login.hear(&refused());
        fs::write(&file, "old\n").unwrap();
        assert_eq!(read(began), None, "it is the one that is refused");
        fs::write(&file, "new\n").unwrap();
        assert_eq!(read(began + LOOK_INTERVAL / 2), None, "it was looked at lately");
        let new = Some(("me".to_owned(), "new".to_owned()));
        assert_eq!(read(began + LOOK_INTERVAL), new);
        // An empty file is one that is being written.
        fs::write(&file, "").unwrap();
        assert_eq!(read(began + 2 * LOOK_INTERVAL), None);
        fs::remove_file(&file).unwrap();
        assert_eq!(read(began + 3 * LOOK_INTERVAL), None);
        fs::write(&file, "new").unwrap();
        assert_eq!(read(Instant::now() + LOOKED_AT), None, "nobody has refused it since");
    }

    #[test]
    fn a_login_that_is_in_no_file_is_not_read_again() {
        let mut config = ClientConfig::new();
        config.set("sasl.username", "me").set("sasl.password", "old");
        assert!(Login::of("consumer", &config, &LoginFiles::default()).is_none());
    }
}
