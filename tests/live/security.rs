//! Every security mode of Kafka, tried against a real broker with certificates and users that the test makes: what is
//! right works, and of what is wrong one line says what was refused, by whom, and what helps.

// With --nocapture, the table of what is told and how often it was tried.
#![allow(clippy::print_stdout)]

mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::certificates::{Signed, Valid};
use crate::support::connect::{assert_line, check};
use crate::support::process::{penstock, run, run_service};
use crate::support::{Database, ROUTES, Setup, Stream, wait_until};
use world::{PASSWORD, Proxy, SCRAM_512, USER, World};

/// More connections than this before a wrong configuration is told are a storm.
const ATTEMPTS_MAX: usize = 10;

fn login(mechanism: &str, user: &str, password: &str) -> String {
    format!(
        "security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"{mechanism}\"\nsasl.username = \"{user}\"\n\
         sasl.password = \"{password}\"\n"
    )
}

fn with_tls(login: &str, ca: &Path) -> String {
    let login = login.replace("sasl_plaintext", "sasl_ssl");
    format!("{login}ssl.ca.location = \"{}\"\n", ca.display())
}

fn tls(ca: Option<&Path>, own: Option<&Signed>) -> String {
    let mut lines = "security.protocol = \"ssl\"\n".to_owned();
    if let Some(ca) = ca {
        lines += &format!("ssl.ca.location = \"{}\"\n", ca.display());
    }
    if let Some(own) = own {
        let (certificate, key) = (own.certificate.display(), own.key.display());
        lines += &format!("ssl.certificate.location = \"{certificate}\"\nssl.key.location = \"{key}\"\n");
    }
    lines
}

fn token(config: &str) -> String {
    format!(
        "security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"OAUTHBEARER\"\n\
         enable.sasl.oauthbearer.unsecure.jwt = true\nsasl.oauthbearer.config = \"{config}\"\n"
    )
}

/// The lines for both sides, consumer and producer.
fn for_both(properties: &str) -> String {
    format!("[kafka.properties]\n{properties}")
}

#[test]
#[ignore = "make test-kafka"]
fn every_security_mode_works_and_tells_what_is_wrong_with_it() {
    let world = World::start();
    right(&world);
    wrong(&world);
}

/// Messages are read, and a dead letter is written, over the same kind of connection.
fn right(world: &World) {
    let ca = world.ca.file.as_path();
    for (case, listener, properties) in [
        ("PLAIN", "SASL", login("PLAIN", USER, PASSWORD)),
        ("SCRAM-SHA-256", "SASL", login("SCRAM-SHA-256", USER, PASSWORD)),
        ("SCRAM-SHA-512", "SASL", login("SCRAM-SHA-512", USER, PASSWORD)),
        ("OAUTHBEARER", "SASL", token("principal=penstock scope=penstock")),
        (
            "SCRAM-SHA-512 with TLS",
            "SASLTLS",
            with_tls(&login("SCRAM-SHA-512", USER, PASSWORD), ca),
        ),
        ("TLS", "OPEN", tls(Some(ca), None)),
        (
            "TLS with a client certificate",
            "MUTUAL",
            tls(Some(ca), Some(&world.client)),
        ),
    ] {
        let database = Database::from_env();
        let (topic, dead) = (world.kafka.topic("secure", 2), world.kafka.topic("secure-dead", 1));
        let routes = format!(
            "{ROUTES}[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
            dead.name
        );
        let mut setup = Setup::new(&world.kafka, &topic, &database)
            .kafka(&for_both(&properties))
            .routes(&routes);
        setup.brokers = world.listener(listener);
        let checked = check(&setup);
        checked.assert_code(0);
        assert_line(&checked, &["ok ", "kafka: reached"]);
        let mut stream = Stream::new(&topic, 3);
        stream.produce(10);
        stream.produce_bad(1, "no json");
        let file = setup.file();
        let mut service = run_service(file.path());
        topic.wait_committed(&setup.group, &stream.ends());
        assert_eq!(dead.read(1)[0].text(), "no json", "{case}");
        service.signal("TERM");
        let exited = service.end();
        exited.assert_code(0);
        stream.assert_ledger(&database);
        assert!(!exited.output.contains("-secret"), "{case}:\n{}", exited.output);
    }
}

/// What is wrong, what is told, and the exit code. `check --connect` and `run` tell the same.
fn wrong(world: &World) {
    let ca = world.ca.file.as_path();
    let stranger = world.certificates.sign(&world.other, "stranger", &[USER], Valid::Now);
    let old = world.certificates.sign(&world.ca, "old", &[USER], Valid::Before);
    let mixed = Signed {
        certificate: stranger.certificate.clone(),
        key: world.client.key.clone(),
    };
    let scram = |password: &str| login("SCRAM-SHA-512", USER, password);
    let cases: Vec<(&str, &str, String, i32, &[&str])> = vec![
        (
            "PLAIN: wrong password",
            "SASL",
            login("PLAIN", USER, "wrong-secret"),
            77,
            &["refuses the login", "sasl.password"],
        ),
        (
            "PLAIN: wrong user",
            "SASL",
            login("PLAIN", "nobody", PASSWORD),
            77,
            &["refuses the login", "sasl.password"],
        ),
        (
            "SCRAM-SHA-256: wrong password",
            "SASL",
            login("SCRAM-SHA-256", USER, "wrong-secret"),
            77,
            &["refuses the login", "sasl.password"],
        ),
        (
            "SCRAM-SHA-512: wrong password",
            "SASL",
            scram("wrong-secret"),
            77,
            &["refuses the login", "sasl.password"],
        ),
        (
            "SCRAM-SHA-512: wrong user",
            "SASL",
            login("SCRAM-SHA-512", "nobody", PASSWORD),
            77,
            &["refuses the login", "sasl.password"],
        ),
        (
            "SCRAM-SHA-512 with TLS: wrong password",
            "SASLTLS",
            with_tls(&scram("wrong-secret"), ca),
            77,
            &["refuses the login", "sasl.password"],
        ),
        (
            "SCRAM only: PLAIN",
            "SCRAM",
            login("PLAIN", USER, PASSWORD),
            78,
            &["does not have the", "sasl.mechanism", "SCRAM-SHA-512"],
        ),
        (
            "SASL: no login",
            "SASL",
            String::new(),
            78,
            &["wants a login", "SCRAM-SHA-512"],
        ),
        (
            "SASL with TLS: no login",
            "SASLTLS",
            tls(Some(ca), None),
            78,
            &["wants a login", "sasl_ssl", "SCRAM-SHA-512"],
        ),
        (
            "SASL with TLS: no TLS",
            "SASLTLS",
            scram(PASSWORD),
            78,
            &["speaks TLS", "sasl_ssl"],
        ),
        (
            "OAUTHBEARER: a scope that is missing",
            "SASL",
            token("principal=penstock scope=else"),
            77,
            &["refuses the login (OAUTHBEARER)", "sasl.oauthbearer.config"],
        ),
        ("OAUTHBEARER: malformed", "SASL", token("nonsense"), 78, &["token"]),
        (
            "OAUTHBEARER: a token that is over at once",
            "SASL",
            token("principal=penstock scope=penstock lifeSeconds=0"),
            78,
            &["token"],
        ),
        (
            "TLS: no CA",
            "OPEN",
            tls(None, None),
            78,
            &["authority that is not known here", "ssl.ca.location"],
        ),
        (
            "TLS: wrong CA",
            "OPEN",
            tls(Some(&world.other.file), None),
            78,
            &["authority that is not known here", "ssl.ca.location"],
        ),
        (
            "TLS: wrong host name",
            "ELSEWHERE",
            tls(Some(ca), None),
            78,
            &["names another host", "127.0.0.1"],
        ),
        (
            "TLS: expired",
            "EXPIRED",
            tls(Some(ca), None),
            78,
            &["has expired", "renew"],
        ),
        (
            "mTLS: no client certificate",
            "MUTUAL",
            tls(Some(ca), None),
            78,
            &["wants a client certificate", "ssl.certificate.location"],
        ),
        (
            "mTLS: of another CA",
            "MUTUAL",
            tls(Some(ca), Some(&stranger)),
            78,
            &["refuses the client's certificate", "ssl.certificate.location"],
        ),
        (
            "mTLS: expired",
            "MUTUAL",
            tls(Some(ca), Some(&old)),
            78,
            &[
                "refuses the client's certificate",
                "has expired",
                "renew ssl.certificate.location",
            ],
        ),
        (
            "mTLS: a key that does not fit",
            "MUTUAL",
            tls(Some(ca), Some(&mixed)),
            78,
            &["ssl.key.location", "key"],
        ),
    ];
    let database = Database::from_env();
    let topic = world.kafka.topic("refused", 1);
    let mut faults = Vec::new();
    for (case, listener, properties, code, words) in cases {
        let proxy = Proxy::to(&world.listener(listener));
        let mut setup = Setup::new(&world.kafka, &topic, &database)
            .kafka(&for_both(&properties))
            .run("start_timeout = \"10s\"");
        setup.brokers = proxy.addr.to_string();
        let file = setup.file();
        let checked = run(penstock().arg("check").arg(file.path()).arg("--connect"));
        let (of_check, began) = (proxy.connections(), proxy.seconds());
        let ran = run_service(file.path()).end();
        let (of_run, took) = (proxy.connections() - of_check, proxy.seconds() - began);
        let findings = checked.output.replace("\n        cure: ", " cure: ");
        // What nobody is asked about is a fault of the configuration.
        let is_told = |line: &&str| {
            line.starts_with("error   kafka") || line.contains("ERROR") || line.contains(": kafka.properties.")
        };
        let told_checked: Vec<&str> = findings.lines().filter(is_told).collect();
        let told_ran: Vec<&str> = ran.output.lines().filter(is_told).collect();
        println!(
            "{case}\n    check {:?} {of_check} connections: {told_checked:?}\n    run {:?} {of_run} connections in {took:.1} s: \
             {told_ran:?}",
            checked.status.code(),
            ran.status.code()
        );
        let mut expect = |what: &str, is_so: bool| {
            if !is_so {
                faults.push(format!("{case}: {what}:\n{}\n{}", checked.output, ran.output));
            }
        };
        expect("the code of check", checked.status.code() == Some(code));
        expect("the code of run", ran.status.code() == Some(code));
        let who = match of_check {
            0 => String::new(),
            _ => setup.brokers.clone(),
        };
        for (what, told) in [("check", &told_checked), ("run", &told_ran)] {
            expect(&format!("one error line of {what}"), told.len() == 1);
            let is_told = told
                .iter()
                .any(|line| line.contains(&who) && words.iter().all(|word| line.contains(word)));
            expect(&format!("{words:?} of {what}"), is_told);
        }
        expect(
            "a secret",
            !checked.output.contains("-secret") && !ran.output.contains("-secret"),
        );
        expect("a storm", of_check <= ATTEMPTS_MAX && of_run <= ATTEMPTS_MAX);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n--------\n"));
}

/// How long refused logins are counted while the service runs, and how many of them are a storm. The service has three
/// clients, each with connections to the broker, to the group's coordinator and to `kafka.brokers`.
const WATCHED: Duration = Duration::from_secs(20);
const REFUSALS_MAX: usize = 40;

#[test]
#[ignore = "make test-kafka"]
fn a_password_that_changes_is_read_again_and_nothing_is_lost() {
    let world = World::start();
    let (topic, dead) = (world.kafka.topic("rotated", 2), world.kafka.topic("rotated-dead", 1));
    let database = Database::from_env();
    let file = world.certificates.write("password", PASSWORD);
    let password = format!("${{file:{}}}", file.display());
    let mut setup = Setup::new(&world.kafka, &topic, &database)
        .kafka(&for_both(&login("SCRAM-SHA-512", USER, &password)))
        .routes(&format!(
            "{ROUTES}[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
            dead.name
        ));
    setup.brokers = world.listener("SCRAM");
    let mut stream = Stream::new(&topic, 3);
    stream.produce(10);
    stream.produce_bad(0, "before");
    let config = setup.file();
    let mut service = run_service(config.path());
    topic.wait_committed(&setup.group, &stream.ends());

    // The broker has another password first, and the file later.
    world.set_password(SCRAM_512, USER, Some("next-secret"));
    service.wait_for_line(&["WARN", "SASL authentication error", "sasl.password"]);
    let (began, before) = (Instant::now(), world.refusals());
    stream.produce(10);
    stream.produce_bad(0, "meanwhile");
    wait_until("the time to be over", || began.elapsed(), |elapsed| *elapsed >= WATCHED);
    let refused = world.refusals() - before;
    println!("refused logins in {WATCHED:?}: {refused}");
    assert!(refused <= REFUSALS_MAX, "{refused} refused logins in {WATCHED:?}");
    world.certificates.write("password", "next-secret\n");
    for client in ["consumer", "producer", "topic ids"] {
        let of_client = format!("client=\"{client}\"");
        service.wait_for_line(&["INFO", "has changed and is used from now on", &of_client]);
    }
    topic.wait_committed(&setup.group, &stream.ends());

    // A user that is removed, and made again.
    let before = world.refusals();
    world.set_password(SCRAM_512, USER, None);
    wait_until("refusals", || world.refusals(), |count| *count > before);
    stream.produce(10);
    world.set_password(SCRAM_512, USER, Some("next-secret"));
    topic.wait_committed(&setup.group, &stream.ends());

    assert!(service.is_running());
    service.signal("TERM");
    let exited = service.end();
    exited.assert_code(0);
    stream.assert_ledger(&database);
    let letters: Vec<String> = dead.read(2).iter().map(|letter| letter.text().to_owned()).collect();
    assert_eq!(letters, ["before", "meanwhile"]);
    assert!(!exited.output.contains("-secret"), "{}", exited.output);
}
