//! The status page of a running service, in headless Chromium: it flows, its database falls silent and comes back, a message
//! holds a partition, and it ends. `make test-page`.
//!
//! `scripts/test-page.sh` looks at the page and says when it has seen a state; the test brings about the next one.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use penstock::util::exit::Exit;

use crate::support::process::{Program, SimProgram, run_service};
use crate::support::{Kafka, ROUTES, Setup, Stream};

/// Between two batches of messages.
const PACE: Duration = Duration::from_millis(100);
/// Messages in each partition at a time.
const MESSAGES: i64 = 20;
/// The script has a deadline for each state. This one is only for a script that hangs.
const DEADLINE: Duration = Duration::from_secs(30 * 60);
/// More arguments for the script, for instance to take pictures: `--pictures DIR --samples 60`.
const ARGUMENTS: &str = "PAGE_ARGUMENTS";

#[test]
#[ignore = "needs Chromium: make test-page"]
fn the_page_shows_a_service_that_flows_waits_recovers_is_held_and_is_gone() {
    let kafka = Kafka::mock();
    // For the pictures: names that a person would choose.
    let topic = kafka.topic_named("events".to_owned(), 8);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    // With the times of a service that people run: with shorter ones a busy machine alone limits the rows in flight.
    let setup = Setup {
        group: "profiles".to_owned(),
        run: String::new(),
        ..Setup::new(&kafka, &topic, sim.addr).routes(&format!("{ROUTES}\n[http]\nlisten = \"127.0.0.1:0\"\n"))
    };
    let file = setup.file();
    let mut service = run_service(file.path());
    let line = service.wait_for_line(&["http: listening address="]);
    let url = line.split_once("address=").unwrap().1.trim();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-page.sh");
    let mut page = Program::start(
        Command::new(script)
            .args(["--url", url, "--states", "flowing,silent,recovered,held,lost"])
            .args(std::env::var(ARGUMENTS).unwrap_or_default().split_whitespace()),
    );
    let mut flow_until_seen = |stream: &mut Stream, state: &str| {
        let told = format!("state   {state} seen");
        let deadline = Instant::now() + DEADLINE;
        while !page.output().contains(&told) {
            let is_running = page.is_running();
            let output = page.output();
            assert!(
                is_running || output.contains(&told),
                "the script ended before {state}:\n{output}"
            );
            assert!(Instant::now() < deadline, "the script does not see {state}:\n{output}");
            stream.produce(MESSAGES);
            thread::sleep(PACE);
        }
    };

    flow_until_seen(&mut stream, "flowing");
    sim.say("stall");
    flow_until_seen(&mut stream, "silent");
    sim.say("unstall");
    flow_until_seen(&mut stream, "recovered");
    stream.produce_bad(3, r#"{"id": "#);
    flow_until_seen(&mut stream, "held");
    service.signal("TERM");
    service.end().assert_code(i32::from(Exit::Rejected.code()));
    let seen = page.end();
    println!("{}", seen.output);
    seen.assert_code(0);
}
