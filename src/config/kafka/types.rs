//! The type of each librdkafka property that is not plain text, and whether a value has that type.
//!
//! librdkafka itself reads an integer with `strtol` and accepts what could be read: `10s` is 10 and `010` is 8
//! (`rdkafka_conf.c`, `rd_kafka_anyconf_set_prop`). So values are checked against this table first. The table comes
//! from librdkafka 2.12.1's own `rd_kafka_conf_properties_show`; a test compares the two.

use crate::config::file::wording::did_you_mean;

/// The type of a property's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// From the first to the second, inclusive.
    Integer(i64, i64),
    /// The same, with a fraction.
    Float(i64, i64),
    Boolean,
    /// One of these, in upper or lower case.
    OneOf(&'static [&'static str]),
    /// Some of these, separated by commas, each optionally with `+` or `-` in front.
    Flags(&'static [&'static str]),
}

/// In librdkafka's order.
#[rustfmt::skip]
pub const KINDS: &[(&str, Kind)] = &[
    ("message.max.bytes", Kind::Integer(1_000, 1_000_000_000)),
    ("message.copy.max.bytes", Kind::Integer(0, 1_000_000_000)),
    ("receive.message.max.bytes", Kind::Integer(1_000, 2_147_483_647)),
    ("max.in.flight.requests.per.connection", Kind::Integer(1, 1_000_000)),
    ("max.in.flight", Kind::Integer(1, 1_000_000)),
    ("metadata.recovery.strategy", Kind::OneOf(&["none", "rebootstrap"])),
    ("metadata.recovery.rebootstrap.trigger.ms", Kind::Integer(0, 2_147_483_647)),
    ("topic.metadata.refresh.interval.ms", Kind::Integer(-1, 3_600_000)),
    ("metadata.max.age.ms", Kind::Integer(1, 86_400_000)),
    ("topic.metadata.refresh.fast.interval.ms", Kind::Integer(1, 60_000)),
    ("topic.metadata.refresh.fast.cnt", Kind::Integer(0, 1_000)),
    ("topic.metadata.refresh.sparse", Kind::Boolean),
    ("topic.metadata.propagation.max.ms", Kind::Integer(0, 3_600_000)),
    ("debug", Kind::Flags(&["generic", "broker", "topic", "metadata", "feature", "queue", "msg", "protocol", "cgrp", "security", "fetch", "interceptor", "plugin", "consumer", "admin", "eos", "mock", "assignor", "conf", "telemetry", "all"])),
    ("socket.timeout.ms", Kind::Integer(10, 300_000)),
    ("socket.blocking.max.ms", Kind::Integer(1, 60_000)),
    ("socket.send.buffer.bytes", Kind::Integer(0, 100_000_000)),
    ("socket.receive.buffer.bytes", Kind::Integer(0, 100_000_000)),
    ("socket.keepalive.enable", Kind::Boolean),
    ("socket.nagle.disable", Kind::Boolean),
    ("socket.max.fails", Kind::Integer(0, 1_000_000)),
    ("broker.address.ttl", Kind::Integer(0, 86_400_000)),
    ("broker.address.family", Kind::OneOf(&["any", "v4", "v6"])),
    ("socket.connection.setup.timeout.ms", Kind::Integer(1_000, 2_147_483_647)),
    ("connections.max.idle.ms", Kind::Integer(0, 2_147_483_647)),
    ("reconnect.backoff.jitter.ms", Kind::Integer(0, 3_600_000)),
    ("reconnect.backoff.ms", Kind::Integer(0, 3_600_000)),
    ("reconnect.backoff.max.ms", Kind::Integer(0, 3_600_000)),
    ("statistics.interval.ms", Kind::Integer(0, 86_400_000)),
    ("enabled_events", Kind::Integer(0, 2_147_483_647)),
    ("log_level", Kind::Integer(0, 7)),
    ("log.queue", Kind::Boolean),
    ("log.thread.name", Kind::Boolean),
    ("enable.random.seed", Kind::Boolean),
    ("log.connection.close", Kind::Boolean),
    ("internal.termination.signal", Kind::Integer(0, 128)),
    ("api.version.request", Kind::Boolean),
    ("api.version.request.timeout.ms", Kind::Integer(1, 300_000)),
    ("api.version.fallback.ms", Kind::Integer(0, 604_800_000)),
    ("allow.auto.create.topics", Kind::Boolean),
    ("security.protocol", Kind::OneOf(&["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"])),
    ("enable.ssl.certificate.verification", Kind::Boolean),
    ("ssl.endpoint.identification.algorithm", Kind::OneOf(&["none", "https"])),
    ("sasl.kerberos.min.time.before.relogin", Kind::Integer(0, 86_400_000)),
    ("enable.sasl.oauthbearer.unsecure.jwt", Kind::Boolean),
    ("sasl.oauthbearer.method", Kind::OneOf(&["default", "oidc"])),
    ("sasl.oauthbearer.grant.type", Kind::OneOf(&["client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"])),
    ("sasl.oauthbearer.assertion.algorithm", Kind::OneOf(&["RS256", "ES256"])),
    ("sasl.oauthbearer.assertion.claim.exp.seconds", Kind::Integer(1, 2_147_483_647)),
    ("sasl.oauthbearer.assertion.claim.jti.include", Kind::Boolean),
    ("sasl.oauthbearer.assertion.claim.nbf.seconds", Kind::Integer(0, 2_147_483_647)),
    ("sasl.oauthbearer.metadata.authentication.type", Kind::OneOf(&["none", "azure_imds"])),
    ("session.timeout.ms", Kind::Integer(1, 3_600_000)),
    ("heartbeat.interval.ms", Kind::Integer(1, 3_600_000)),
    ("group.protocol", Kind::OneOf(&["classic", "consumer"])),
    ("coordinator.query.interval.ms", Kind::Integer(1, 3_600_000)),
    ("max.poll.interval.ms", Kind::Integer(1, 86_400_000)),
    ("enable.auto.commit", Kind::Boolean),
    ("auto.commit.interval.ms", Kind::Integer(0, 86_400_000)),
    ("enable.auto.offset.store", Kind::Boolean),
    ("queued.min.messages", Kind::Integer(1, 10_000_000)),
    ("queued.max.messages.kbytes", Kind::Integer(1, 2_097_151)),
    ("fetch.wait.max.ms", Kind::Integer(0, 300_000)),
    ("fetch.queue.backoff.ms", Kind::Integer(0, 300_000)),
    ("fetch.message.max.bytes", Kind::Integer(1, 1_000_000_000)),
    ("max.partition.fetch.bytes", Kind::Integer(1, 1_000_000_000)),
    ("fetch.max.bytes", Kind::Integer(0, 2_147_483_135)),
    ("fetch.min.bytes", Kind::Integer(1, 100_000_000)),
    ("fetch.error.backoff.ms", Kind::Integer(0, 300_000)),
    ("offset.store.method", Kind::OneOf(&["none", "file", "broker"])),
    ("isolation.level", Kind::OneOf(&["read_uncommitted", "read_committed"])),
    ("enable.partition.eof", Kind::Boolean),
    ("check.crcs", Kind::Boolean),
    ("transaction.timeout.ms", Kind::Integer(1_000, 2_147_483_647)),
    ("enable.idempotence", Kind::Boolean),
    ("enable.gapless.guarantee", Kind::Boolean),
    ("queue.buffering.max.messages", Kind::Integer(0, 2_147_483_647)),
    ("queue.buffering.max.kbytes", Kind::Integer(1, 2_147_483_647)),
    ("queue.buffering.max.ms", Kind::Float(0, 900_000)),
    ("linger.ms", Kind::Float(0, 900_000)),
    ("message.send.max.retries", Kind::Integer(0, 2_147_483_647)),
    ("retries", Kind::Integer(0, 2_147_483_647)),
    ("retry.backoff.ms", Kind::Integer(1, 300_000)),
    ("retry.backoff.max.ms", Kind::Integer(1, 300_000)),
    ("queue.buffering.backpressure.threshold", Kind::Integer(1, 1_000_000)),
    ("compression.codec", Kind::OneOf(&["none", "gzip", "snappy", "lz4", "zstd"])),
    ("compression.type", Kind::OneOf(&["none", "gzip", "snappy", "lz4", "zstd"])),
    ("batch.num.messages", Kind::Integer(1, 1_000_000)),
    ("batch.size", Kind::Integer(1, 2_147_483_647)),
    ("delivery.report.only.error", Kind::Boolean),
    ("sticky.partitioning.linger.ms", Kind::Integer(0, 900_000)),
    ("client.dns.lookup", Kind::OneOf(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])),
    ("enable.metrics.push", Kind::Boolean),
    ("request.required.acks", Kind::Integer(-1, 1_000)),
    ("acks", Kind::Integer(-1, 1_000)),
    ("request.timeout.ms", Kind::Integer(1, 900_000)),
    ("message.timeout.ms", Kind::Integer(0, 2_147_483_647)),
    ("delivery.timeout.ms", Kind::Integer(0, 2_147_483_647)),
    ("queuing.strategy", Kind::OneOf(&["fifo", "lifo"])),
    ("produce.offset.report", Kind::Boolean),
    ("compression.level", Kind::Integer(-1, 12)),
    ("auto.commit.enable", Kind::Boolean),
    ("auto.offset.reset", Kind::OneOf(&["smallest", "earliest", "beginning", "largest", "latest", "end", "error"])),
    ("offset.store.sync.interval.ms", Kind::Integer(-1, 86_400_000)),
    ("consume.callback.max.messages", Kind::Integer(0, 1_000_000)),
];

/// Kafka's login mechanisms that this build supports. Kerberos needs libsasl2, which is not linked.
pub const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// librdkafka's assignors.
const ASSIGNORS: &[&str] = &["range", "roundrobin", "cooperative-sticky"];

/// What is wrong with a value, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    pub problem: String,
    pub cure: String,
}

fn misfit(problem: impl Into<String>, cure: impl Into<String>) -> Misfit {
    Misfit {
        problem: problem.into(),
        cure: cure.into(),
    }
}

/// Checks a value against the type of its property. `is_shown`: the cure may name the value that was meant.
///
/// # Errors
/// What is wrong with the value. `Ok` for text properties and for names that librdkafka does not know: they have no
/// type here.
pub fn check(name: &str, value: &str, is_shown: bool) -> Result<(), Misfit> {
    if matches!(name, "sasl.mechanism" | "sasl.mechanisms") {
        return mechanism(value);
    }
    if name == "partition.assignment.strategy" {
        return assignors(value);
    }
    let Some((_, kind)) = KINDS.iter().find(|(each, _)| *each == name) else {
        return Ok(());
    };
    match *kind {
        Kind::Integer(min, max) => integer(name, value, (min, max), is_shown),
        Kind::Float(min, max) => float(name, value, (min, max), is_shown),
        Kind::Boolean => match value.to_ascii_lowercase().as_str() {
            "true" | "false" | "t" | "f" | "1" | "0" => Ok(()),
            "yes" | "y" | "on" | "enabled" if is_shown => {
                Err(misfit("expected true or false", "write true, without quotes"))
            }
            "no" | "n" | "off" | "disabled" if is_shown => {
                Err(misfit("expected true or false", "write false, without quotes"))
            }
            _ => Err(misfit("expected true or false", "write true or false, without quotes")),
        },
        Kind::OneOf(values) => one_of(value, values).map_err(|told| match meant_by(name, value) {
            Some("ssl") => misfit(told.problem, "write \"ssl\", or \"sasl_ssl\" with a login"),
            Some(meant) => misfit(told.problem, format!("write {meant:?}")),
            None => told,
        }),
        Kind::Flags(values) => value
            .split(',')
            .map(|flag| flag.trim().trim_start_matches(['+', '-']))
            .try_for_each(|flag| one_of(flag, values)),
    }
}

fn integer(name: &str, value: &str, (min, max): (i64, i64), is_shown: bool) -> Result<(), Misfit> {
    let problem = format!("expected an integer from {min} to {max}");
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // librdkafka reads 010 as 8.
    if is_plain && (digits.len() == 1 || !digits.starts_with('0')) {
        return match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(()),
            _ => Err(misfit(problem, "write a number in this range")),
        };
    }
    let unit = if name.ends_with(".ms") {
        ", in milliseconds"
    } else if name.ends_with(".seconds") {
        ", in seconds"
    } else if name.ends_with(".kbytes") {
        ", in kilobytes"
    } else if name.ends_with("bytes") || name == "batch.size" {
        ", in bytes"
    } else {
        ""
    };
    let cure = match meant(value, name).filter(|number| is_shown && (min..=max).contains(number)) {
        Some(number) => format!("write {number}{unit}: librdkafka knows no units"),
        None => {
            // Examples that fit the defaults of the other properties.
            let example = match name {
                "session.timeout.ms" => 45_000,
                "heartbeat.interval.ms" => 3_000,
                "max.poll.interval.ms" => 300_000,
                _ => min.max(1),
            };
            format!("write digits alone{unit}, e.g. {example}")
        }
    };
    Err(misfit(problem, cure))
}

/// The number that the user means with `10s`, `5 MB`, `10_000` or `1e3`.
fn meant(value: &str, name: &str) -> Option<i64> {
    let value = value.trim().replace('_', "");
    if value.to_ascii_lowercase().contains('e')
        && let Ok(number) = value.parse::<f64>()
        && number.fract() == 0.0
        && number.abs() < 1e15
    {
        return format!("{number}").parse().ok();
    }
    let split = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (digits, unit) = value.split_at(split);
    let number: i64 = digits.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    let factor = if name.ends_with(".ms") {
        match unit.as_str() {
            "" | "ms" | ".0" => 1,
            "s" | "sec" | "seconds" => 1000,
            "m" | "min" | "minutes" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        }
    } else if (name.ends_with("bytes") || name == "batch.size") && !name.ends_with(".kbytes") {
        match unit.as_str() {
            "" | "b" | ".0" => 1,
            "k" | "kb" | "kib" => 1024,
            "m" | "mb" | "mib" => 1024 * 1024,
            "g" | "gb" | "gib" => 1024 * 1024 * 1024,
            _ => return None,
        }
    } else if unit.is_empty() || unit == ".0" {
        1
    } else {
        return None;
    };
    number.checked_mul(factor)
}

fn float(name: &str, value: &str, (min, max): (i64, i64), is_shown: bool) -> Result<(), Misfit> {
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match value.parse::<f64>() {
        Ok(number) if is_plain && (min as f64..=max as f64).contains(&number) => Ok(()),
        _ => Err(misfit(
            format!("expected a number from {min} to {max}"),
            match meant(value, name).filter(|number| is_shown && !is_plain && (min..=max).contains(number)) {
                Some(number) => format!("write {number}: librdkafka knows no units"),
                None => "write digits alone, with a fraction or without: librdkafka knows no units".to_owned(),
            },
        )),
    }
}

/// The value that the user means with another client's value, or with half of one.
fn meant_by(name: &str, value: &str) -> Option<&'static str> {
    let value = letters(value);
    match (name, value.as_str()) {
        // Java's way of switching it off.
        ("ssl.endpoint.identification.algorithm", "") => Some("none"),
        ("security.protocol", "tls") => Some("ssl"),
        // A guess must not send a password unencrypted.
        ("security.protocol", "sasl" | "sasltls") => Some("sasl_ssl"),
        ("security.protocol", "plain") => Some("plaintext"),
        ("broker.address.family", "ipv4") => Some("v4"),
        ("broker.address.family", "ipv6") => Some("v6"),
        ("isolation.level", "committed") => Some("read_committed"),
        ("isolation.level", "uncommitted") => Some("read_uncommitted"),
        ("client.dns.lookup", "default") => Some("use_all_dns_ips"),
        _ => None,
    }
}

fn one_of(value: &str, values: &[&str]) -> Result<(), Misfit> {
    if values.iter().any(|each| each.eq_ignore_ascii_case(value)) {
        return Ok(());
    }
    let problem = format!("expected one of: {}", values.join(", "));
    Err(misfit(
        problem,
        did_you_mean(&value.to_ascii_lowercase(), values, "write one of"),
    ))
}

/// Letters and digits, in lower case.
fn letters(text: &str) -> String {
    let kept = text.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

/// Checks the assignors: librdkafka's names, in exact spelling. librdkafka itself checks whether they can be combined.
fn assignors(value: &str) -> Result<(), Misfit> {
    let mut names: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if !names.is_empty() && names.iter().all(|name| ASSIGNORS.contains(name)) {
        return Ok(());
    }
    // Java uses class names: org.apache.kafka.clients.consumer.CooperativeStickyAssignor.
    let known = |name: &str| {
        let name = letters(name.rsplit('.').next().unwrap_or(name));
        match name.strip_suffix("assignor").unwrap_or(&name) {
            "range" => Some("range"),
            "roundrobin" => Some("roundrobin"),
            // Java's sticky assignor first gives all partitions back; librdkafka has only the cooperative one.
            "cooperativesticky" | "cooperative" | "sticky" => Some("cooperative-sticky"),
            _ => None,
        }
    };
    let meant: Option<Vec<&str>> = names.iter().map(|name| known(name)).collect();
    names = meant.unwrap_or_default();
    names.dedup();
    if names.contains(&"cooperative-sticky") {
        // It cannot be combined with others.
        names = vec!["cooperative-sticky"];
    }
    let problem = format!("expected one of: {}", ASSIGNORS.join(", "));
    let cure = if names.is_empty() {
        "write one of them".to_owned()
    } else {
        format!("write {:?}", names.join(","))
    };
    Err(misfit(problem, cure))
}

fn mechanism(value: &str) -> Result<(), Misfit> {
    // librdkafka compares it case-sensitively (`rdkafka_sasl.c`, `rd_kafka_sasl_select_provider`).
    if MECHANISMS.contains(&value) {
        return Ok(());
    }
    if value.eq_ignore_ascii_case("GSSAPI") {
        return Err(misfit(
            "Kerberos (GSSAPI) is not built into Penstock",
            "write SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN, or use TLS client certificates",
        ));
    }
    let problem = format!("expected one of: {}", MECHANISMS.join(", "));
    let bare = letters(value);
    let meant = MECHANISMS.iter().find(|each| letters(each) == bare);
    let cure = match meant {
        Some(known) if known.eq_ignore_ascii_case(value) => format!("write {known}, in capitals"),
        Some(known) => format!("did you mean {known}?"),
        None if bare == "plaintext" => "did you mean PLAIN?".to_owned(),
        None => "write the one that the broker's listener has (sasl.enabled.mechanisms)".to_owned(),
    };
    Err(misfit(problem, cure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::ptr;

    // Functions of the C library, which librdkafka links.
    unsafe extern "C" {
        fn open_memstream(text: *mut *mut c_char, size: *mut usize) -> *mut c_void;
        fn fclose(stream: *mut c_void) -> c_int;
        fn free(memory: *mut c_void);
    }

    /// librdkafka's description of its own properties.
    fn shown() -> String {
        let (mut text, mut size) = (ptr::null_mut::<c_char>(), 0);
        // SAFETY: both are written when the stream is closed, and live until then.
        let stream = unsafe { open_memstream(&raw mut text, &raw mut size) };
        assert!(!stream.is_null());
        // SAFETY: the stream is open.
        unsafe { rdkafka::bindings::rd_kafka_conf_properties_show(stream.cast()) };
        // SAFETY: closed only once. From here on we own the string `text`.
        unsafe { fclose(stream) };
        // SAFETY: `fclose` has terminated it with a NUL.
        let shown = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
        // SAFETY: it was allocated for us, and is not used after this.
        unsafe { free(text.cast()) };
        shown
    }

    #[test]
    fn the_types_are_those_that_librdkafka_shows() {
        let mut theirs: BTreeMap<String, String> = BTreeMap::new();
        for line in shown().lines() {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let (Some(name), Some(range)) = (columns.first(), columns.get(2)) else {
                continue;
            };
            let kind = line
                .rsplit_once("*Type: ")
                .map_or("", |(_, kind)| kind.trim_end_matches('*'));
            let is_text =
                matches!(kind, "" | "pattern list" | "see dedicated API") || kind == "string" && range.is_empty();
            // A topic's property of the same name comes later; it is not the one that is set.
            if !is_text {
                theirs
                    .entry((*name).to_owned())
                    .or_insert_with(|| format!("{kind}: {range}"));
            }
        }
        theirs.remove("builtin.features");
        let ours: BTreeMap<String, String> = KINDS
            .iter()
            .map(|(name, kind)| {
                let kind = match kind {
                    Kind::Integer(min, max) => format!("integer: {min} .. {max}"),
                    Kind::Float(min, max) => format!("float: {min} .. {max}"),
                    Kind::Boolean => "boolean: true, false".to_owned(),
                    Kind::OneOf(values) => format!("enum value: {}", values.join(", ")),
                    Kind::Flags(values) => format!("CSV flags: {}", values.join(", ")),
                };
                ((*name).to_owned(), kind)
            })
            .collect();
        assert!(theirs.len() > 100, "{theirs:#?}");
        for (name, kind) in &theirs {
            let kind = kind.replace("string: ", "enum value: ");
            assert_eq!(ours.get(name), Some(&kind), "{name}");
        }
        assert_eq!(ours.len(), theirs.len());
    }

    #[test]
    fn what_librdkafka_would_read_as_another_number_is_refused() {
        for value in ["10000", "1", "3600000"] {
            assert_eq!(check("session.timeout.ms", value, true), Ok(()), "{value}");
        }
        for (value, cure) in [
            ("10s", "write 10000, in milliseconds"),
            ("10 s", "write 10000, in milliseconds"),
            ("5m", "write 300000, in milliseconds"),
            ("500ms", "write 500, in milliseconds"),
            ("10_000", "write 10000, in milliseconds"),
            (" 10", "write 10, in milliseconds"),
            ("10 ", "write 10, in milliseconds"),
            ("10.0", "write 10, in milliseconds"),
            ("0x10", "write digits alone, in milliseconds"),
            ("010", "write 10, in milliseconds"),
            ("1e3", "write 1000, in milliseconds"),
            ("soon", "write digits alone, in milliseconds, e.g. 45000"),
            ("+5", "write digits alone"),
            ("", "write digits alone"),
            ("-", "write digits alone"),
            ("0", "in this range"),
            ("3600001", "in this range"),
            ("-5", "in this range"),
            // As an `int` this is 5.
            ("4294967301", "in this range"),
            ("99999999999999999999", "in this range"),
        ] {
            let misfit = check("session.timeout.ms", value, true).unwrap_err();
            assert_eq!(misfit.problem, "expected an integer from 1 to 3600000", "{value:?}");
            assert!(misfit.cure.contains(cure), "{value:?}: {}", misfit.cure);
        }
        // If the value came from outside the file, neither the value nor what was meant is shown.
        let misfit = check("session.timeout.ms", "10s", false).unwrap_err();
        assert!(misfit.cure.contains("digits alone"), "{}", misfit.cure);
        let misfit = check("batch.num.messages", "1MB", true).unwrap_err();
        assert!(misfit.cure.contains("digits alone"), "{}", misfit.cure);
        let misfit = check("batch.size", "16KB", true).unwrap_err();
        assert_eq!(misfit.cure, "write 16384, in bytes: librdkafka knows no units");
        let misfit = check("socket.receive.buffer.bytes", "1MB", true).unwrap_err();
        assert!(misfit.cure.contains("write 1048576, in bytes"), "{}", misfit.cure);
        assert_eq!(check("linger.ms", "0.5", true), Ok(()));
        for value in ["5ms", "", "-1", "1e3", "nan", "900001"] {
            assert!(check("linger.ms", value, true).is_err(), "{value:?}");
        }
        let misfit = check("linger.ms", "5ms", true).unwrap_err();
        assert_eq!(misfit.cure, "write 5: librdkafka knows no units");
        let misfit = check("linger.ms", "5ms", false).unwrap_err();
        assert!(misfit.cure.starts_with("write digits alone"), "{}", misfit.cure);
    }

    #[test]
    fn what_other_clients_take_is_told_in_librdkafkas_words() {
        for (name, value, cure) in [
            ("ssl.endpoint.identification.algorithm", "", "write \"none\""),
            (
                "security.protocol",
                "TLS",
                "write \"ssl\", or \"sasl_ssl\" with a login",
            ),
            ("security.protocol", "SASL", "write \"sasl_ssl\""),
            ("security.protocol", "SASL-SSL", "did you mean `sasl_ssl`?"),
            ("broker.address.family", "ipv4", "write \"v4\""),
            ("isolation.level", "committed", "write \"read_committed\""),
            ("client.dns.lookup", "default", "write \"use_all_dns_ips\""),
            ("socket.keepalive.enable", "yes", "write true, without quotes"),
            ("check.crcs", "off", "write false, without quotes"),
            ("check.crcs", "maybe", "write true or false, without quotes"),
        ] {
            assert_eq!(check(name, value, true).unwrap_err().cure, cure, "{name} = {value:?}");
        }
        let misfit = check("check.crcs", "off", false).unwrap_err();
        assert_eq!(misfit.cure, "write true or false, without quotes");
    }

    #[test]
    fn booleans_and_names_are_taken_as_they_are_meant_or_not_at_all() {
        for value in ["true", "False", "1", "0"] {
            assert_eq!(check("check.crcs", value, true), Ok(()), "{value}");
        }
        for value in ["yes", "", " true", "on", "2"] {
            assert!(check("check.crcs", value, true).is_err(), "{value:?}");
        }
        for value in ["SASL_SSL", "ssl"] {
            assert_eq!(check("security.protocol", value, true), Ok(()), "{value}");
        }
        // librdkafka treats an empty value as not set, and trims.
        for value in ["", " ssl", "tls", "SASL-SSL"] {
            assert!(check("security.protocol", value, true).is_err(), "{value:?}");
        }
        assert_eq!(check("debug", "broker, -cgrp", true), Ok(()));
        assert!(check("debug", "broker,network", true).is_err());
    }

    #[test]
    fn only_the_login_mechanisms_of_this_build_are_taken() {
        for value in MECHANISMS {
            assert_eq!(check("sasl.mechanisms", value, true), Ok(()), "{value}");
        }
        let cure = |value: &str| check("sasl.mechanism", value, true).unwrap_err().cure;
        assert!(cure("plain").contains("write PLAIN"));
        assert!(cure("scram-sha-512").contains("write SCRAM-SHA-512"));
        assert!(cure("GSSAPI").contains("SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"));
        assert!(cure("SCRAM-SHA-1").contains("the broker's listener"));
        assert!(cure("").contains("the broker's listener"));
    }
}
