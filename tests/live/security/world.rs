//! What the tests of Kafka's security share: a broker of their own with a listener for each mode, its certificates and
//! users, and a proxy that counts connections.

use std::ffi::CString;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use rdkafka::admin::AdminClient;
use rdkafka::bindings as sys;
use rdkafka::client::DefaultClientContext;
use sys::rd_kafka_ScramMechanism_t as Mechanism;
use tempfile::TempDir;

use crate::support::certificates::{Authority, Certificates, Signed, Valid};
use crate::support::{DEADLINE, Kafka};

/// The user of PLAIN and SCRAM.
pub const USER: &str = "penstock";
/// No output may contain the end of it.
pub const PASSWORD: &str = "right-secret";

/// The broker's listeners besides those of `scripts/kafka/server.properties`.
const LISTENERS: [&str; 7] = ["SASL", "SASLTLS", "SCRAM", "OPEN", "MUTUAL", "EXPIRED", "ELSEWHERE"];

/// The broker, two authorities, and certificates for clients.
pub struct World {
    pub kafka: Kafka,
    pub certificates: Certificates,
    pub ca: Authority,
    pub other: Authority,
    pub client: Signed,
    folder: TempDir,
}

impl World {
    /// Starts the broker. Its users have their passwords when this returns.
    pub fn start() -> World {
        let certificates = Certificates::new();
        let (ca, other) = (certificates.authority("ca"), certificates.authority("other"));
        let here = certificates.sign(&ca, "broker", &["127.0.0.1", "localhost"], Valid::Now);
        let expired = certificates.sign(&ca, "broker-expired", &["127.0.0.1"], Valid::Before);
        let elsewhere = certificates.sign(&ca, "broker-elsewhere", &["kafka.elsewhere"], Valid::Now);
        let properties = properties(&certificates, &ca, [&here, &expired, &elsewhere]);
        let properties = certificates.write("listeners.properties", &properties);
        let folder = TempDir::new().unwrap();
        let mut start = script(folder.path(), "start");
        start.env("KAFKA_LISTENERS", LISTENERS.join(" "));
        start.env("KAFKA_PROPERTIES", properties).env("KAFKA_HEAP", "-Xmx384m");
        let output = start.output().unwrap();
        // From here on, dropping it stops the broker.
        let mut world = World {
            kafka: Kafka::at(""),
            client: certificates.sign(&ca, "client", &[USER], Valid::Now),
            certificates,
            ca,
            other,
            folder,
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (_, brokers) = said.trim().rsplit_once("KAFKA_BROKERS=").unwrap();
        world.kafka = Kafka::at(brokers);
        for mechanism in [SCRAM_256, SCRAM_512] {
            world.set_password(mechanism, USER, Some(PASSWORD));
        }
        world
    }

    /// The address of this listener.
    pub fn listener(&self, name: &str) -> String {
        let properties = std::fs::read_to_string(self.folder.path().join("server.properties")).unwrap();
        let listeners = properties.lines().find_map(|line| line.strip_prefix("listeners="));
        let found = listeners
            .unwrap()
            .split(',')
            .find_map(|each| each.strip_prefix(name)?.strip_prefix("://"));
        found.unwrap_or_else(|| panic!("no {name} in {properties}")).to_owned()
    }

    /// Gives the SCRAM user this password, or removes it from the mechanism.
    // One request, which `rdkafka` does not have: its objects are made, used and freed here.
    #[allow(clippy::multiple_unsafe_ops_per_block)]
    pub fn set_password(&self, mechanism: Mechanism, user: &str, password: Option<&str>) {
        let admin: AdminClient<DefaultClientContext> = self.kafka.client().create().unwrap();
        let native = admin.inner().native_ptr();
        let user = CString::new(user).unwrap();
        // SAFETY: the texts outlive the call, which copies them; no salt: librdkafka makes one.
        let mut alteration = unsafe {
            match password {
                Some(password) => {
                    let (bytes, length) = (password.as_ptr(), password.len());
                    sys::rd_kafka_UserScramCredentialUpsertion_new(
                        user.as_ptr(),
                        mechanism,
                        4096,
                        bytes,
                        length,
                        ptr::null(),
                        0,
                    )
                }
                None => sys::rd_kafka_UserScramCredentialDeletion_new(user.as_ptr(), mechanism),
            }
        };
        // SAFETY: the client is alive, and outlives the queue; each object is freed once, after its last use.
        unsafe {
            let queue = sys::rd_kafka_queue_new(native);
            sys::rd_kafka_AlterUserScramCredentials(native, &raw mut alteration, 1, ptr::null(), queue);
            let event = sys::rd_kafka_queue_poll(queue, i32::try_from(DEADLINE.as_millis()).unwrap());
            assert!(!event.is_null(), "no answer about the user");
            let error = sys::rd_kafka_event_error(event);
            assert_eq!(error, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
            let result = sys::rd_kafka_event_AlterUserScramCredentials_result(event);
            let mut count = 0;
            let responses = sys::rd_kafka_AlterUserScramCredentials_result_responses(result, &raw mut count);
            assert_eq!(count, 1);
            let error = sys::rd_kafka_AlterUserScramCredentials_result_response_error(*responses);
            let code = sys::rd_kafka_error_code(error);
            assert_eq!(code, sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
            sys::rd_kafka_event_destroy(event);
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_UserScramCredentialAlteration_destroy(alteration);
        }
    }

    /// How many logins and TLS handshakes the broker has refused so far, by its own log.
    pub fn refusals(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("logs/server.log")).unwrap();
        log.lines()
            .filter(|line| line.contains("Failed authentication with"))
            .count()
    }
}

pub const SCRAM_256: Mechanism = Mechanism::RD_KAFKA_SCRAM_MECHANISM_SHA_256;
pub const SCRAM_512: Mechanism = Mechanism::RD_KAFKA_SCRAM_MECHANISM_SHA_512;

impl Drop for World {
    fn drop(&mut self) {
        let _ = script(self.folder.path(), "stop").status();
    }
}

fn script(folder: &Path, command: &str) -> Command {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh"));
    script.arg(command).env("KAFKA_DIR", folder).env_remove("KAFKA_PORT");
    script
}

/// What `server.properties` needs for [`LISTENERS`]. `signed`: the broker's right, expired and foreign certificate.
fn properties(certificates: &Certificates, ca: &Authority, signed: [&Signed; 3]) -> String {
    let [here, expired, elsewhere] = signed;
    let mut lines = String::from(
        "listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL,\
         SASL:SASL_PLAINTEXT,SASLTLS:SASL_SSL,SCRAM:SASL_PLAINTEXT,OPEN:SSL,MUTUAL:SSL,EXPIRED:SSL,ELSEWHERE:SSL\n",
    );
    let mut mechanism = |listener: &str, name: &str, module: &str, options: &str| {
        lines += &format!(
            "listener.name.{listener}.{name}.sasl.jaas.config=org.apache.kafka.common.security.{module} required{options};\n"
        );
    };
    let plain = format!(" user_{USER}=\"{PASSWORD}\"");
    let scram = "scram.ScramLoginModule";
    mechanism("sasl", "plain", "plain.PlainLoginModule", &plain);
    mechanism("sasl", "scram-sha-256", scram, "");
    mechanism("sasl", "scram-sha-512", scram, "");
    let scope = " unsecuredValidatorRequiredScope=\"penstock\" unsecuredLoginStringClaim_sub=\"broker\"";
    mechanism("sasl", "oauthbearer", "oauthbearer.OAuthBearerLoginModule", scope);
    mechanism("sasltls", "scram-sha-512", scram, "");
    mechanism("scram", "scram-sha-512", scram, "");
    // A client of this listener must log in again and again (KIP-368), so that a changed password shows.
    lines += "listener.name.scram.connections.max.reauth.ms=4000\n";
    lines += "listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
              listener.name.sasltls.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
              listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512\n";
    for (listener, signed) in [
        ("sasltls", here),
        ("open", here),
        ("mutual", here),
        ("expired", expired),
        ("elsewhere", elsewhere),
    ] {
        // Kafka reads the key and its certificate from one file.
        let [key, certificate] = [&signed.key, &signed.certificate].map(|file| std::fs::read_to_string(file).unwrap());
        let store = certificates.write(&format!("{listener}-store.pem"), &(key + &certificate));
        lines += &format!(
            "listener.name.{listener}.ssl.keystore.type=PEM\nlistener.name.{listener}.ssl.keystore.location={}\n",
            store.display()
        );
    }
    lines += &format!(
        "listener.name.mutual.ssl.client.auth=required\nlistener.name.mutual.ssl.truststore.type=PEM\n\
         listener.name.mutual.ssl.truststore.location={}\n",
        ca.file.display()
    );
    lines
}

/// Forwards connections to a listener, and counts them.
pub struct Proxy {
    pub addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    started: Instant,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    pub fn to(target: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped, target) = (connections.clone(), stop.clone(), target.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let broker = TcpStream::connect(&target).unwrap();
                for (from, to) in [(&client, &broker), (&broker, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Proxy {
            addr,
            connections,
            started: Instant::now(),
            stop,
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Seconds since it began to count.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
    }
}
