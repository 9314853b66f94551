//! What the service logs while it runs: the progress line and its glossary, a partition that is held, a group that
//! waits for a killed member. The program with a mock broker and a simulator; `tests/live/service.rs` tests open
//! transactions.

use std::path::Path;

use crate::support::connect::COUNTED;
use crate::support::process::{SimProgram, run_service};
use crate::support::{Kafka, Records as _, Setup, Stream, wait_until};
use penstock::observe::counters::Counters;
use penstock::observe::progress::{KEYS, OPTIONAL, STATES};

/// The words of a list in docs/guide/progress-line.md, each with whether it is marked as optional.
fn documented(marker: &str) -> Vec<(String, bool)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/progress-line.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, list) = text.split_once(&format!("<!-- {marker} -->")).unwrap();
    let (list, _) = list.split_once("<!-- end -->").unwrap();
    let items = list.lines().filter_map(|line| line.strip_prefix("- **`"));
    items
        .map(|item| {
            let (word, rest) = item.split_once("`**").unwrap();
            let is_optional = rest.starts_with(" (left out while 0):");
            assert!(is_optional || rest.starts_with(':'), "{item}");
            (word.to_owned(), is_optional)
        })
        .collect()
}

#[test]
fn the_glossary_explains_every_key_and_every_state_of_the_progress_line() {
    let keys = KEYS.map(|key| (key.to_owned(), OPTIONAL.contains(&key)));
    assert_eq!(documented("progress keys"), keys);
    let mut states: Vec<String> = documented("progress states")
        .into_iter()
        .map(|(word, _)| word)
        .collect();
    states.sort();
    let mut known = STATES.map(str::to_owned);
    known.sort();
    assert_eq!(states, known);
}

#[test]
fn the_glossary_explains_every_word_of_the_account_at_the_end() {
    let others = documented("account keys");
    for word in Counters::new().account().split(' ') {
        let (key, _) = word.split_once('=').unwrap();
        let key = match key {
            "dead_lettered" => "dead",
            "guard_refused" => "refused",
            key => key,
        };
        assert!(
            KEYS.contains(&key) || others.iter().any(|(other, _)| other == key),
            "{key} is explained nowhere"
        );
    }
}

#[test]
fn a_process_that_follows_a_killed_one_says_whom_it_waits_for_and_then_what_guards_refuse() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("killed", 1);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 1);
    let setup = Setup::new(&kafka, &topic, sim.addr)
        .routes(COUNTED)
        .consumer("session.timeout.ms = 18000\nheartbeat.interval.ms = 300");
    let file = setup.file();
    stream.produce(10);
    let first = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    // Written, and not committed.
    kafka.refuse_commits(true);
    stream.produce(200);
    let count = || sim.ints("users", &["0:0-0"]);
    wait_until("all messages to be counted", count, |count| *count == [Some(210)]);
    first.signal("KILL");
    drop(first);
    kafka.refuse_commits(false);

    let mut second = run_service(file.path());
    second.wait_for_line(&[
        "WARN",
        "kafka: the group has not given out its partitions",
        "still counts a member",
        "up to 18s (session.timeout.ms)",
        "waited=",
        "group.instance.id",
    ]);
    // It has read nothing yet, so its lag is unknown.
    second.wait_for_line(&[
        "progress",
        " consumed=0 ",
        " lag=- ",
        " partitions=0 ",
        "state=no-partitions",
    ]);
    second.wait_for_line(&[
        "progress",
        " rows/s=0 ",
        " refused/s=",
        " refused=200 ",
        " lag=0 ",
        "state=ok",
    ]);
    assert_eq!(count(), [Some(210)]);
    second.signal("TERM");
    second.end().assert_code(0);
}

#[test]
fn a_partition_that_is_held_is_an_error_with_its_way_out_and_stays_on_the_progress_line() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("held-line", 2);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 1);
    stream.produce_bad(1, "no json");
    stream.produce(5);
    let setup = Setup::new(&kafka, &topic, sim.addr).routes(COUNTED);
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&[
        "ERROR",
        "its partition is held",
        "partition=1 offset=0 reason=not_json",
        "penstock skip FILE ",
        ":1:0 --to-file ",
        "reject.action",
    ]);
    service.wait_for_line(&[
        "progress",
        " dead=0 ",
        " held=1 ",
        " lag=6 ",
        " partitions=2 ",
        "state=held",
    ]);
    // Repeated every minute until somebody acts.
    service.wait_for_line(&[
        "ERROR",
        "still held, 1 of 2 partitions",
        "partition=1 offset=0 reason=not_json",
        ":1:0 --to-file ",
    ]);
    service.signal("TERM");
    service.end().assert_code(65);
}

#[test]
fn dead_letters_and_published_messages_are_two_numbers() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("two-numbers", 1);
    let (dead, out) = (kafka.topic("dead", 1), kafka.topic("out", 1));
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 1);
    stream.produce(7);
    for _ in 0..3 {
        stream.produce_bad(0, "no json");
    }
    let routes = format!(
        "{COUNTED}\n[[route.publish]]\ntopic = \"{}\"\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\npercent_max = 0\n",
        out.name, dead.name
    );
    let setup = Setup::new(&kafka, &topic, sim.addr).routes(&routes);
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["progress", " written=7 ", " dead=3 ", " published=7 ", " lag=0 "]);
    service.signal("TERM");
    let ended = service.end();
    ended.assert_code(0);
    assert!(ended.output.contains(" dead_lettered=3 "), "{}", ended.output);
    assert!(ended.output.contains(" published=7 "), "{}", ended.output);
}
