//! Everything that the program prints, answers and writes while it has secrets, with the log at its most talkative: the
//! service that logs in and is refused, the service that works, and every other command.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Secret;
use crate::kafka_faults::Port;
use crate::support::certificates::{Certificates, Valid};
use crate::support::http::{get, json};
use crate::support::process::{Program, penstock, run};
use crate::support::{Kafka, Setup, Stream, wait_until};
use penstock::config;
use penstock::web::routes::PATHS;
use penstock_sim::{SimConfig, SimTls, Simulator};
use tempfile::TempDir;

const KAFKA_PASSWORD: &str = "Kp3Vx8QmRz6Wt1Yb";
const KAFKA_USER: &str = "Us4Hf9LcBn2Gd7Xk";
const KEY_PASSWORD: &str = "Fy5Tg8WqZr3Md6Hs";
const TOKEN: &str = "Ew2Rb7NkPv9Jx4Qz";
const AEROSPIKE_PASSWORD: &str = "Ah9Xs4PjWn7Qe2Bt";
/// In messages, which are nobody's business either.
const PAYLOAD: &str = "Nb8Gy3TkXw5Rf1Jd";

/// How a secret is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Literal,
    Env,
    File,
}

const MANNERS: [Manner; 3] = [Manner::Literal, Manner::Env, Manner::File];

/// A folder with the files of secrets, the environment with their variables, and what is looked for.
struct World {
    folder: TempDir,
    manner: Manner,
    env: Vec<(String, String)>,
    secrets: Vec<Secret>,
}

impl World {
    fn new(manner: Manner) -> World {
        World {
            folder: tempfile::tempdir().unwrap(),
            manner,
            env: Vec::new(),
            secrets: vec![Secret::new("a payload", PAYLOAD)],
        }
    }

    /// The value for the configuration. From here on the secret is looked for.
    fn give(&mut self, name: &str, text: &str) -> String {
        self.secrets.push(match name {
            "aerospike" => Secret::hashed(name, text),
            "key" => Secret::new(name, own_part(text)),
            // `principal=…`
            "claims" => Secret::new(name, text.split_once('=').unwrap().1),
            _ => Secret::new(name, text),
        });
        match self.manner {
            Manner::Literal => format!("'''{text}'''"),
            Manner::Env => {
                let variable = format!("SECRET_{}", self.env.len());
                self.env.push((variable.clone(), text.to_owned()));
                format!("\"${{env:{variable}}}\"")
            }
            Manner::File => {
                let path = self.folder.path().join(format!("{name}.secret"));
                fs::write(&path, format!("{text}\n")).unwrap();
                format!("\"${{file:{}}}\"", path.display())
            }
        }
    }

    /// The program in this folder, with its environment and all of its log.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = penstock();
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        command
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn assert_not_in(&self, place: &str, text: &str) {
        for secret in &self.secrets {
            secret.assert_not_in(&format!("{place}, {:?}", self.manner), text);
        }
    }

    /// No file here that the program wrote has one, in its name or its text. `given`: what the test wrote.
    fn assert_not_in_files(&self, given: &[&str]) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.ends_with(".secret") && !given.contains(&name.as_str()) && path.is_file() {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                self.assert_not_in(&name, &format!("{name}\n{text}"));
            }
        }
    }
}

/// The part of a private key (of an elliptic curve, in PEM) that is not in its certificate: the public key is in both.
fn own_part(pem: &str) -> &str {
    let body = pem.lines().nth(1).unwrap();
    // In front of it is what all such keys have.
    &body[48..]
}

/// What the kernel shows of the process to everybody.
fn shown_by_the_kernel(pid: u32) -> String {
    ["cmdline", "comm", "status", "limits", "maps"]
        .map(|name| {
            fs::read_to_string(format!("/proc/{pid}/{name}"))
                .unwrap()
                .replace('\0', " ")
        })
        .join("\n")
}

const ROUTES: &str = "[[route]]\n[[route.write]]\nset = \"all\"\nkey = \"id\"\nbins = { n = \"n\" }\n";

fn database(password: &str, hosts: &str) -> String {
    format!("[aerospike]\nhosts = \"{hosts}\"\nnamespace = \"test\"\nuser = \"penstock\"\npassword = {password}\n")
}

// ---- the service and check --connect at a broker that asks for a login

#[test]
fn a_login_is_in_no_output() {
    let mechanisms = ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"];
    for (manner, mechanism) in MANNERS
        .into_iter()
        .zip(mechanisms)
        .chain([(Manner::Literal, "OAUTHBEARER")])
    {
        let port = Port::sasl(&["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"]);
        let mut world = World::new(manner);
        let login = match mechanism {
            "OAUTHBEARER" => format!(
                "sasl.oauthbearer.config = {}\nenable.sasl.oauthbearer.unsecure.jwt = true\n",
                world.give("claims", &format!("principal={TOKEN}"))
            ),
            _ => format!(
                "sasl.username = {}\nsasl.password = {}\n",
                world.give("user", KAFKA_USER),
                world.give("password", KAFKA_PASSWORD)
            ),
        };
        let password = world.give("aerospike", AEROSPIKE_PASSWORD);
        let text = format!(
            "[run]\nstart_timeout = \"2s\"\n[kafka]\nbrokers = \"{}\"\ntopics = [\"events\"]\n[kafka.properties]\n\
                 security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"{mechanism}\"\n{login}debug = \"all\"\n{}{ROUTES}",
            port.addr,
            database(&password, "127.0.0.1:1")
        );
        let file = world.write("penstock.toml", &text);
        for arguments in [["run", &file].as_slice(), &["check", &file, "--connect"]] {
            let exited = run(&mut world.command(arguments));
            assert!(
                [69, 77].map(Some).contains(&exited.status.code()),
                "{mechanism}: {}:\n{}",
                exited.status,
                exited.output
            );
            world.assert_not_in(&format!("{} with {mechanism}", arguments[0]), &exited.output);
            if arguments[0] == "run" {
                // What librdkafka tells of a login is in it.
                assert!(
                    exited.output.contains("librdkafka] SASL"),
                    "{mechanism}:\n{}",
                    exited.output
                );
            }
        }
        world.assert_not_in_files(&["penstock.toml"]);
    }
}

// ---- the service that waits for a broker: keys as texts

#[test]
fn keys_that_are_given_as_texts_are_in_no_output() {
    let certificates = Certificates::new();
    let ca = certificates.authority("ca");
    let client = certificates.sign(&ca, "client", &["penstock"], Valid::Now);
    let [certificate, key] = [&client.certificate, &client.key].map(|path| fs::read_to_string(path).unwrap());
    for manner in MANNERS {
        let mut world = World::new(manner);
        let text = format!(
            "[run]\nheartbeat_file = \"{}\"\n[kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"events\"]\n\
             [kafka.properties]\nsecurity.protocol = \"sasl_ssl\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = {}\n\
             sasl.password = {}\nssl.key.password = {}\nssl.key.pem = {}\nssl.certificate.pem = '''{certificate}'''\n\
             debug = \"all\"\n{}{ROUTES}[http]\nlisten = \"127.0.0.1:0\"\n",
            world.folder.path().join("heartbeat").display(),
            world.give("user", KAFKA_USER),
            world.give("password", KAFKA_PASSWORD),
            world.give("key-password", KEY_PASSWORD),
            world.give("key", &key),
            database(&world.give("aerospike", AEROSPIKE_PASSWORD), "127.0.0.1:1"),
        );
        let file = world.write("penstock.toml", &text);
        let mut service = Program::start(&mut world.command(&["run", "--log-format", "text", &file]));
        let listening = service.wait_for_line(&["http: listening", "http://"]);
        let address = listening.split("http://").nth(1).unwrap().split('/').next().unwrap();
        let address = address.parse().unwrap();
        service.wait_for_line(&["WARN", "kafka: waiting"]);
        for (path, _) in PATHS {
            let answered = get(address, path);
            world.assert_not_in(path, &format!("{}\n{}", answered.head, answered.body));
        }
        world.assert_not_in("/proc", &shown_by_the_kernel(service.id()));
        wait_until(
            "a heartbeat",
            || world.folder.path().join("heartbeat").exists(),
            |exists| *exists,
        );
        world.assert_not_in_files(&["penstock.toml"]);
        let asked = run(&mut world.command(&["health", &address.to_string()]));
        world.assert_not_in("health", &asked.output);
        service.signal("TERM");
        let exited = service.end();
        exited.assert_code(0);
        assert!(
            exited.output.contains("TRACE") && exited.output.contains("librdkafka]"),
            "{}",
            exited.output
        );
        world.assert_not_in("the log", &exited.output);
    }
}

// ---- the service that works, with a login and TLS to the database

#[test]
fn a_service_that_works_tells_no_secret_in_its_output_and_its_dead_letters() {
    let certificates = Certificates::new();
    let ca = certificates.authority("ca");
    let node = certificates.sign(&ca, "node", &["db.test"], Valid::Now);
    let client = certificates.sign(&ca, "client", &["penstock"], Valid::Now);
    let sim = Simulator::start(SimConfig {
        tls: Some(SimTls {
            name: "db.test".into(),
            certificate: node.certificate,
            key: node.key,
            client_ca: Some(ca.file.clone()),
        }),
        login: Some(("penstock".into(), AEROSPIKE_PASSWORD.into())),
        ..SimConfig::default()
    })
    .unwrap();
    let kafka = Kafka::mock();
    for (manner, format) in [(Manner::Literal, "json"), (Manner::Env, "text"), (Manner::File, "json")] {
        let (topic, dead) = (kafka.topic("secrets", 1), kafka.topic("dead", 1));
        let mut stream = Stream::new(&topic, 5);
        stream.produce(20);
        stream.produce_bad(
            0,
            &format!(r#"{{"id":"{PAYLOAD}","key":{{"{PAYLOAD}":1}},"n":{PAYLOAD}}}"#),
        );
        let mut world = World::new(manner);
        world.secrets.push(Secret::new(
            "the key of TLS",
            own_part(&fs::read_to_string(&client.key).unwrap()),
        ));
        let mut setup = Setup::new(&kafka, &topic, sim.addr());
        setup.consumer += "\ndebug = \"all\"";
        setup.aerospike = format!(
            "user = \"penstock\"\npassword = {}\n[aerospike.tls]\nname = \"db.test\"\nca = \"{}\"\ncertificate = \"{}\"\n\
             key = \"{}\"\n",
            world.give("aerospike", AEROSPIKE_PASSWORD),
            ca.file.display(),
            client.certificate.display(),
            client.key.display()
        );
        setup.routes += &format!(
            "\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n",
            dead.name
        );
        let file = world.write("penstock.toml", &setup.text());
        let heartbeat = world.folder.path().join("heartbeat");
        let mut command = world.command(&[
            "run",
            "--log-format",
            format,
            "--heartbeat-file",
            heartbeat.to_str().unwrap(),
            &file,
        ]);
        let mut service = Program::start(&mut command);
        let listening = service.wait_for_line(&["http: listening", "http://"]);
        let address = listening.split("http://").nth(1).unwrap().split('/').next().unwrap();
        let address = address.parse().unwrap();
        topic.wait_committed(&setup.group, &topic.ends());
        wait_until(
            "a status with messages",
            || json(address, "/status"),
            |status| status.to_string().contains("running"),
        );
        for (path, _) in PATHS {
            let answered = get(address, path);
            world.assert_not_in(path, &format!("{}\n{}", answered.head, answered.body));
        }
        world.assert_not_in("/proc", &shown_by_the_kernel(service.id()));
        world.assert_not_in_files(&["penstock.toml"]);
        let connect = run(&mut world.command(&["check", &file, "--connect"]));
        connect.assert_code(0);
        world.assert_not_in("check --connect", &connect.output);
        service.signal("TERM");
        let exited = service.end();
        exited.assert_code(0);
        world.assert_not_in("the log", &exited.output);
        // A dead letter is the message; what Penstock adds has no part of a secret, and none of the message.
        for letter in dead.read(1) {
            for (name, value) in letter.headers {
                let value = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
                world.assert_not_in("a header of a dead letter", &format!("{name}: {value}"));
            }
        }
    }
}

// ---- the other commands

/// Runs a command to its end, with this on standard input.
fn output_of(command: &mut Command, input: &Path) -> String {
    let input = Stdio::from(fs::File::open(input).unwrap());
    let output = command.stdin(input).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn no_other_command_tells_a_secret() {
    for manner in MANNERS {
        let mut world = World::new(manner);
        let user = world.give("user", KAFKA_USER);
        let password = world.give("password", KAFKA_PASSWORD);
        let aerospike = world.give("aerospike", AEROSPIKE_PASSWORD);
        // Variables that a user may have set, and no configuration refers to.
        for name in [
            "AEROSPIKE_PASSWORD",
            "KAFKA_PASSWORD",
            "SASL_PASSWORD",
            "PENSTOCK_PASSWORD",
        ] {
            world.env.push((name.to_owned(), KEY_PASSWORD.to_owned()));
        }
        world.secrets.push(Secret::new("a variable", KEY_PASSWORD));
        let text = format!(
            "[run]\nstart_timeout = \"1s\"\n[kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"events\"]\n[kafka.properties]\n\
             security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = {user}\n\
             sasl.password = {password}\ndebug = \"all\"\n{}{ROUTES}",
            database(&aerospike, "127.0.0.1:1")
        );
        let good = world.write("penstock.toml", &text);
        // Wrong beside the secrets, so that every line of the file is looked at.
        let wrong = world.write(
            "wrong.toml",
            &text
                .replace("namespace", "namespce")
                .replace("sasl.username", "sasl.user"),
        );
        let broken = world.write(
            "broken.toml",
            &text.replacen("'''\n", "\n", 1).replacen("}\"\n", "}\n", 1),
        );
        let message = world.write("messages.jsonl", "{\"id\": \"a\", \"n\": 1}\nno json\n");
        let fixtures = world.write(
            "penstock.fixtures.json",
            "[{\"message\": {\"payload\": {\"id\": \"a\"}}, \"verdict\": \"kept\"}]",
        );
        let no_input = world.write("empty", "");
        let with_login = format!("http://u:{KEY_PASSWORD}@127.0.0.1:1");
        let calls: [&[&str]; 22] = [
            &["check", &good],
            &["check", &wrong],
            &["check", &broken],
            &["check", "-"],
            &["check", &good, "--connect"],
            &["run", &wrong],
            &["run", &broken],
            &["run", "--log-format", "json", &wrong],
            &["try", &good],
            &["try", &good, "--json"],
            &["try", &good, "--from-topic", "3"],
            &["try", &wrong],
            &["test", &good],
            &["test", &broken],
            &["health", &good],
            &["health", &with_login],
            &["schema"],
            &["man"],
            &["completions", "bash"],
            &[
                "init",
                "new.toml",
                "--topic",
                "events",
                "--yes",
                "--property",
                "security.protocol=SASL_SSL",
                "--property",
                "sasl.mechanism=PLAIN",
                "--property",
                "sasl.username=penstock",
                "--property",
                "sasl.password=${env:KAFKA_PASSWORD}",
            ],
            &[
                "init",
                "newer.toml",
                "--topic",
                "events",
                "--from-topic",
                "--property",
                "sasl.password=${env:KAFKA_PASSWORD}",
            ],
            &[
                "init",
                "newest.toml",
                "--topic",
                "events",
                "--yes",
                "--property",
                "security.protocol=${env:KAFKA_PASSWORD}",
            ],
        ];
        for arguments in calls {
            let input = match arguments {
                ["try", ..] => &message,
                ["check", "-"] => &wrong,
                _ => &no_input,
            };
            let output = output_of(&mut world.command(arguments), Path::new(input));
            world.assert_not_in(&arguments.join(" "), &output);
        }
        assert!(world.folder.path().join("new.toml").exists());
        let given = [&good, &wrong, &broken, &message, &fixtures]
            .map(|path| Path::new(path).file_name().unwrap().to_str().unwrap());
        world.assert_not_in_files(&given);
        // A panic that prints a value prints this.
        if manner == Manner::Literal {
            let read = config::load(Path::new(&good)).unwrap();
            world.assert_not_in(
                "the configuration, printed for a developer",
                &format!("{read:?}\n{read:#?}"),
            );
        }
    }
}
