//! Why no broker answers: combines librdkafka's complaints with what the ports themselves say.
//!
//! Used before any broker has answered, by `run` and `check --connect`. A cause that is certain and does not pass by
//! itself ends the wait. All other causes are logged, and the wait continues.

// What a port shows when it is asked directly.
pub mod listener;
// The same behind TLS, and what is wrong with the port's certificate.
pub mod handshake;
// What librdkafka's log lines mean.
pub mod symptoms;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use log::debug;
use parking_lot::Mutex;

use crate::config::kafka::together::Security;
use crate::config::model::Kafka;
use crate::kafka::admin::advertised::OTHER_CLUSTER_CURE;
use crate::kafka::diagnosis::handshake::{Distrust, Handshake, authorities, validity};
use crate::kafka::diagnosis::listener::{Listener, Login, look};
use crate::kafka::diagnosis::symptoms::Symptom;
use crate::util::exit::Exit;
use crate::util::stop::Stop;

/// Interval between two looks at the ports while no broker answers.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Time limit for the answers in one look; a host name may take longer to resolve.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// A look may pass its deadline by this much. Otherwise it would have no time to see anything.
const LATE_MAX: Duration = Duration::from_secs(1);
/// How often the stop flag is checked meanwhile.
const GLANCE: Duration = Duration::from_millis(100);

/// Why no broker answers, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub found: String,
    pub cure: String,
    /// The cause does not pass by itself: how the service ends. `None`: it may pass.
    pub exit: Option<Exit>,
}

impl Complaint {
    /// Brokers of two clusters answer. `why`: our text, or librdkafka's line.
    pub fn other_cluster(why: &str) -> Complaint {
        Complaint {
            found: format!("brokers of two clusters answer: {}", in_our_words(why)),
            cure: OTHER_CLUSTER_CURE.to_owned(),
            exit: Some(Exit::Configuration),
        }
    }
}

/// Shortens what librdkafka says about a broker of another cluster. Returns other lines unchanged.
fn in_our_words(line: &str) -> String {
    let read = || {
        let (_, rest) = line.split_once("Broker ")?;
        let (broker, rest) = rest.split_once(" reports different ClusterId \"")?;
        let (other, rest) = rest.split_once("\" than previously known \"")?;
        let (first, _) = rest.split_once('"')?;
        let (address, number) = broker.rsplit_once('/')?;
        Some(format!(
            "at {address}, which is broker {number}'s address, one of the cluster {other} answers, and those before \
             were of {first}"
        ))
    };
    read().unwrap_or_else(|| line.to_owned())
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.found, self.cure)
    }
}

/// librdkafka's last complaint about each broker of the configuration. Shared with a client's context.
#[derive(Debug, Clone, Default)]
pub struct Complaints(Arc<Mutex<BTreeMap<String, Symptom>>>);

impl Complaints {
    /// Must be called with each log line and each error of the client.
    pub fn hear(&self, text: &str) {
        if let (Some(broker), Some(symptom)) = (symptoms::broker(text), symptoms::read(text)) {
            self.0.lock().insert(broker.to_owned(), symptom);
        }
    }

    fn of(&self, address: &str) -> Option<Symptom> {
        self.0.lock().get(address).cloned()
    }
}

/// `ssl.ca.*` or `ssl.certificate.*`.
#[derive(Debug, Clone, Default)]
struct Pem {
    location: Option<String>,
    pem: Option<String>,
}

impl Pem {
    fn of(kafka: &Kafka, name: &str) -> Pem {
        let property = |end: &str| kafka.consumer_property(&format!("{name}.{end}")).map(str::to_owned);
        Pem {
            location: property("location"),
            pem: property("pem"),
        }
    }
}

/// Diagnosis for the brokers of one configuration.
#[derive(Debug)]
pub struct Diagnosis {
    addresses: Vec<String>,
    security: Security,
    mechanism: Option<String>,
    ca: Pem,
    /// The client's certificate.
    own: Pem,
    /// It is in a PKCS#12 store.
    has_store: bool,
    complaints: Complaints,
    looked: Option<(Instant, BTreeMap<String, Listener>)>,
}

impl Diagnosis {
    pub fn new(kafka: &Kafka) -> Diagnosis {
        Diagnosis {
            addresses: kafka.brokers.split(',').map(str::to_owned).collect(),
            security: Security::of(kafka.consumer_property("security.protocol")),
            mechanism: kafka.consumer_property("sasl.mechanism").map(str::to_owned),
            ca: Pem::of(kafka, "ssl.ca"),
            own: Pem::of(kafka, "ssl.certificate"),
            has_store: kafka.consumer_property("ssl.keystore.location").is_some(),
            complaints: Complaints::default(),
            looked: None,
        }
    }

    pub fn complaints(&self) -> Complaints {
        self.complaints.clone()
    }

    /// Why nobody answers, as far as it can be found out. Asks the ports if that was not done recently. This takes
    /// seconds, but not much longer than until `deadline`.
    pub fn look(&mut self, deadline: Option<Instant>, stop: &Stop) -> Option<Complaint> {
        if let Some((at, found)) = &self.looked
            && at.elapsed() < LOOK_INTERVAL
        {
            return self.complaint_about(found);
        }
        let limit = deadline.map_or(LOOK_MAX, |at| at.saturating_duration_since(Instant::now()) + LATE_MAX);
        let handshake = self
            .security
            .tls
            .then(|| Handshake::new(authorities(self.ca.location.as_deref(), self.ca.pem.as_deref())));
        let found = listeners(&self.addresses, handshake.as_ref(), LOOK_MAX.min(limit), stop);
        debug!("kafka: asked the ports directly found={found:?}");
        let complaint = self.complaint_about(&found);
        self.looked = Some((Instant::now(), found));
        complaint
    }

    /// Why a broker has refused the client. Call it after a refusal.
    pub fn refusal(&self) -> Option<Complaint> {
        let complaints = self.complaints.0.lock();
        let (address, symptom) = complaints.iter().find(|(_, symptom)| symptom.certain.is_some())?;
        let symptom = self.explained(symptom.clone());
        Some(Complaint {
            found: format!("{address}: {}", symptom.cause),
            cure: symptom.cure,
            exit: symptom.certain,
        })
    }

    /// A symptom with what the configuration says about it: librdkafka's text names neither the mechanism of a refused
    /// login nor whether the client has a certificate.
    fn explained(&self, symptom: Symptom) -> Symptom {
        let is_about_own =
            [symptoms::WANTS_CERTIFICATE, symptoms::REFUSES_CERTIFICATE].contains(&symptom.cause.as_str());
        if is_about_own && (self.has_store || self.own.location.is_some() || self.own.pem.is_some()) {
            let validity = validity(self.own.location.as_deref(), self.own.pem.as_deref());
            let (why, cure) = match validity {
                Some(Distrust::Expired) => (", which has expired", "renew ssl.certificate.location"),
                Some(_) => (
                    ", which is not valid yet",
                    "correct this machine's clock, or ssl.certificate.location",
                ),
                None => ("", symptoms::CERTIFICATE_CURE),
            };
            return Symptom {
                cause: format!("{}{why}", symptoms::REFUSES_CERTIFICATE),
                cure: cure.to_owned(),
                ..symptom
            };
        }
        match self.mechanism.as_deref() {
            Some(mechanism) if symptom.cause == symptoms::REFUSED_LOGIN => Symptom {
                cause: format!("{} ({mechanism})", symptom.cause),
                cure: match mechanism {
                    "OAUTHBEARER" => symptoms::TOKEN_CURE.to_owned(),
                    "PLAIN" => "correct sasl.username and sasl.password below [kafka.properties]".to_owned(),
                    _ => symptom.cure,
                },
                ..symptom
            },
            _ => symptom,
        }
    }

    fn complaint_about(&self, listeners: &BTreeMap<String, Listener>) -> Option<Complaint> {
        let symptoms: Vec<Option<(&str, Symptom)>> = self
            .addresses
            .iter()
            .map(|address| {
                let complained = self.complaints.of(address).map(|symptom| self.explained(symptom));
                let is_refused_here = complained
                    .as_ref()
                    .is_some_and(|complained| complained.cause == symptoms::UNVERIFIED);
                // What the port itself says is more certain than what follows from a closed connection.
                let seen = listeners.get(address).and_then(|listener| match listener {
                    // librdkafka does not say why it refuses a certificate.
                    Listener::KafkaTls {
                        distrust: Some(why), ..
                    } if is_refused_here => Some(distrusted(*why, address, &self.ca)),
                    // Nothing else matters before the certificate is accepted.
                    Listener::KafkaTls { .. } if is_refused_here => None,
                    _ => misfit(listener, self.security, self.mechanism.as_deref()),
                });
                let symptom = match (seen, complained) {
                    (Some(seen), Some(complained)) if seen.certain.is_none() && complained.certain.is_some() => {
                        complained
                    }
                    (Some(seen), _) => seen,
                    (None, complained) => complained?,
                };
                Some((address.as_str(), symptom))
            })
            .collect();
        // If one address may still answer, waiting makes sense.
        let all = symptoms
            .iter()
            .map(|each| each.as_ref().and_then(|(_, symptom)| symptom.certain));
        let exit = all
            .reduce(|one, other| one.zip(other).map(|(one, other)| one.or_worse(other)))
            .flatten();
        let told: Vec<(&str, Symptom)> = symptoms.into_iter().flatten().collect();
        // Report the most certain one.
        let (address, symptom) = told
            .iter()
            .find(|(_, symptom)| symptom.certain.is_some())
            .or(told.first())?;
        let others = match told.len() {
            1 => String::new(),
            count => format!(" (of {count} brokers that do not answer)"),
        };
        Some(Complaint {
            found: format!("{address}{others}: {}", symptom.cause),
            cure: symptom.cure.clone(),
            exit,
        })
    }
}

/// Why the certificate of the broker at `address` is refused here.
fn distrusted(why: Distrust, address: &str, ca: &Pem) -> Symptom {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let (cause, cure) = match why {
        Distrust::Expired => (
            "the broker's certificate has expired".to_owned(),
            "renew the certificate of the broker's listener, or correct this machine's clock".to_owned(),
        ),
        Distrust::NotYetValid => (
            "the broker's certificate is not valid yet".to_owned(),
            "correct this machine's clock, or the certificate of the broker's listener".to_owned(),
        ),
        Distrust::OtherHost => (
            format!("the broker's certificate names another host than {host}"),
            "name the broker in kafka.brokers (and in its advertised.listeners) as its certificate does, or correct the \
             certificate"
                .to_owned(),
        ),
        Distrust::UnknownAuthority => {
            let known = match ca {
                Pem { pem: Some(_), .. } => "those of ssl.ca.pem",
                Pem { location: Some(_), .. } => "those of ssl.ca.location",
                _ => "the system's",
            };
            (
                format!("the broker's certificate is signed by an authority that is not known here (known: {known})"),
                "set ssl.ca.location to the certificate (PEM) of the authority that has signed it".to_owned(),
            )
        }
    };
    Symptom {
        cause,
        cure,
        certain: Some(Exit::Configuration),
    }
}

/// What answers at each address, as far as it is known within the time limit.
fn listeners(
    addresses: &[String],
    handshake: Option<&Handshake>,
    limit: Duration,
    stop: &Stop,
) -> BTreeMap<String, Listener> {
    let (sender, receiver) = bounded(addresses.len());
    for address in addresses.iter().cloned() {
        let (sender, handshake) = (sender.clone(), handshake.cloned());
        // Nobody joins these threads: a name server may block one for longer than anybody waits.
        let started = thread::Builder::new().name("look-at-port".into()).spawn(move || {
            let found = look(&address, handshake.as_ref());
            let _ = sender.send((address, found));
        });
        if let Err(error) = started {
            debug!("kafka: cannot start a thread error=\"{error}\"");
        }
    }
    drop(sender);
    let deadline = Instant::now() + limit;
    let mut found = BTreeMap::new();
    while !stop.requested() && Instant::now() < deadline {
        match receiver.recv_timeout(GLANCE) {
            Ok((address, listener)) => {
                found.insert(address, listener);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    found
}

/// Why this client and this listener do not fit together. `None`: they fit, as far as can be seen.
fn misfit(listener: &Listener, client: Security, mechanism: Option<&str>) -> Option<Symptom> {
    const CORRECT: &str = "correct kafka.brokers: the host and port of a broker's listener";
    let symptom = |cause: String, cure: String, certain: Option<Exit>| Some(Symptom { cause, cure, certain });
    let configuration = Some(Exit::Configuration);
    let protocol = client.protocol();
    let no_kafka = |whose: &str| {
        let cause = format!("this port answers, but is no Kafka listener: {whose}");
        symptom(cause, CORRECT.to_owned(), configuration)
    };
    match listener {
        Listener::Http => no_kafka("a web server's"),
        Listener::Aerospike => no_kafka("an Aerospike node's"),
        Listener::ZooKeeper => no_kafka("ZooKeeper's"),
        Listener::Ssh => no_kafka("an SSH server's"),
        Listener::Controller => symptom(
            "this port answers, but is no broker's listener: a KRaft controller's".to_owned(),
            "name a broker's listener in kafka.brokers: its advertised.listeners, not controller.listener.names".to_owned(),
            configuration,
        ),
        Listener::Tls | Listener::KafkaTls { .. } if !client.tls => symptom(
            format!("the listener speaks TLS, and security.protocol is {protocol}"),
            if client.sasl {
                "set \"security.protocol\" = \"sasl_ssl\"".to_owned()
            } else {
                "set \"security.protocol\" = \"ssl\" (\"sasl_ssl\" with a login), or name the port of the listener without TLS"
                    .to_owned()
            },
            configuration,
        ),
        Listener::Kafka(login) if client.tls => symptom(
            format!("the listener has no TLS, and security.protocol is {protocol}"),
            match login {
                Login::None => "set \"security.protocol\" = \"plaintext\", or name the port of the TLS listener".to_owned(),
                Login::Wanted(_) => {
                    "set \"security.protocol\" = \"sasl_plaintext\", or name the port of the TLS listener".to_owned()
                }
                Login::Unknown => {
                    "set \"security.protocol\" = \"plaintext\" (\"sasl_plaintext\" with a login), or name the port of the TLS \
                     listener"
                        .to_owned()
                }
            },
            configuration,
        ),
        Listener::Kafka(Login::None) | Listener::KafkaTls { login: Login::None, .. } if client.sasl => symptom(
            format!("the listener asks for no login, and security.protocol is {protocol}"),
            format!(
                "set \"security.protocol\" = \"{}\" and remove sasl.*, or name the port of the listener with SASL",
                Security { sasl: false, ..client }.protocol()
            ),
            // The broker refuses the mechanism of the login: treated like any refused login.
            Some(Exit::Credentials),
        ),
        Listener::Kafka(Login::Wanted(offered)) | Listener::KafkaTls { login: Login::Wanted(offered), .. }
            if !client.sasl => symptom(
            format!("the listener wants a login, and security.protocol is {protocol}"),
            format!(
                "set \"security.protocol\" = \"{}\", sasl.mechanism ({}), sasl.username and sasl.password",
                Security { sasl: true, ..client }.protocol(),
                offered.join(", ")
            ),
            configuration,
        ),
        Listener::Kafka(Login::Wanted(offered)) | Listener::KafkaTls { login: Login::Wanted(offered), .. }            if mechanism.is_some_and(|mechanism| !offered.iter().any(|each| each == mechanism)) =>
        {
            symptom(
                format!("the listener does not have the sasl.mechanism {}", mechanism.unwrap_or_default()),
                format!("set sasl.mechanism to what the listener has: {}", offered.join(", ")),
                configuration,
            )
        }
        Listener::Silent => symptom(
            "this port accepts connections and answers nothing: a broker that hangs, a proxy without one, or no Kafka \
             listener"
                .to_owned(),
            format!("look at the broker, or {CORRECT}"),
            None,
        ),
        Listener::Unknown => symptom(
            "this port answers, but not as a Kafka listener does: it closes the connection, or speaks something else"
                .to_owned(),
            format!("{CORRECT}, not a controller's"),
            None,
        ),
        Listener::Unreached(why) => symptom(
            why.clone(),
            "start the broker, or correct kafka.brokers".to_owned(),
            None,
        ),
        Listener::Unresolved(why) => symptom(
            format!("the host name does not resolve: {why}"),
            "correct it in kafka.brokers, or the name server".to_owned(),
            None,
        ),
        Listener::Tls | Listener::Kafka(_) | Listener::KafkaTls { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_of_another_cluster_is_named_with_its_address() {
        let line = "[thrd:main]: Broker 10.0.0.7:9092/3 reports different ClusterId \"B\" than previously known \"A\": a \
                    client must not be simultaneously connected to multiple clusters";
        let complaint = Complaint::other_cluster(line).to_string();
        let told =
            "at 10.0.0.7:9092, which is broker 3's address, one of the cluster B answers, and those before were of A";
        assert!(complaint.contains(told), "{complaint}");
    }

    fn diagnosis(addresses: &[&str], protocol: &str) -> Diagnosis {
        Diagnosis {
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            security: Security::of(Some(protocol)),
            mechanism: Some("PLAIN".to_owned()),
            ca: Pem::default(),
            own: Pem::default(),
            has_store: false,
            complaints: Complaints::default(),
            looked: None,
        }
    }

    fn found(listeners: &[(&str, Listener)]) -> BTreeMap<String, Listener> {
        let owned = |(address, listener): &(&str, Listener)| ((*address).to_owned(), listener.clone());
        listeners.iter().map(owned).collect()
    }

    #[test]
    fn each_listener_that_does_not_fit_has_its_own_cure() {
        let wanted =
            |names: &[&str]| Listener::Kafka(Login::Wanted(names.iter().map(|name| (*name).to_owned()).collect()));
        let open = Listener::Kafka(Login::None);
        let behind_tls = |login| Listener::KafkaTls { login, distrust: None };
        for (protocol, listener, expected) in [
            ("plaintext", Listener::Tls, Some(("speaks TLS", "\"ssl\""))),
            ("sasl_plaintext", Listener::Tls, Some(("speaks TLS", "\"sasl_ssl\""))),
            (
                "plaintext",
                wanted(&["PLAIN"]),
                Some(("wants a login", "sasl.mechanism (PLAIN)")),
            ),
            ("ssl", open.clone(), Some(("has no TLS", "\"plaintext\""))),
            ("ssl", wanted(&["PLAIN"]), Some(("has no TLS", "\"sasl_plaintext\""))),
            ("sasl_ssl", open.clone(), Some(("has no TLS", "\"plaintext\""))),
            ("sasl_plaintext", open.clone(), Some(("no login", "remove sasl.*"))),
            (
                "sasl_plaintext",
                wanted(&["SCRAM-SHA-256"]),
                Some(("does not have", "has: SCRAM-SHA-256")),
            ),
            (
                "plaintext",
                Listener::Controller,
                Some(("controller's", "advertised.listeners")),
            ),
            ("ssl", Listener::Http, Some(("web server's", "kafka.brokers"))),
            ("plaintext", Listener::Aerospike, Some(("Aerospike", "kafka.brokers"))),
            ("plaintext", Listener::ZooKeeper, Some(("ZooKeeper's", "kafka.brokers"))),
            ("plaintext", open, None),
            ("sasl_plaintext", wanted(&["PLAIN"]), None),
            ("ssl", Listener::Tls, None),
            (
                "ssl",
                behind_tls(Login::Wanted(vec!["PLAIN".to_owned()])),
                Some(("wants a login", "\"sasl_ssl\", sasl.mechanism (PLAIN)")),
            ),
            (
                "sasl_ssl",
                behind_tls(Login::Wanted(vec!["SCRAM-SHA-512".to_owned()])),
                Some(("does not have", "has: SCRAM-SHA-512")),
            ),
            ("sasl_ssl", behind_tls(Login::None), Some(("no login", "\"ssl\""))),
            ("sasl_ssl", behind_tls(Login::Unknown), None),
            ("sasl_plaintext", Listener::Kafka(Login::Unknown), None),
        ] {
            let told = diagnosis(&["k:1"], protocol).complaint_about(&found(&[("k:1", listener.clone())]));
            match (told, expected) {
                (None, None) => {}
                (Some(told), Some((cause, cure))) => {
                    assert!(
                        told.found.contains(cause) && told.cure.contains(cure),
                        "{listener:?}: {told}"
                    );
                    let refuses_the_login = cause == "no login";
                    let exit = if refuses_the_login {
                        Exit::Credentials
                    } else {
                        Exit::Configuration
                    };
                    assert_eq!(told.exit, Some(exit), "{listener:?}: {told}");
                }
                (told, _) => panic!("{protocol} {listener:?}: {told:?}"),
            }
        }
    }

    #[test]
    fn why_a_certificate_is_refused_is_told_only_after_librdkafka_has_refused_it() {
        for (distrust, words) in [
            (Distrust::Expired, "has expired"),
            (Distrust::NotYetValid, "not valid yet"),
            (Distrust::OtherHost, "another host than k"),
            (Distrust::UnknownAuthority, "not known here (known: the system's)"),
        ] {
            let one = diagnosis(&["k:1"], "ssl");
            let listeners = found(&[(
                "k:1",
                Listener::KafkaTls {
                    login: Login::None,
                    distrust: Some(distrust),
                },
            )]);
            assert_eq!(
                one.complaint_about(&listeners),
                None,
                "verification may be switched off"
            );
            one.complaints().hear(
                "ssl://k:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed",
            );
            let told = one.complaint_about(&listeners).unwrap();
            assert!(told.found.contains(words), "{told}");
            assert_eq!(told.exit, Some(Exit::Configuration));
        }
    }

    #[test]
    fn a_certificate_that_is_refused_is_told_from_one_that_is_missing() {
        for (location, words) in [
            (None, "wants a client certificate"),
            (Some("/a.pem"), "refuses the client's certificate"),
        ] {
            let mut one = diagnosis(&["k:1"], "ssl");
            one.own.location = location.map(str::to_owned);
            one.complaints()
                .hear("ssl://k:1/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate");
            let told = one.complaint_about(&found(&[("k:1", Listener::Tls)])).unwrap();
            assert!(told.found.contains(words), "{told}");
        }
    }

    #[test]
    fn with_one_address_that_may_yet_answer_it_is_waited() {
        let both = diagnosis(&["k:1", "k:2"], "plaintext");
        let told = both
            .complaint_about(&found(&[("k:1", Listener::Tls), ("k:2", Listener::Silent)]))
            .unwrap();
        assert_eq!(told.exit, None);
        assert!(told.found.contains("k:1") && told.found.contains("of 2"), "{told}");
        let told = both
            .complaint_about(&found(&[("k:1", Listener::Tls), ("k:2", Listener::Http)]))
            .unwrap();
        assert_eq!(told.exit, Some(Exit::Configuration));
        assert_eq!(
            both.complaint_about(&found(&[("k:1", Listener::Tls)])).unwrap().exit,
            None,
            "k:2 is not looked up yet"
        );
    }

    #[test]
    fn what_librdkafka_is_sure_of_counts_where_the_port_says_nothing() {
        let one = diagnosis(&["k:1"], "sasl_ssl");
        let complaints = one.complaints();
        complaints.hear("sasl_ssl://k:1/bootstrap: SASL authentication error: Authentication failed: Invalid username");
        let told = one.complaint_about(&found(&[("k:1", Listener::Tls)])).unwrap();
        assert_eq!(told.exit, Some(Exit::Credentials));
        // About a broker that is not in the configuration.
        let other = diagnosis(&["k:1"], "plaintext");
        other
            .complaints()
            .hear("k:9/4: Receive failed: Invalid response size 352518912 (0..1)");
        assert_eq!(
            other.complaint_about(&found(&[("k:1", Listener::Kafka(Login::None))])),
            None
        );
    }

    #[test]
    fn the_surest_of_what_is_known_of_a_broker_and_of_all_of_them_is_told() {
        let complaint = "k:1/bootstrap: SASL authentication error: Authentication failed: Invalid username";
        for listener in [Listener::Silent, Listener::Unknown] {
            let one = diagnosis(&["k:1"], "sasl_plaintext");
            let told = one.complaint_about(&found(&[("k:1", listener.clone())])).unwrap();
            assert_eq!(told.exit, None, "{listener:?}: {told}");
            assert!(told.found.starts_with("k:1: this port "), "{told}");
            one.complaints().hear(complaint);
            let told = one.complaint_about(&found(&[("k:1", listener)])).unwrap();
            assert_eq!(told.exit, Some(Exit::Credentials), "{told}");
        }
        // What the port says is more certain than a complaint that can have many causes.
        let one = diagnosis(&["k:1"], "sasl_plaintext");
        one.complaints().hear(complaint);
        let told = one.complaint_about(&found(&[("k:1", Listener::Tls)])).unwrap();
        assert!(told.found.contains("speaks TLS"), "{told}");

        let two = diagnosis(&["k:1", "k:2"], "plaintext");
        let told = two.complaint_about(&found(&[("k:1", Listener::Silent), ("k:2", Listener::Http)]));
        let told = told.unwrap();
        assert!(told.found.starts_with("k:2 (of 2 brokers"), "{told}");
    }

    #[test]
    fn a_refusal_is_found_among_what_was_complained_of() {
        let both = diagnosis(&["k:1", "k:2"], "sasl_plaintext");
        assert_eq!(both.refusal(), None);
        let complaints = both.complaints();
        complaints
            .hear("k:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)");
        assert_eq!(both.refusal(), None);
        complaints.hear("k:2/bootstrap: SASL authentication error: Authentication failed: Invalid username");
        let told = both.refusal().unwrap();
        assert!(told.found.starts_with("k:2: "), "{told}");
        assert_eq!(told.exit, Some(Exit::Credentials));
    }

    #[test]
    fn ports_that_were_asked_lately_are_not_asked_again() {
        // Nobody could be asked at this address.
        let mut one = diagnosis(&["broker.invalid:9"], "plaintext");
        one.looked = Some((Instant::now(), found(&[("broker.invalid:9", Listener::Tls)])));
        let told = one.look(None, &Stop::new()).unwrap();
        assert!(told.found.contains("speaks TLS"), "{told}");
        if let Some(before) = Instant::now().checked_sub(LOOK_INTERVAL) {
            one.looked = Some((before, found(&[("broker.invalid:9", Listener::Tls)])));
            let told = one.look(None, &Stop::new());
            assert!(!told.is_some_and(|told| told.found.contains("speaks TLS")));
        }
    }
}
