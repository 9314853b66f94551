//! What librdkafka's messages mean: the cause and its cure.
//!
//! The texts are those of librdkafka 2.12.1; their source is named beside each. Depends only on its argument.
//! `listener` finds out what a port answers; `diagnosis` combines both.

use crate::util::exit::Exit;

/// The cause of a broker's certificate that OpenSSL refuses, when its text does not say why.
pub const UNVERIFIED: &str = "the broker's certificate cannot be verified";

/// The cause of a refused login.
pub const REFUSED_LOGIN: &str = "the broker refuses the login";

/// The cure of a refused token.
pub const TOKEN_CURE: &str =
    "correct sasl.oauthbearer.config below [kafka.properties]: the principal and the scope that the broker wants";
/// The causes of a TLS handshake that the broker ends because of the client's certificate. Which of them it is depends
/// on whether the client has one: some brokers send the same alert for both.
pub const WANTS_CERTIFICATE: &str = "the listener wants a client certificate";
pub const REFUSES_CERTIFICATE: &str = "the broker refuses the client's certificate";
pub const CERTIFICATE_CURE: &str =
    "set ssl.certificate.location and ssl.key.location to a certificate that an authority of the broker has signed";

/// What a complaint means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symptom {
    pub cause: String,
    pub cure: String,
    /// `Some`: the cause is certain and does not pass by itself; how the service ends. `None`: a guess that may be
    /// wrong.
    pub certain: Option<Exit>,
}

fn certain(exit: Exit, cause: impl Into<String>, cure: impl Into<String>) -> Option<Symptom> {
    Some(Symptom {
        cause: cause.into(),
        cure: cure.into(),
        certain: Some(exit),
    })
}

fn guess(cause: impl Into<String>, cure: impl Into<String>) -> Option<Symptom> {
    Some(Symptom {
        cause: cause.into(),
        cure: cure.into(),
        certain: None,
    })
}

/// The broker that a complaint is about, as `host:port`. librdkafka puts `[protocol://]host:port/number: ` in front
/// (`rdkafka_broker.c`, `rd_kafka_mk_brokername`).
pub fn broker(text: &str) -> Option<&str> {
    let text = match text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, text)) => text,
        None => text,
    };
    let (name, _) = text.split_once(": ")?;
    let name = name.split_once("://").map_or(name, |(_, name)| name);
    let (address, _) = name.rsplit_once('/')?;
    (address.contains(':') && !address.contains(' ')).then_some(address)
}

/// What a complaint means, if it is known.
pub fn read(text: &str) -> Option<Symptom> {
    login(text)
        .or_else(|| tls(text))
        .or_else(|| answer(text))
        .or_else(|| connection(text))
        .or_else(|| group(text))
}

/// `rdkafka_broker.c`, `rd_kafka_broker_handle_SaslHandshake`; `rdkafka_request.c`, `rd_kafka_handle_SaslAuthenticate`.
fn login(text: &str) -> Option<Symptom> {
    if let Some((_, why)) = text.split_once("mechanism handshake failed: ") {
        let offered = why.split_once("supported mechanisms: ").map(|(_, list)| {
            let list = list.split(" (after ").next().unwrap_or(list);
            list.trim().trim_end_matches('.')
        });
        if why.contains("Unsupported SASL mechanism") {
            let offered = offered.filter(|list| !list.is_empty()).unwrap_or("another one");
            return certain(
                Exit::Configuration,
                "the listener does not have the configured sasl.mechanism",
                format!("set sasl.mechanism to what the listener has: {offered}"),
            );
        }
        if why.contains("not valid in current SASL state") {
            return certain(
                // The broker refuses the mechanism of the login: treated like any refused login.
                Exit::Credentials,
                "the listener asks for no login, and one is configured",
                "set security.protocol to plaintext (ssl where it has TLS) and remove sasl.*, or name the port of the \
                 listener with SASL",
            );
        }
        return None;
    }
    if text.contains("SASL authentication error") || text.contains("check client") && text.contains("credentials") {
        // A connection that breaks at this point says nothing about the credentials.
        if text.contains("Local: ") || text.contains("Disconnected") {
            return guess(
                "the connection ended during the login",
                "look at the broker's log; correct sasl.username, sasl.password and sasl.mechanism if it refuses them",
            );
        }
        // What a broker answers to a token is JSON (RFC 7628).
        if text.contains("{\"status\":") {
            return certain(Exit::Credentials, REFUSED_LOGIN, TOKEN_CURE);
        }
        return certain(
            Exit::Credentials,
            REFUSED_LOGIN,
            "correct sasl.username and sasl.password below [kafka.properties]; a SCRAM user exists for each mechanism by \
             itself",
        );
    }
    if text.contains("SASL Handshake not supported by broker") {
        return certain(
            Exit::Configuration,
            "what answers knows no SASL login",
            "set security.protocol to plaintext or ssl and remove sasl.*, or correct kafka.brokers",
        );
    }
    if text.contains("no token available") {
        return certain(
            Exit::Configuration,
            "there is no OAUTHBEARER token",
            "use another sasl.mechanism: this build has no OIDC",
        );
    }
    if text.contains("broker might require SASL authentication") {
        return guess(
            "the listener closes the connection after the first request, as one does that wants a login",
            "set security.protocol to sasl_plaintext (sasl_ssl with TLS), with sasl.mechanism, sasl.username and \
             sasl.password; or name the port of another listener",
        );
    }
    None
}

/// `rdkafka_ssl.c`, `rd_kafka_transport_ssl_handshake`; the second part of the text is OpenSSL's.
fn tls(text: &str) -> Option<Symptom> {
    let is_handshake = text.contains("SSL handshake failed") || text.contains("Failed to verify broker certificate");
    if text.contains("alert certificate expired") {
        return certain(
            Exit::Configuration,
            "the broker says that the client's certificate has expired",
            "renew ssl.certificate.location",
        );
    }
    if text.contains("certificate required") || text.contains("alert bad certificate") {
        return certain(Exit::Configuration, WANTS_CERTIFICATE, CERTIFICATE_CURE);
    }
    let is_refused = [
        "unknown ca",
        "certificate unknown",
        "certificate revoked",
        "decrypt error",
        "access denied",
    ];
    if is_refused.iter().any(|alert| text.contains(&format!("alert {alert}"))) {
        return certain(Exit::Configuration, REFUSES_CERTIFICATE, CERTIFICATE_CURE);
    }
    if !is_handshake {
        return None;
    }
    if text.contains("hostname mismatch") || text.contains("IP address mismatch") {
        return certain(
            Exit::Configuration,
            "the broker's certificate names another host",
            "name the broker in kafka.brokers (and in its advertised.listeners) as its certificate does",
        );
    }
    if text.contains("certificate verify failed") || text.contains("Failed to verify broker certificate") {
        return certain(
            Exit::Configuration,
            UNVERIFIED,
            "set ssl.ca.location to the certificate (PEM) of the authority that has signed it; it must name the host that \
             kafka.brokers names, and be valid now",
        );
    }
    if [
        "wrong version number",
        "packet length too long",
        "http request",
        "unknown protocol",
        "record layer failure",
    ]
    .iter()
    .any(|words| text.contains(words))
    {
        return certain(
            Exit::Configuration,
            "what answers on this port speaks no TLS",
            "set security.protocol to plaintext (sasl_plaintext with a login), or name the port of the TLS listener",
        );
    }
    if text.contains("alert handshake failure") || text.contains("alert protocol version") {
        return guess(
            "client and broker have no version or cipher of TLS in common, or the broker wants a client certificate",
            "look at ssl.cipher.suites, and at the broker's ssl.enabled.protocols and ssl.client.auth",
        );
    }
    if text.contains("PLAINTEXT broker listener") || text.contains("Disconnected") {
        return guess(
            "the connection ends during the TLS handshake, as on a listener without TLS",
            "set security.protocol to plaintext (sasl_plaintext with a login), or name the port of the TLS listener",
        );
    }
    None
}

/// Something else came instead of an answer: `rdkafka_broker.c`, `rd_kafka_recv`; `rdkafka_transport.c`,
/// `rd_kafka_transport_framed_recv`.
fn answer(text: &str) -> Option<Symptom> {
    let size = ["Invalid response size ", "Invalid frame size "]
        .iter()
        .find_map(|words| text.split_once(words))
        .and_then(|(_, rest)| rest.split(|c: char| !(c.is_ascii_digit() || c == '-')).next())
        .and_then(|digits| digits.parse::<i32>().ok())?;
    let [first, second, ..] = size.to_be_bytes();
    if (0x14..=0x17).contains(&first) && second == 3 {
        return certain(
            Exit::Configuration,
            "the listener speaks TLS, and security.protocol does not",
            "set security.protocol to ssl (sasl_ssl with a login), or name the port of the listener without TLS",
        );
    }
    if &size.to_be_bytes() == b"HTTP" {
        return certain(
            Exit::Configuration,
            "this port answers, but is no Kafka listener: a web server's",
            "correct kafka.brokers: the host and port of a broker's listener",
        );
    }
    guess(
        "this port answers, but not as a Kafka listener does",
        "correct kafka.brokers: the host and port of a broker's listener",
    )
}

/// `rdkafka_broker.c`, `rd_kafka_broker_set_error`; `rdkafka_transport.c`.
fn connection(text: &str) -> Option<Symptom> {
    const NO_LISTENER: &str = "this port accepts connections, but does not answer as a Kafka listener does";
    const CORRECT: &str = "correct kafka.brokers: the host and port of a broker's listener, not a controller's";
    if text.contains("requesting ApiVersion") {
        return guess(
            format!("{NO_LISTENER}; a listener with TLS would close it as well"),
            format!("{CORRECT}; or set security.protocol to ssl or sasl_ssl"),
        );
    }
    if text.contains("ApiVersionRequest failed") || text.contains("Connection setup timed out in state") {
        return guess(NO_LISTENER, CORRECT);
    }
    if text.contains("Failed to resolve") {
        return guess(
            "the host name does not resolve",
            "correct the name, in kafka.brokers or in the brokers' advertised.listeners, or the name server",
        );
    }
    if text.contains("Connection refused") {
        return guess(
            "nobody listens on this port",
            "start the broker, or correct the address, in kafka.brokers or in the brokers' advertised.listeners",
        );
    }
    None
}

/// Errors of the group that `joining` lets pass.
fn group(text: &str) -> Option<Symptom> {
    if text.contains("group has reached maximum size") || text.contains("GroupMaxSizeReached") {
        return guess(
            "the group has as many members as the brokers allow",
            "raise group.max.size at the brokers, or stop a member of the group",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_has_its_own_cure() {
        // Texts that librdkafka 2.12.1 wrote about brokers and about other servers.
        let configuration = Some(Exit::Configuration);
        for (text, cause, cure, exit) in [
            (
                "sasl_plaintext://k:9092/bootstrap: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL \
                 mechanism: broker's supported mechanisms: PLAIN,SCRAM-SHA-512 (after 3ms in state AUTH_HANDSHAKE)",
                "does not have the configured sasl.mechanism",
                "set sasl.mechanism to what the listener has: PLAIN,SCRAM-SHA-512",
                configuration,
            ),
            (
                "sasl_plaintext://k:9092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request not valid in \
                 current SASL state: broker's supported mechanisms:  (after 1ms in state AUTH_HANDSHAKE)",
                "asks for no login",
                "remove sasl.*",
                Some(Exit::Credentials),
            ),
            (
                "sasl_plaintext://k:9092/bootstrap: SASL authentication error: Authentication failed: Invalid username or \
                 password (after 312ms in state AUTH_REQ)",
                "refuses the login",
                "sasl.password",
                Some(Exit::Credentials),
            ),
            (
                "sasl_plaintext://k:9092/bootstrap: SASL authentication error: {\"status\":\"insufficient_scope\", \
                 \"scope\":\"[penstock]\"} (after 304ms in state AUTH_REQ)",
                "refuses the login",
                "sasl.oauthbearer.config",
                Some(Exit::Credentials),
            ),
            (
                "sasl_plaintext://k:9092/bootstrap: SASL authentication error: Local: Broker transport failure (after 9ms)",
                "ended during the login",
                "broker's log",
                None,
            ),
            (
                "k:9092/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN: verify that \
                 security.protocol is correctly configured, broker might require SASL authentication (after 2ms in state UP)",
                "wants a login",
                "sasl_plaintext",
                None,
            ),
            (
                "ssl://k:9092/bootstrap: SSL handshake failed: Disconnected: connection closed by peer: connecting to a \
                 PLAINTEXT broker listener? (after 4ms in state SSL_HANDSHAKE)",
                "without TLS",
                "plaintext",
                None,
            ),
            (
                "ssl://k:9092/bootstrap: SSL handshake failed: error:0A00010B:SSL routines::wrong version number (after 2ms \
                 in state SSL_HANDSHAKE)",
                "speaks no TLS",
                "plaintext",
                configuration,
            ),
            (
                "ssl://k:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker \
                 certificate could not be verified, verify that ssl.ca.location is correctly configured",
                "cannot be verified",
                "ssl.ca.location",
                configuration,
            ),
            (
                "ssl://k:9093/bootstrap: Receive failed: error:0A000416:SSL routines::sslv3 alert certificate unknown: SSL \
                 alert number 46 (after 2ms in state APIVERSION_QUERY, 1 identical error(s) suppressed)",
                "refuses the client's certificate",
                "ssl.certificate.location",
                configuration,
            ),
            (
                "ssl://k:9093/bootstrap: Receive failed: error:0A000415:SSL routines::sslv3 alert certificate expired: SSL \
                 alert number 45 (after 2ms in state APIVERSION_QUERY)",
                "has expired",
                "renew ssl.certificate.location",
                configuration,
            ),
            (
                "ssl://k:9093/1: Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required",
                "wants a client certificate",
                "ssl.certificate.location",
                configuration,
            ),
            (
                "k:9093/bootstrap: Receive failed: Invalid response size 352518912 (0..100000000): increase \
                 receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
                "speaks TLS",
                "ssl",
                configuration,
            ),
            (
                "k:80/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase \
                 receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
                "a web server's",
                "kafka.brokers",
                configuration,
            ),
            (
                "k:9092/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN: requesting ApiVersion: \
                 might be caused by incorrect security.protocol configuration (connecting to a SSL listener?)",
                "does not answer as a Kafka listener",
                "not a controller's",
                None,
            ),
            (
                "k:9092/bootstrap: ApiVersionRequest failed: Local: Timed out: probably due to broker version < 0.10 (see \
                 api.version.request configuration) (after 10001ms in state APIVERSION_QUERY)",
                "does not answer as a Kafka listener",
                "kafka.brokers",
                None,
            ),
            (
                "nowhere:9092/bootstrap: Failed to resolve 'nowhere:9092': Name or service not known (after 1ms in state \
                 CONNECT)",
                "does not resolve",
                "advertised.listeners",
                None,
            ),
        ] {
            let symptom = read(text).unwrap_or_else(|| panic!("{text}"));
            assert!(symptom.cause.contains(cause), "{text}: {symptom:?}");
            assert!(symptom.cure.contains(cure), "{text}: {symptom:?}");
            assert_eq!(symptom.certain, exit, "{text}");
        }
        for text in ["2/2 brokers are down", "", "k:9092/1: Timed out 1 in-flight requests"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_complaint_names_its_broker() {
        for (text, expected) in [
            ("k:9092/bootstrap: Disconnected", Some("k:9092")),
            (
                "[thrd:sasl_ssl://k:9092/bootstrap]: sasl_ssl://k:9092/bootstrap: SASL",
                Some("k:9092"),
            ),
            ("ssl://[::1]:9092/3: Connect", Some("[::1]:9092")),
            ("GroupCoordinator/1: k:9092: Connect", None),
            ("2/2 brokers are down", None),
            ("JoinGroup failed: Broker: Invalid session timeout", None),
        ] {
            assert_eq!(broker(text), expected, "{text}");
        }
    }
}
