//! `penstock init` as a person or a script calls it: what it writes, what it refuses, and what it leaves alone.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Stdio;

use crate::support::process::{self, Called, Exited, penstock, run};
use crate::support::{Kafka, Stream, Topic, examples};
use penstock::kafka::admin::newest::newest;
use serde_json::Value;

/// Runs `penstock` in this folder.
fn call(folder: &Path, arguments: &[&str], stdin: &str) -> Called {
    process::call(penstock().current_dir(folder).args(arguments), stdin)
}

/// `penstock init` with the newest messages of the topic.
fn from_topic(kafka: &Kafka, topic: &Topic, file: &Path, more: &[&str]) -> Exited {
    let place = ["--topic", &topic.name, "--brokers", &kafka.brokers];
    run(penstock()
        .arg("init")
        .arg(file)
        .args(place)
        .args(more)
        .arg("--from-topic"))
}

/// # Panics
/// Unless one line begins with this.
fn assert_line(text: &str, begin: &str) {
    assert!(
        text.lines().any(|line| line.trim_start().starts_with(begin)),
        "no line {begin} in:\n{text}"
    );
}

/// The whole way of a person who has a file of messages: write, check, try.
#[test]
fn samples_of_every_example_make_a_file_that_check_and_try_take() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut checked = 0;
    for example in examples() {
        let fixtures = example.with_extension("fixtures.json");
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&fixtures).unwrap()).unwrap();
        let lines: String = cases.iter().map(|case| format!("{}\n", case["message"])).collect();
        std::fs::write(folder.join("messages"), lines).unwrap();
        let name = example.file_stem().unwrap().to_str().unwrap();
        let file = format!("{name}.toml");
        let written = call(
            folder,
            &["init", &file, "--topic", name, "--from", "messages", "--envelope"],
            "",
        );
        written.assert_code(0);
        assert_eq!(written.out, "", "{name}");
        assert_line(&written.err, &format!("wrote {file}; `penstock check` accepts it"));
        for command in ["check", "try", "run"] {
            assert_line(&written.err, &format!("penstock {command} {file}"));
        }
        let check = call(folder, &["check", &file], "");
        check.assert_code(0);
        assert!(!check.out.contains("warning"), "{name}: {}", check.out);
        let tried = call(
            folder,
            &["try", &file, "--input", "messages", "--envelope", "--json"],
            "",
        );
        let totals: Value = serde_json::from_str(tried.out.lines().last().unwrap()).unwrap();
        let [kept, filtered, rejected] =
            ["kept", "filtered", "rejected"].map(|word| totals["totals"][word].to_string());
        assert!(kept != "0", "{name}: {}", tried.out);
        assert!(
            written.err.contains(&format!("samples: {kept} would be written as "))
                && written
                    .err
                    .contains(&format!("{filtered} filtered, {rejected} rejected")),
            "{name}: {totals}\n{}",
            written.err
        );
        checked += 1;
    }
    assert!(checked > 6, "{checked}");
}

#[test]
fn without_a_terminal_nothing_is_asked_and_what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = call(folder.path(), &["init", "a.toml"], "");
    missing.assert_code(64);
    assert!(missing.err.starts_with("missing: --topic;"), "{}", missing.err);
    assert!(!folder.path().join("a.toml").exists());
    let all = call(folder.path(), &["init", "--topic", "events", "--yes"], "");
    all.assert_code(0);
    for line in [
        "brokers = \"127.0.0.1:9092\"",
        "topics = [\"events\"]",
        "group = \"penstock-events\"",
        "hosts = \"127.0.0.1:3000\"",
        "namespace = \"test\"",
        "set = \"events\"",
        "key = \"@key\"",
        "bins = \"*\"",
        "action = \"dead_letter\"",
        "topic = \"events.dead\"",
    ] {
        assert_line(&all.out, line);
    }
    call(folder.path(), &["check", "-"], &all.out).assert_code(0);
    // `-` is standard output, too.
    let named = call(folder.path(), &["init", "-", "--topic", "events"], "");
    assert_eq!(named.assert_code(0).out, all.out);
}

#[test]
fn wrong_options_are_told_together_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = call(
        folder.path(),
        &[
            "init",
            "a.toml",
            "--topic",
            "a b",
            "--hosts",
            "me:geheim@h",
            "--key",
            "user..id",
            "--property",
            "security.protocol=SSLL",
            "--dead-letter-topic",
            "a/b",
        ],
        "",
    );
    wrong.assert_code(64);
    for option in ["--topic:", "--hosts:", "--key:", "--property ", "--dead-letter-topic:"] {
        assert_line(&wrong.err, option);
    }
    assert!(!wrong.err.contains("geheim"), "{}", wrong.err);
    assert!(!folder.path().join("a.toml").exists());
    for (arguments, told) in [
        (
            ["--property", "sasl.password=geheim"].as_slice(),
            "--property sasl.password: a secret is not written",
        ),
        (&["--property", "security.protocol"], "write NAME=VALUE"),
        (
            &["--reject", "hold", "--dead-letter-topic", "b"],
            "is for --reject dead_letter",
        ),
        (&["--reject", "drop"], "possible values: dead_letter, hold"),
        (&["--dead-letter-topic", "events"], "--dead-letter-topic:"),
        (&["--from-topic", "0"], "0 is not in"),
        (
            &["--from-topic", "x.toml"],
            "name the file first: penstock init x.toml --from-topic",
        ),
        (&["--from", "x", "--from-topic"], "cannot be used with"),
        (
            &[
                "--property",
                "security.protocol=SSL",
                "--property",
                "ssl.ca.location=none.pem",
            ],
            "--property \"ssl.ca.location\"",
        ),
        (
            &["--property", "client.id=a", "--property", "client.id=b"],
            "--property client.id: is there twice",
        ),
        (&["--envelope"], "--from"),
        (&["--force"], "--force is for a FILE"),
        (&["--from", "none.jsonl"], "none.jsonl: cannot be read"),
        (&["--from", "."], "cannot be read"),
        (&["none/a.toml"], "there is no folder none"),
        (&["--password", "geheim"], "unexpected argument"),
    ] {
        let called = call(
            folder.path(),
            &[["init", "--topic", "events"].as_slice(), arguments].concat(),
            "",
        );
        called.assert_code(64);
        assert!(called.err.contains(told), "{arguments:?}: {}", called.err);
        assert!(
            !called.err.contains("geheim") || arguments[0] == "--password",
            "{}",
            called.err
        );
        assert_eq!(called.out, "");
    }
}

#[test]
fn a_file_is_not_overwritten_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, "mine").unwrap();
    let refused = call(folder.path(), &["init", "a.toml", "--topic", "events"], "");
    refused.assert_code(64);
    assert!(
        refused.err.contains("a.toml is there already") && refused.err.contains("--force"),
        "{}",
        refused.err
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    call(folder.path(), &["init", "a.toml", "--topic", "events", "--force"], "").assert_code(0);
    assert_line(&std::fs::read_to_string(&file).unwrap(), "topics = [\"events\"]");
    // A fault leaves what is there.
    let before = std::fs::read_to_string(&file).unwrap();
    call(folder.path(), &["init", "a.toml", "--topic", "a b", "--force"], "").assert_code(64);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A reference starts at the folder of the file, as it does for the other commands.
#[test]
fn a_secret_is_written_as_a_reference() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    std::fs::write(folder.path().join("etc/kafka.pw"), "geheim\n").unwrap();
    let properties = [
        "security.protocol=SASL_PLAINTEXT",
        "sasl.mechanism=PLAIN",
        "sasl.username=penstock",
        "sasl.password=${file:kafka.pw}",
    ];
    let properties = properties.iter().flat_map(|property| ["--property", property]);
    let arguments: Vec<&str> = ["init", "etc/a.toml", "--topic", "events"]
        .into_iter()
        .chain(properties)
        .collect();
    call(folder.path(), &arguments, "").assert_code(0);
    let text = std::fs::read_to_string(folder.path().join("etc/a.toml")).unwrap();
    assert_line(&text, "\"sasl.password\" = \"${file:kafka.pw}\"");
    assert!(!text.contains("geheim"), "{text}");
    call(folder.path(), &["check", "etc/a.toml"], "").assert_code(0);
    // Elsewhere there is no such file.
    let elsewhere: Vec<&str> = arguments
        .iter()
        .map(|word| if *word == "etc/a.toml" { "a.toml" } else { word })
        .collect();
    call(folder.path(), &elsewhere, "").assert_code(64);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = penstock()
        .args(["init", "--topic", "events"])
        .stdin(Stdio::null())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("standard output: cannot be written"), "{told}");
}

#[test]
fn samples_come_from_standard_input_and_their_topic_from_their_envelope() {
    let folder = tempfile::tempdir().unwrap();
    let line = |topic: &str, at: usize| {
        format!(
            "{{\"topic\":\"{topic}\",\"key\":\"k{at}\",\"payload\":{{\"id\":\"k{at}\",\"geheim\":\"geheim{at}\"}}}}\n"
        )
    };
    let one: String = (0..5).map(|at| line("orders", at)).collect();
    let called = call(folder.path(), &["init", "--from", "-", "--envelope"], &one);
    called.assert_code(0);
    assert_line(&called.out, "topics = [\"orders\"]");
    assert_line(&called.out, "# It always equals the field id.");
    assert!(
        !called.out.contains("geheim0") && !called.err.contains("geheim"),
        "{}",
        called.out
    );
    assert!(
        called
            .err
            .contains("tried on the 5 samples: 5 would be written as 5 record(s)"),
        "{}",
        called.err
    );
    // A record that two messages write is one record. The note on a message without payload is one sentence.
    let again = format!(
        "{one}{}{{\"topic\":\"orders\",\"key\":\"k1\",\"payload\":null}}\n",
        line("orders", 1)
    );
    let called = call(folder.path(), &["init", "--from", "-", "--envelope"], &again);
    called.assert_code(0);
    let told = "tried on the 7 samples: 7 would be written as 5 record(s)";
    assert!(called.err.contains(told), "{}", called.err);
    assert!(
        called.out.contains("the key is gone") && !called.out.contains(".:"),
        "{}",
        called.out
    );
    let two = format!("{one}{}", line("others", 9));
    let called = call(folder.path(), &["init", "--from", "-", "--envelope"], &two);
    assert!(
        called.assert_code(64).err.starts_with("missing: --topic"),
        "{}",
        called.err
    );
    let called = call(
        folder.path(),
        &["init", "--from", "-", "--envelope", "--topic", "others"],
        &two,
    );
    called.assert_code(0);
    assert_line(&called.out, "# Not looked at: 5 of other topics.");
    let called = call(
        folder.path(),
        &["init", "--from", "-", "--envelope"],
        "{\"offset\": \"x\"}\n",
    );
    assert!(
        called
            .assert_code(64)
            .err
            .contains("standard input:1: \"offset\" is an integer"),
        "{}",
        called.err
    );
    let called = call(folder.path(), &["init", "--topic", "t", "--from", "-"], "\n");
    assert!(
        called.assert_code(64).err.contains("there is no message in it"),
        "{}",
        called.err
    );
}

#[test]
fn rejected_samples_are_told_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let called = call(
        folder.path(),
        &["init", "--topic", "t", "--from", "-"],
        "{\"id\": 1}\n{\"id\": \n",
    );
    called.assert_code(0);
    assert!(
        called
            .err
            .contains("1 would be written as 1 record(s), 0 filtered, 1 rejected\n  not_json 1"),
        "{}",
        called.err
    );
    // Lines have no keys, and these rules read one.
    let called = call(
        folder.path(),
        &["init", "--topic", "t", "--from", "-"],
        "{\"a\": 1.5}\n{\n",
    );
    let told = "tried on the 2 samples, each with a stand-in Kafka key: 1 would be written as 1 record(s), 0 filtered, 1 rejected";
    assert!(called.assert_code(0).err.contains(told), "{}", called.err);
    assert!(called.err.contains("`penstock try` rejects all of"), "{}", called.err);
    // The same messages with an envelope, and no key in it.
    let called = call(
        folder.path(),
        &["init", "--topic", "t", "--from", "-", "--envelope"],
        "{\"payload\":{\"a\":1.5}}\n",
    );
    called.assert_code(0);
    assert!(
        called.err.contains("WARNING: each message makes a record of its own"),
        "{}",
        called.err
    );
    let called = call(
        folder.path(),
        &["init", "--topic", "t", "--key", "@key.id", "--from", "-"],
        "{}\n",
    );
    assert!(
        called.assert_code(0).err.contains("the 1 samples were not tried"),
        "{}",
        called.err
    );
}

/// The same file of lines for `init` and for `try`: the same numbers.
#[test]
fn what_is_told_of_lines_is_what_try_tells() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut lines: String = (0..60)
        .map(|at| format!("{{\"order_id\":\"o{at}\",\"price\":1.5}}\n"))
        .collect();
    lines.push_str("{\"ping\":1}\nhello\n");
    std::fs::write(folder.join("lines"), lines).unwrap();
    let written = call(folder, &["init", "a.toml", "--topic", "orders", "--from", "lines"], "");
    written.assert_code(0);
    let told = "tried on the 62 samples: 60 would be written as 60 record(s), 0 filtered, 2 rejected";
    assert!(written.err.contains(told), "{}", written.err);
    let tried = call(folder, &["try", "a.toml", "--input", "lines", "--json"], "");
    let totals: Value = serde_json::from_str(tried.out.lines().last().unwrap()).unwrap();
    assert_eq!(
        [&totals["totals"]["kept"], &totals["totals"]["rejected"]],
        [60, 2],
        "{}",
        tried.out
    );
}

/// A configuration that can only reject is no first configuration.
#[test]
fn messages_that_cannot_be_used_are_told_loudly_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("lines"), "10:00 started\n10:01 größer\n").unwrap();
    let arguments = ["init", "a.toml", "--topic", "logs", "--from", "lines"];
    let called = call(folder, &arguments, "");
    called.assert_code(1);
    for line in [
        "Penstock cannot use these messages: it reads JSON only, and none of the 2 samples is JSON",
        "2 look like: text, not JSON",
        "nothing was written",
    ] {
        assert_line(&called.err, line);
    }
    assert!(
        !called.err.contains("penstock run") && !called.err.contains("accepts it"),
        "{}",
        called.err
    );
    assert!(!folder.join("a.toml").exists());
    let output = call(folder, &["init", "--topic", "logs", "--from", "lines"], "");
    assert_eq!(output.assert_code(1).out, "");

    let forced = call(folder, &[arguments.as_slice(), &["--force"]].concat(), "");
    forced.assert_code(1);
    assert_line(&forced.err, "Penstock cannot use these messages");
    assert!(forced.err.contains("rejects all of the samples"), "{}", forced.err);
    assert!(!forced.err.contains("penstock run"), "{}", forced.err);
    let text = std::fs::read_to_string(folder.join("a.toml")).unwrap();
    assert!(
        text.starts_with("# WARNING: Penstock cannot use these messages."),
        "{text}"
    );
    call(folder, &["check", "a.toml"], "").assert_code(0);
}

/// `--from-topic` with a broker: nothing is committed, and what was written is right for that topic.
#[test]
fn the_newest_messages_of_a_topic_make_a_configuration() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("init", 3);
    let mut stream = Stream::new(&topic, 2);
    stream.produce(20);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let group = crate::support::unique("init");
    let with = |more: &[&str]| -> Exited {
        run(penstock()
            .arg("init")
            .arg(&file)
            .args(["--topic", &topic.name, "--brokers", &kafka.brokers, "--group", &group])
            .args(more))
    };
    let exited = with(&["--from-topic", "10"]);
    exited.assert_code(0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("from 10 sample message(s) of the newest of the topic, from 3 of its 3"),
        "{text}"
    );
    assert!(
        exited
            .output
            .contains("10 would be written as 10 record(s), 0 filtered, 0 rejected"),
        "{}",
        exited.output
    );
    assert_eq!(topic.committed(&group), [None, None, None]);
    let tried = run(penstock().arg("try").arg(&file).args(["--from-topic", "5"]));
    tried.assert_code(0);

    let absent = run(penstock()
        .args(["init", "--topic", "events", "--brokers", "127.0.0.1:1", "--from-topic"])
        .arg(folder.path().join("b.toml")));
    absent.assert_code(64);
}

#[test]
fn a_topic_that_holds_nothing_gives_a_configuration_without_samples() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("init-empty", 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let exited = from_topic(&kafka, &topic, &file, &[]);
    exited.assert_code(0);
    assert!(exited.output.contains("holds no message"), "{}", exited.output);
    assert_line(&std::fs::read_to_string(&file).unwrap(), "bins = \"*\"");
}

/// Messages can be large, so `init` does not fetch more than it keeps.
#[test]
fn reading_the_newest_messages_ends_when_there_are_enough() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("init-enough", 2);
    Stream::new(&topic, 2).produce(20);
    let text = format!(
        "kafka.brokers = \"{}\"\nkafka.topics = [\"{}\"]\nkafka.group = \"g\"\naerospike.hosts = \"127.0.0.1:1\"\n\
         aerospike.namespace = \"test\"\n[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"n\"]\n",
        kafka.brokers, topic.name
    );
    let config = penstock::config::parse(&text, "a.toml").unwrap_or_else(|faults| panic!("{faults}"));
    let mut taken = 0;
    let read = newest(&config.kafka, &topic.name, 20, &mut |_| {
        taken += 1;
        if taken == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    read.unwrap();
    assert_eq!(taken, 3);
}

#[test]
fn a_listener_that_needs_other_settings_is_told_and_ends_with_its_code() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("init-tls", 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let exited = from_topic(&kafka, &topic, &file, &["--property", "security.protocol=SSL"]);
    exited.assert_code(78);
    assert!(!file.exists());
}

/// Neither what a message is called nor what a file is called moves the cursor of a terminal.
#[test]
fn what_is_printed_holds_no_control_characters_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["init", "--topic", "t", "--envelope", "--from", "-", "a\u{1b}[2J.toml"];
    let refused = call(
        folder.path(),
        &arguments,
        "{\"\\u001b[31mX\\u0007\":1,\"payload\":{}}\n",
    );
    refused.assert_code(64);
    assert!(
        refused.err.contains("has no \"\\u{1b}[31mX\\u{7}\""),
        "{:?}",
        refused.err
    );
    let written = call(folder.path(), &arguments, "{\"payload\":{}}\n");
    written.assert_code(0);
    assert_line(&written.err, "wrote a\\u{1b}[2J.toml;");
    for called in [refused, written] {
        let is_control = |c: char| c.is_control() && c != '\n';
        assert!(!called.err.contains(is_control), "{:?}", called.err);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn samples_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = call(folder.path(), &["init", "--topic", "t", "--from", "/dev/zero"], "");
    refused.assert_code(64);
    assert!(refused.err.contains("after 128 MiB"), "{}", refused.err);
}
