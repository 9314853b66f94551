//! The archive on a fresh Debian, under that system's own cron, on a real broker: it is installed as the guide says, word
//! for word; then processes are killed and frozen, a configuration is broken, and the machine crashes. `make test-install`.
//!
//! The machine is a Debian tree (`scripts/with-debian.sh`) whose processes and name are its own. Its first process is cron,
//! and its crash is the end of all processes at once; the files stay. Cron mails into a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::support::process::{Exited, Program, SimProgram, run, signal};
use crate::support::{
    Kafka, Records as _, Setup, Stream, assert_ledger, consumer_groups, listener, wait_until, wait_within,
};

/// Longer than a hang is waited for, and a minute of cron's.
const MINUTES: Duration = Duration::from_secs(240);
const USER: &str = "penstock";
const NAME: &str = "machine";

/// Each message under its id, how often it was written, and a count for each key. The counts are guarded.
const ROUTES: &str = r#"
[[route]]
  [[route.write]]
  set = "all"
  key = "id"
  bins = ["n"]

  [[route.write]]
  set = "times"
  key = "id"
  add = { n = 1 }

  [[route.write]]
  set = "counters"
  key = "key"
  add = { n = 1 }
"#;
/// Number of keys in each partition.
const KEYS: i64 = 5;

/// A machine that runs while this has processes.
struct Machine {
    root: PathBuf,
    first: Option<Program>,
}

impl Machine {
    fn new() -> Machine {
        let root = std::env::var("DEBIAN_ROOT").expect("DEBIAN_ROOT is not set: make test-install");
        let machine = Machine {
            root: PathBuf::from(root),
            first: None,
        };
        // A machine that delivers mail. Cron calls this as the user of the crontab.
        let sendmail = "#!/bin/sh\ncat >>\"/var/mail/$(id -un)\"\n";
        machine.write("usr/sbin/sendmail", sendmail);
        assert!(
            Command::new("chmod")
                .arg("755")
                .arg(machine.path("usr/sbin/sendmail"))
                .status()
                .unwrap()
                .success()
        );
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Starts it: memory is empty, and the disk is as it was.
    fn boot(&mut self) {
        let script = format!(
            "hostname {NAME}\nmount -t proc proc \"$0/proc\"\nmount -t tmpfs tmpfs \"$0/run\"\n\
             exec chroot \"$0\" /usr/sbin/cron -f"
        );
        let program = Program::start(
            Command::new("unshare")
                .args([
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--mount",
                    "--uts",
                    "sh",
                    "-ec",
                    &script,
                ])
                .arg(&self.root),
        );
        self.first = Some(program);
        wait_until(
            "cron",
            || fs::read_to_string(format!("/proc/{}/comm", self.pid())).unwrap_or_default(),
            |name| name == "cron\n",
        );
    }

    /// The id of the machine's first process, as it is seen from here. 0: there is none yet.
    fn pid(&self) -> u32 {
        let unshare = self.first.as_ref().expect("a machine that runs").id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap_or_default();
        children.trim().parse().unwrap_or(0)
    }

    /// The power fails: all processes are killed at once.
    fn crash(&mut self) {
        assert!(signal(self.pid(), "KILL"));
        // With the first process, all others have ended.
        self.first.take().unwrap().end();
    }

    /// Runs a script in it, as root who has just logged in.
    fn run(&self, script: &str) -> Exited {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.pid().to_string(),
                "--pid",
                "--mount",
                "--uts",
                "chroot",
            ])
            .arg(&self.root)
            .args(["env", "-i", "HOME=/root"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["sh", "-ec", script]);
        run(&mut command)
    }

    /// Runs a script and expects code 0. What it prints.
    fn says(&self, script: &str) -> String {
        println!("{NAME}# {}", script.trim_end().replace('\n', &format!("\n{NAME}# ")));
        let exited = self.run(script);
        println!("{}", exited.output);
        exited.assert_code(0);
        exited.output
    }

    fn log(&self, instance: &str) -> String {
        self.read(&format!("var/log/penstock/{instance}.log"))
    }

    /// How often an instance was started.
    fn starts(&self, instance: &str) -> usize {
        self.log(instance).matches("penstock version=").count()
    }

    /// The id of an instance's process, inside the machine.
    fn service(&self, instance: &str) -> String {
        let heartbeat = self.read(&format!("var/lib/penstock/{instance}/heartbeat"));
        let pid = heartbeat.lines().find_map(|line| line.strip_prefix("pid="));
        pid.unwrap_or_else(|| panic!("{instance} has no heartbeat")).to_owned()
    }

    fn signal(&self, instance: &str, name: &str) {
        self.says(&format!("kill -{name} {}", self.service(instance)));
    }

    /// What cron has mailed about an instance, a line each.
    fn mailed(&self, instance: &str) -> Vec<String> {
        let start = format!("penstock-cron: {instance}: ");
        let mail = self.read(&format!("var/mail/{USER}"));
        mail.lines()
            .filter(|line| line.starts_with(&start))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until cron has mailed so many lines about an instance. The last one.
    fn wait_mailed(&self, instance: &str, lines: usize) -> String {
        let mailed = wait_within(
            MINUTES,
            &format!("{lines} mails about {instance}"),
            || self.mailed(instance),
            |mailed| mailed.len() >= lines,
        );
        println!("mail {lines}: {}", mailed.last().unwrap());
        assert_eq!(mailed.len(), lines, "{mailed:?}");
        mailed.last().unwrap().clone()
    }

    /// Waits until cron has done its work so many times more.
    fn wait_minutes(&self, minutes: usize) {
        let ticks = || self.read("var/lib/penstock/ticks").lines().count();
        // The work of the minute that has begun does not count.
        let enough = ticks() + minutes + 1;
        wait_within(
            Duration::from_secs(90) * u32::try_from(minutes + 1).unwrap(),
            "minutes",
            ticks,
            |now| *now >= enough,
        );
    }
}

/// A configuration of the machine, with its messages and its database.
struct Job {
    name: &'static str,
    setup: Setup,
    sim: SimProgram,
    stream: Stream,
}

impl Job {
    /// With the name of its process as the guide has it. A session lasts for longer than cron needs to start it again, so
    /// whoever had to wait for the session's end would be seen.
    fn new(kafka: &Kafka, name: &'static str, partitions: i32) -> Job {
        let topic = kafka.topic(name, partitions);
        let sim = SimProgram::start(&[]);
        let consumer = "session.timeout.ms = 300000\nmax.poll.interval.ms = 300000\n\
                        \"group.instance.id\" = \"${env:PENSTOCK_INSTANCE}\"";
        let setup = Setup::new(kafka, &topic, sim.addr).routes(ROUTES).consumer(consumer);
        let stream = Stream::new(&topic, KEYS);
        Job {
            name,
            setup,
            sim,
            stream,
        }
    }

    /// Reads through TLS, and trusts the authorities that the machine trusts. (`probe` is what an archive's program does
    /// without being told.)
    fn with_tls(mut self) -> Job {
        self.setup.brokers = listener("TLS");
        self.setup.consumer += "\nsecurity.protocol = \"ssl\"\nssl.ca.location = \"probe\"";
        self
    }

    fn configure(&self, machine: &Machine, text: &str) {
        machine.write(&format!("etc/penstock/{}.toml", self.name), text);
    }

    /// Waits until all messages are done.
    fn wait_done(&self) {
        let topic = &self.stream.topic;
        wait_within(
            MINUTES,
            &format!("all messages of {}", self.name),
            || topic.committed(&self.setup.group),
            |committed| *committed == self.stream.ends(),
        );
    }

    /// Produces messages, and returns while the service is at work on them.
    fn wait_busy(&mut self) {
        self.sim.say("delay 5ms");
        let before = self.sim.count("all");
        self.stream.produce(2000);
        wait_until("records", || self.sim.count("all"), |count| *count > before);
    }

    /// Fails unless every message was written, and counted once.
    fn assert_ledger(&self) {
        let mut expected = BTreeMap::new();
        for ((set, key), n) in self.stream.records() {
            if set == "all" {
                expected.insert(("times", key.clone()), 1);
                expected.insert((set, key), n);
            } else {
                // `n` is the number of its last message.
                expected.insert(("counters", key), n / KEYS + 1);
            }
        }
        assert_ledger(&expected, &self.sim);
        println!(
            "ledger of {}: {} messages, each written, none counted twice",
            self.name,
            self.stream.total()
        );
    }
}

/// The blocks of a page's section, those of this language, in order.
fn blocks(page: &str, section: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(page);
    let text = fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once(&format!("\n{section}\n")).expect(section);
    let section = section.split("\n## ").next().unwrap();
    let blocks: Vec<String> = section
        .split("\n```")
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .map(|block| format!("{block}\n"))
        .collect();
    assert!(!blocks.is_empty(), "{page}: {section}");
    blocks
}

/// The time of a line of the log.
fn time_of(line: &str) -> Timestamp {
    let time = line.trim_start_matches('[').split(' ').next().unwrap();
    time.parse().unwrap_or_else(|e| panic!("{line}: {e}"))
}

/// Fails unless the last process of an instance had its partitions within seconds of its start.
fn assert_soon_assigned(machine: &Machine, instance: &str) {
    let log = machine.log(instance);
    let begin = log.rfind("penstock version=").unwrap();
    let begin = log[..begin].rfind('\n').map_or(0, |end| end + 1);
    let line = |part: &str| {
        let line = log[begin..].lines().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("no {part} in {log}"))
    };
    let (started, joining, assigned) = (
        line("penstock version="),
        line("kafka: joining "),
        line("kafka: assigned "),
    );
    println!("{started}\n{joining}\n{assigned}");
    let member = format!(" member={NAME}-{}", instance.replace('@', "-"));
    assert!(joining.contains(&member), "{joining}");
    let took = Duration::try_from(time_of(assigned) - time_of(started)).unwrap();
    println!("{instance}: partitions {took:?} after its start; session.timeout.ms is 300 s");
    assert!(took < Duration::from_secs(30), "{instance}: {took:?}");
}

/// The static members of a group, as Kafka's own tool shows them: name and partitions.
fn members(kafka: &Kafka, job: &Job) -> Vec<(String, String)> {
    let mut arguments = vec!["--bootstrap-server", &kafka.brokers, "--group", &job.setup.group];
    arguments.extend(["--describe", "--members", "--verbose"]);
    let said = consumer_groups(&arguments);
    println!("{}", said.trim());
    let topic = format!("{}:", job.stream.topic.name);
    let members = said.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Its name alone; the id of the member has more behind it.
        let name = words
            .iter()
            .find(|word| word.starts_with(NAME) && word.len() == NAME.len() + "-pair-1".len())?;
        let partitions = words.iter().find(|word| word.starts_with(&topic))?;
        Some(((*name).to_owned(), (*partitions).to_owned()))
    });
    let mut members: Vec<_> = members.collect();
    members.sort();
    members
}

#[test]
#[ignore = "needs root, a Debian tree, the archive and a Kafka broker: make test-install"]
fn on_a_fresh_debian_the_archive_is_installed_and_cron_keeps_it_running() {
    let kafka = Kafka::real();
    let mut machine = Machine::new();
    machine.boot();
    let mut events = Job::new(&kafka, "events", 2);
    let mut pair = Job::new(&kafka, "pair", 4);
    let mut hung = Job::new(&kafka, "hung", 2).with_tls();
    let mut broken = Job::new(&kafka, "broken", 2);

    // Nothing but the archive comes from outside. The authorities are where Debian's ca-certificates has them; that package
    // itself would bring OpenSSL.
    let libraries = machine.says("ldconfig -p");
    assert!(!libraries.contains("libssl") && !libraries.contains("libcrypto"));
    let ca = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/kafka/tls/ca.pem");
    machine.says("mkdir -p /etc/ssl/certs");
    machine.write("etc/ssl/certs/ca-certificates.crt", &fs::read_to_string(ca).unwrap());
    let archive = PathBuf::from(std::env::var("ARCHIVE").expect("ARCHIVE is not set: make test-install"));
    let file = archive.file_name().unwrap().to_str().unwrap();
    for name in [file, "SHA256SUMS"] {
        fs::copy(archive.with_file_name(name), machine.path("root").join(name)).unwrap();
    }
    // As the guide says it, of this archive; root needs no sudo.
    let as_root = |block: &str| block.replace("sudo ", "");
    let block = as_root(&blocks("installing.md", "## From an archive", "sh")[0]);
    let name = block
        .split_whitespace()
        .find_map(|word| word.strip_suffix(".tar.gz"))
        .unwrap();
    let folder = file.strip_suffix(".tar.gz").unwrap();
    machine.says(&format!("cd /root\n{}", block.replace(name, folder)));
    let version = machine.says("penstock --version");
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let tried = machine.says(
        "mkdir /tmp/empty && cd /tmp/empty\n\
         echo '{\"id\": \"e1\", \"user\": {\"id\": \"u1\"}}' | penstock try /usr/local/share/penstock/examples/events.toml",
    );
    assert!(tried.contains("u1"), "{tried}");
    machine.says("test -s /usr/local/share/man/man1/penstock.1 && test -s /usr/local/share/man/man1/penstock-cron.1");

    // Then the recipe for cron, where the configuration is.
    machine.write("root/events.toml", &events.setup.text());
    for block in blocks("running-under-cron.md", "## The recipe", "sh") {
        machine.says(&format!("cd /root\n{block}"));
    }
    for job in [&pair, &hung, &broken] {
        job.configure(&machine, &job.setup.text());
    }
    machine.says(&format!("install -o {USER} -g mail -m 660 /dev/null /var/mail/{USER}"));
    let lines = blocks("running-under-cron.md", "## The recipe", "text");
    let line = lines
        .iter()
        .find(|line| line.ends_with("ensure events\n") && !line.contains("-d "))
        .unwrap();
    let mut crontab = line.clone();
    for instances in ["pair@1 pair@2", "hung", "broken"] {
        crontab += &line.replace("events", instances);
    }
    crontab += "* * * * * date >>/var/lib/penstock/ticks\n";
    machine.write("root/crontab", &crontab);
    machine.says(&format!("cat /root/crontab; crontab -u {USER} /root/crontab"));

    // One was started by hand, as the guide says. Cron starts the others.
    for instance in ["pair@1", "pair@2", "hung", "broken"] {
        machine.wait_mailed(instance, 1);
    }
    for job in [&mut events, &mut pair, &mut hung, &mut broken] {
        job.stream.produce(300);
        job.wait_done();
    }
    // The second one may still wait for the partitions that the first one gives back.
    let shared = wait_until(
        "both have partitions",
        || members(&kafka, &pair),
        |shared| shared.len() == 2,
    );
    let names: Vec<&str> = shared.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["machine-pair-1", "machine-pair-2"]);
    let instances = ["events", "pair@1", "pair@2", "hung", "broken"];
    let pids = instances.map(|instance| machine.service(instance));
    println!(
        "{}",
        machine.says(&format!("su -s /bin/sh {USER} -c 'penstock-cron status'"))
    );

    // Two are killed in mid-stream, one is frozen, and one configuration is broken.
    for job in [&mut events, &mut pair, &mut hung] {
        job.wait_busy();
    }
    machine.signal("events", "KILL");
    let killed = Instant::now();
    machine.signal("pair@1", "KILL");
    machine.signal("hung", "STOP");
    broken.configure(&machine, &format!("nonsense = 1\n{}", broken.setup.text()));
    for job in [&mut events, &mut pair, &mut hung, &mut broken] {
        assert!(job.name == "broken" || job.sim.count("all") < job.stream.total());
        job.stream.produce(300);
        job.sim.say("delay 0ms");
    }

    let said = machine.wait_mailed("events", 1);
    assert!(
        said.contains(" was killed after ") && said.contains("; started pid="),
        "{said}"
    );
    println!("events: back {:.1?} after kill -9", killed.elapsed());
    events.wait_done();
    println!("events: everything is written {:.1?} after kill -9", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(90), "a minute, and the restart");
    assert_soon_assigned(&machine, "events");
    events.assert_ledger();

    let said = machine.wait_mailed("pair@1", 2);
    assert!(said.contains(" was killed after "), "{said}");
    pair.wait_done();
    assert_soon_assigned(&machine, "pair@1");
    pair.assert_ledger();
    assert_eq!(members(&kafka, &pair), shared);

    let said = machine.wait_mailed("broken", 2);
    assert!(
        said.contains("nonsense: unknown key") && said.contains("the running service keeps the old one"),
        "{said}"
    );
    broken.wait_done();
    broken.assert_ledger();

    let said = machine.wait_mailed("hung", 2);
    assert!(
        said.contains("the heartbeat stood still for ") && said.contains(": stopped and started again pid="),
        "{said}"
    );
    hung.wait_done();
    assert_soon_assigned(&machine, "hung");
    hung.assert_ledger();
    let now = instances.map(|instance| machine.service(instance));
    for (n, is_same) in [false, false, true, false, true].into_iter().enumerate() {
        assert_eq!(
            pids[n] == now[n],
            is_same,
            "{}: {} then {}",
            instances[n],
            pids[n],
            now[n]
        );
    }

    // A service that ends is not started with a broken configuration. That is told once, and it is started when the
    // configuration is mended.
    machine.signal("broken", "KILL");
    broken.stream.produce(300);
    let said = machine.wait_mailed("broken", 3);
    assert!(
        said.contains("not running, it was killed after ") && said.contains("nonsense: unknown key"),
        "{said}"
    );
    machine.wait_minutes(2);
    assert_eq!(machine.starts("broken"), 1);
    assert_eq!(machine.mailed("broken").len(), 3);
    broken.setup.run = broken.setup.run.replace("batch_rows_max = 40", "batch_rows_max = 41");
    broken.configure(&machine, &broken.setup.text());
    let said = machine.wait_mailed("broken", 4);
    assert!(said.contains("started pid="), "{said}");
    broken.wait_done();
    assert_soon_assigned(&machine, "broken");
    let log = machine.log("broken");
    assert!(log.contains("batch_rows_max=41"), "{log}");

    // The machine crashes in mid-stream, and leaves its files behind.
    for job in [&mut events, &mut pair] {
        job.wait_busy();
    }
    let starts = instances.map(|instance| machine.starts(instance));
    let mailed = instances.map(|instance| machine.mailed(instance).len());
    machine.crash();
    for job in [&mut events, &mut pair, &mut hung, &mut broken] {
        job.stream.produce(300);
        job.sim.say("delay 0ms");
    }
    for name in ["lock", "control", "heartbeat", "state"] {
        assert!(
            machine.path(&format!("var/lib/penstock/events/{name}")).exists(),
            "{name}"
        );
    }
    machine.boot();
    for job in [&events, &pair, &hung, &broken] {
        job.wait_done();
    }
    machine.wait_minutes(2);
    for (n, instance) in instances.into_iter().enumerate() {
        assert_eq!(machine.starts(instance), starts[n] + 1, "{instance}");
        assert_soon_assigned(&machine, instance);
        let told = &machine.mailed(instance)[mailed[n]..];
        println!("{}", told.join("\n"));
        assert!(told[0].contains("ended without a word"), "{told:?}");
    }
    for job in [&events, &pair, &hung, &broken] {
        job.assert_ledger();
    }

    // Nothing else was mailed, and it can be stopped.
    let mail = machine.read(&format!("var/mail/{USER}"));
    for line in mail.lines() {
        let is_head = line.is_empty() || line.split_once(": ").is_some_and(|(name, _)| !name.contains(' '));
        assert!(is_head, "{mail}");
    }
    for instance in instances {
        let said = machine.says(&format!("su -s /bin/sh {USER} -c 'penstock-cron stop {instance}'"));
        assert!(said.contains("stopped; it stays so until"), "{said}");
    }
    let block = as_root(&blocks("installing.md", "## Remove it", "sh")[0]);
    machine.says(&block);
    let left = machine.says("find /usr/local -type f; ls /etc/penstock /var/lib/penstock /var/log/penstock");
    assert!(!left.contains("/usr/local"), "{left}");
    for kept in ["events.toml", "pair@1.log"] {
        assert!(left.contains(kept), "{left}");
    }
}
