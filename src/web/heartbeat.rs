//! The heartbeat for supervisors: a file (`run.heartbeat_file`) and systemd's notifications, where it asks for them
//! (`NOTIFY_SOCKET`).
//!
//! It beats every second while a restart would not help: the decision is that of `/livez` ([`health`]). So a partition
//! that waits for a known reason beats, and a stalled one does not. `docs/reference/heartbeat.md` is for supervisors.
//!
//! It runs on one thread, `heartbeat`, which only reads the board. A disk or a supervisor that hangs never delays the
//! service, and a main thread that hangs is seen by the age of its last snapshot.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, bounded};
use jiff::Timestamp;
use log::{error, info, warn};

use super::health::{self, Check};
use crate::config::model::Config;
use crate::observe::seen::Seen;
use crate::observe::snapshot::{Board, Snapshot, Stage};
use crate::util::exit::Exit;
use crate::util::logging::pairs::Text;
use crate::util::notify::Notify;
use crate::util::stop::{Stop, StopKind};
use crate::util::throttle::Throttle;

/// A sentence for the service manager has at most this many characters.
const SENTENCE_CHARS_MAX: usize = 500;
/// The time between two beats.
const INTERVAL: Duration = Duration::from_secs(1);
/// The heartbeat stops if the end takes this much longer than `run.shutdown_grace`.
const END_MARGIN: Duration = Duration::from_secs(30);
/// While the service starts, or was told to stop, each beat asks systemd to wait for this long.
const EXTENSION: Duration = Duration::from_secs(30);
/// The interval of the line about a file that cannot be written.
const UNWRITABLE: Duration = Duration::from_secs(10 * 60);
/// How long the end of the process waits for the last beat. A disk that hangs does not keep the process.
const LAST_BEAT: Duration = Duration::from_secs(2);

/// A running heartbeat. It ends when this is dropped: systemd is told, and the file is removed.
#[derive(Debug)]
pub struct Heartbeat {
    end: Stop,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the heartbeat of a service with this configuration. Call it before the service starts, so that a start which
/// waits for Kafka or Aerospike beats, too. `file` is the configuration's name, for the heartbeat's content. `stop` is
/// the flag that the service gets. `None`: the configuration names no file, and systemd does not ask.
///
/// # Errors
/// The exit code. The reason has been logged: the operating system refuses the thread.
pub fn start(config: &Config, file: &Path, stop: &Stop, seen: &Seen) -> Result<Option<Heartbeat>, Exit> {
    let notify = Notify::from_env().unwrap_or_else(|error| {
        warn!("heartbeat: systemd cannot be told error=\"{error}\"");
        None
    });
    if config.run.heartbeat_file.is_none() && notify.is_none() {
        return Ok(None);
    }
    if let Some(path) = &config.run.heartbeat_file {
        info!("heartbeat: each second file={}", Text(&path.display().to_string()));
    }
    let beat_file = config.run.heartbeat_file.clone().map(BeatFile::new);
    let mut beats = Beats::new(beat_file, file, notify, config.run.shutdown_grace);
    // Without this no snapshots are taken, and nothing would ever stand still.
    seen.board.watch();
    let (board, stop, end) = (seen.board.clone(), stop.clone(), Stop::new());
    let (tell, done) = bounded(1);
    // The first beat is there before the service does anything: whoever started it can look at once.
    beats.beat(&board.last(), Instant::now(), &stop);
    let until = end.clone();
    let thread = thread::Builder::new().name("heartbeat".into()).spawn(move || {
        beat_until(&until, &mut beats, &board, &stop);
        // Nobody may wait for it any more.
        let _ = tell.send(());
    });
    match thread {
        Ok(thread) => Ok(Some(Heartbeat {
            end,
            done,
            thread: Some(thread),
        })),
        Err(error) => {
            error!("heartbeat: cannot start a thread error=\"{error}\"");
            Err(Exit::Restart)
        }
    }
}

fn beat_until(end: &Stop, beats: &mut Beats, board: &Arc<Board>, stop: &Stop) {
    while !end.wait(INTERVAL) {
        beats.beat(&board.last(), Instant::now(), stop);
    }
    beats.end();
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.end.request(StopKind::Drain);
        if self.done.recv_timeout(LAST_BEAT).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // If the thread panicked, the panic hook has logged that.
            let _ = thread.join();
        }
    }
}

/// What the thread remembers from one beat to the next.
#[derive(Debug)]
struct Beats {
    file: Option<BeatFile>,
    /// The lines of the file that never change.
    head: String,
    notify: Option<Notify>,
    /// `run.shutdown_grace`.
    grace: Duration,
    /// The last look found a reason to stand still.
    is_still: bool,
    /// systemd knows that the service runs.
    is_ready: bool,
    /// systemd knows that the service ends.
    is_stopping: bool,
    /// The state in a sentence, for systemd.
    sentence: String,
    /// What systemd was to be told once, and was not yet: it had not read what came before.
    untold: Vec<String>,
    /// The state in words, and since when.
    state: String,
    since: SystemTime,
    unwritable: Throttle,
}

impl Beats {
    fn new(file: Option<BeatFile>, config: &Path, notify: Option<Notify>, grace: Duration) -> Beats {
        Beats {
            file,
            head: format!(
                "pid={}\nversion={}\nconfig={}\n",
                process::id(),
                env!("CARGO_PKG_VERSION"),
                config.display()
            ),
            notify,
            grace,
            is_still: false,
            is_ready: false,
            is_stopping: false,
            sentence: String::new(),
            untold: Vec::new(),
            state: String::new(),
            since: SystemTime::now(),
            unwritable: Throttle::new(UNWRITABLE),
        }
    }

    /// Looks at the service, and beats unless a restart would help.
    fn beat(&mut self, snapshot: &Snapshot, now: Instant, stop: &Stop) {
        if let Some(check) = self.failing(snapshot, now) {
            if !self.is_still {
                self.is_still = true;
                warn!(
                    "heartbeat: stands still: a restart would help check={} why=\"{}\"",
                    check.name, check.why
                );
                self.say(format!("stands still: {}", check.why));
            }
            self.tell(&[]);
            return;
        }
        if self.is_still {
            self.is_still = false;
            info!("heartbeat: goes on again");
            self.state.clear();
        }
        let state = state(snapshot);
        let is_new = state != self.state;
        if is_new {
            (self.state, self.since) = (state, SystemTime::now());
        }
        self.touch(is_new);
        let mut lines = vec!["WATCHDOG=1".to_owned()];
        if snapshot.stage == Stage::Running && !self.is_ready {
            self.is_ready = true;
            self.untold.push("READY=1".to_owned());
        }
        // A service that joins its group anew drains without an end.
        if stop.requested() && !self.is_stopping {
            self.is_stopping = true;
            self.untold.push("STOPPING=1".to_owned());
        }
        if !self.is_ready || self.is_stopping {
            lines.push(format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
        }
        self.say(format!("{}: {}", self.state, snapshot.why));
        self.tell(&lines);
    }

    /// Why a restart would help. `None`: it would not.
    fn failing(&self, snapshot: &Snapshot, now: Instant) -> Option<Check> {
        let age = now.saturating_duration_since(snapshot.at);
        if snapshot.stage == Stage::Draining && age > self.grace + END_MARGIN {
            return Some(Check {
                name: "end",
                is_ok: false,
                why: format!("the service has been ending for {:.0} s", age.as_secs_f64()),
            });
        }
        health::live(snapshot, now).into_iter().find(|check| !check.is_ok)
    }

    fn touch(&mut self, is_new: bool) {
        let Some(file) = &mut self.file else { return };
        let text = format!(
            "{}state={}\nsince={}\n",
            self.head,
            self.state,
            Timestamp::try_from(self.since).map_or_else(|_| String::new(), |since| format!("{since:.0}"))
        );
        if let Err(error) = file.beat(&text, is_new)
            && let Some(repeated) = self.unwritable.pass()
        {
            warn!(
                "heartbeat: the file cannot be written; the service goes on file={} error=\"{error}\"{repeated}",
                Text(&file.path.display().to_string())
            );
        }
    }

    /// Sends these lines, and behind them what was not told yet. What fails of these lines, the next beat says anew.
    fn tell(&mut self, lines: &[String]) {
        let Some(notify) = &self.notify else {
            self.untold.clear();
            return;
        };
        let all: Vec<&str> = lines.iter().chain(&self.untold).map(String::as_str).collect();
        // A supervisor that takes nothing for long notices that itself: it misses the watchdog.
        if !all.is_empty() && notify.send(&all.join("\n")).is_ok() {
            self.untold.clear();
        }
    }

    /// The state in a sentence. Only the last one matters to a supervisor that has read none for a while.
    fn say(&mut self, mut sentence: String) {
        // The datagram is sent whole or not at all, with the watchdog's line in it.
        if let Some((end, _)) = sentence.char_indices().nth(SENTENCE_CHARS_MAX) {
            sentence.truncate(end);
        }
        if sentence != self.sentence {
            self.untold.retain(|line| !line.starts_with("STATUS="));
            self.untold.push(format!("STATUS={sentence}"));
            self.sentence = sentence;
        }
    }

    fn end(&mut self) {
        if !self.is_stopping {
            self.is_stopping = true;
            self.untold.push("STOPPING=1".to_owned());
        }
        self.tell(&[]);
        if let Some(file) = &self.file {
            // It may be gone already.
            let _ = fs::remove_file(&file.path);
        }
    }
}

/// The stage, and while the service runs its state.
fn state(snapshot: &Snapshot) -> String {
    match snapshot.stage {
        Stage::Starting => "starting".to_owned(),
        Stage::Running => snapshot.state.to_owned(),
        Stage::Draining => "draining".to_owned(),
    }
}

/// The file whose time of modification moves.
#[derive(Debug)]
struct BeatFile {
    path: PathBuf,
    /// Written first, then renamed: nobody reads half a file.
    fresh: PathBuf,
    /// The text is not in the file yet.
    is_due: bool,
}

impl BeatFile {
    fn new(path: PathBuf) -> BeatFile {
        let mut fresh = path.clone().into_os_string();
        fresh.push(".new");
        BeatFile {
            path,
            fresh: fresh.into(),
            is_due: true,
        }
    }

    /// Sets the time of the file, and its content where that is new.
    ///
    /// A full disk has no room for new content, but for a new time: the heartbeat goes on there, with the old content
    /// or with none. That is an error all the same.
    fn beat(&mut self, text: &str, is_new: bool) -> io::Result<()> {
        self.is_due |= is_new;
        if !self.is_due && touch(&self.path, false).is_ok() {
            return Ok(());
        }
        self.is_due = true;
        let written = fs::write(&self.fresh, text).and_then(|()| fs::rename(&self.fresh, &self.path));
        if written.is_ok() {
            self.is_due = false;
        } else {
            // Neither needs to work: the first error says what is wrong.
            let _ = fs::remove_file(&self.fresh);
            let _ = touch(&self.path, true);
        }
        written
    }
}

fn touch(path: &Path, create: bool) -> io::Result<()> {
    File::options()
        .write(true)
        .create(create)
        .truncate(false)
        .open(path)?
        .set_modified(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use tempfile::TempDir;

    use super::*;
    use crate::observe::snapshot::{PartitionState, PartitionView};
    use crate::util::notify::Notify;

    const GRACE: Duration = Duration::from_secs(8);

    /// Beats to a file, and to a service manager.
    struct Scene {
        beats: Beats,
        manager: UnixDatagram,
        stop: Stop,
        folder: TempDir,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notify = Notify::to(folder.path().join("notify").as_os_str()).unwrap();
        let file = BeatFile::new(folder.path().join("heartbeat"));
        Scene {
            beats: Beats::new(Some(file), Path::new("/etc/penstock/events.toml"), Some(notify), GRACE),
            manager,
            stop: Stop::new(),
            folder,
        }
    }

    impl Scene {
        fn path(&self) -> PathBuf {
            self.folder.path().join("heartbeat")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.path()).unwrap()
        }

        /// One beat this long `after` the snapshot: whether the file's time moved, and the lines for the manager.
        fn beat(&mut self, snapshot: &Snapshot, after: Duration) -> (bool, Vec<String>) {
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            if let Ok(file) = File::options().write(true).open(self.path()) {
                file.set_modified(old).unwrap();
            }
            self.beats.beat(snapshot, snapshot.at + after, &self.stop);
            let moved = fs::metadata(self.path()).is_ok_and(|file| file.modified().unwrap() > old);
            (moved, self.told())
        }

        /// All lines that the manager was sent, except the state's sentence.
        fn told(&self) -> Vec<String> {
            let mut lines = Vec::new();
            let mut bytes = [0; 4096];
            while let Ok(length) = self.manager.recv(&mut bytes) {
                let text = std::str::from_utf8(&bytes[..length]).unwrap();
                lines.extend(text.lines().map(str::to_owned));
            }
            lines.retain(|line| !line.starts_with("STATUS=ok"));
            lines
        }
    }

    fn running() -> Snapshot {
        Snapshot {
            stage: Stage::Running,
            state: "ok",
            ..Snapshot::starting()
        }
    }

    fn with_partition(state: PartitionState) -> Snapshot {
        let partition = PartitionView {
            topic: "events".into(),
            number: 3,
            state,
            why: String::new(),
            next_offset: None,
            lag: None,
            oldest_in_hand: None,
        };
        Snapshot {
            partitions: vec![partition],
            ..running()
        }
    }

    const NONE: Duration = Duration::ZERO;
    const MORE: Duration = Duration::from_millis(1);

    #[test]
    fn it_beats_for_every_known_reason_to_wait_and_not_for_a_stalled_partition() {
        for state in PartitionState::ALL {
            let mut scene = scene();
            let (moved, told) = scene.beat(&with_partition(state), NONE);
            let is_well = state != PartitionState::Stalled;
            assert_eq!(moved, is_well, "{state:?}");
            assert_eq!(told.contains(&"WATCHDOG=1".to_owned()), is_well, "{state:?}: {told:?}");
        }
    }

    #[test]
    fn it_stands_still_while_a_partition_stalls_and_goes_on_afterwards() {
        let mut scene = scene();
        let stalled = with_partition(PartitionState::Stalled);
        assert_eq!(
            scene.beat(&running(), NONE),
            (true, vec!["WATCHDOG=1".to_owned(), "READY=1".to_owned()])
        );
        let (moved, told) = scene.beat(&stalled, NONE);
        assert!(
            !moved && told.len() == 1 && told[0].starts_with("STATUS=stands still: 1 of 1 partitions "),
            "{told:?}"
        );
        assert_eq!(scene.beat(&stalled, NONE), (false, Vec::new()));
        assert_eq!(scene.beat(&running(), NONE), (true, vec!["WATCHDOG=1".to_owned()]));
    }

    #[test]
    fn a_main_thread_that_stands_still_stops_it() {
        let mut scene = scene();
        assert!(scene.beat(&running(), health::SNAPSHOT_AGE_MAX).0);
        assert!(!scene.beat(&running(), health::SNAPSHOT_AGE_MAX + MORE).0);
    }

    #[test]
    fn a_start_beats_however_long_it_takes_and_systemd_waits_for_it() {
        let mut scene = scene();
        let starting = Snapshot::starting();
        for after in [NONE, 100 * health::SNAPSHOT_AGE_MAX] {
            let (moved, told) = scene.beat(&starting, after);
            assert!(moved);
            assert_eq!(told[..2], ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=30000000"], "{told:?}");
        }
        assert_eq!(scene.beat(&running(), NONE).1, ["WATCHDOG=1", "READY=1"]);
        // Another start of a running service, for a topic that was created again.
        assert_eq!(scene.beat(&starting, NONE).1[..1], ["WATCHDOG=1"]);
        assert_eq!(scene.beat(&running(), NONE).1, ["WATCHDOG=1"]);
    }

    #[test]
    fn an_end_beats_for_as_long_as_it_may_take_and_only_a_stop_is_told() {
        let draining = Snapshot {
            stage: Stage::Draining,
            ..running()
        };
        let mut scene = scene();
        let (moved, told) = scene.beat(&draining, GRACE + END_MARGIN);
        assert!(
            moved && told[0] == "WATCHDOG=1" && !told.contains(&"STOPPING=1".to_owned()),
            "{told:?}"
        );
        assert!(!scene.beat(&draining, GRACE + END_MARGIN + MORE).0);
        scene.stop.request(StopKind::Drain);
        assert!(scene.beat(&draining, NONE).1.contains(&"STOPPING=1".to_owned()));
        assert!(!scene.beat(&draining, NONE).1.contains(&"STOPPING=1".to_owned()));
    }

    #[test]
    fn an_end_that_was_asked_for_may_take_as_long_as_the_grace() {
        let draining = Snapshot {
            stage: Stage::Draining,
            ..running()
        };
        let mut scene = scene();
        scene.beat(&running(), NONE);
        let extension = "EXTEND_TIMEOUT_USEC=30000000".to_owned();
        assert!(
            !scene.beat(&draining, NONE).1.contains(&extension),
            "it joins its group anew"
        );
        scene.stop.request(StopKind::Drain);
        assert!(scene.beat(&draining, NONE).1.contains(&extension));
        assert!(scene.beat(&draining, GRACE + END_MARGIN).1.contains(&extension));
        assert!(!scene.beat(&draining, GRACE + END_MARGIN + MORE).1.contains(&extension));
    }

    #[test]
    fn what_a_busy_manager_did_not_take_is_told_again() {
        let mut scene = scene();
        let notify = Notify::to(scene.folder.path().join("notify").as_os_str()).unwrap();
        let fill = || while notify.send("WATCHDOG=1").is_ok() {};
        fill();
        scene.beats.beat(&running(), Instant::now(), &scene.stop);
        assert!(!scene.told().contains(&"READY=1".to_owned()), "its queue was full");
        assert!(scene.beat(&running(), NONE).1.contains(&"READY=1".to_owned()));
        assert!(!scene.beat(&running(), NONE).1.contains(&"READY=1".to_owned()));
        fill();
        scene.stop.request(StopKind::Drain);
        scene.beats.beat(&running(), Instant::now(), &scene.stop);
        scene.told();
        scene.beats.end();
        assert!(scene.told().contains(&"STOPPING=1".to_owned()));
    }

    #[test]
    fn the_sentence_changes_with_its_reason() {
        let mut scene = scene();
        let waiting = |why: &str| Snapshot {
            why: why.to_owned(),
            ..Snapshot::starting()
        };
        for why in ["for Kafka", "for Aerospike"] {
            let told = scene.beat(&waiting(why), NONE).1;
            assert_eq!(told[2..], [format!("STATUS=starting: {why}")]);
            assert_eq!(scene.beat(&waiting(why), NONE).1.len(), 2, "not again");
        }
    }

    #[test]
    fn the_file_says_who_beats_and_in_which_state() {
        let mut scene = scene();
        scene.beat(&Snapshot::starting(), NONE);
        let lines: Vec<String> = scene.text().lines().map(str::to_owned).collect();
        assert_eq!(
            lines[..4],
            [
                format!("pid={}", process::id()),
                format!("version={}", env!("CARGO_PKG_VERSION")),
                "config=/etc/penstock/events.toml".to_owned(),
                "state=starting".to_owned(),
            ]
        );
        assert!(
            lines[4].starts_with("since=20") && lines[4].ends_with('Z'),
            "{}",
            lines[4]
        );
        assert_eq!(lines.len(), 5);
        scene.beat(&running(), NONE);
        assert!(scene.text().contains("\nstate=ok\n"), "{}", scene.text());
        assert!(!scene.beats.file.as_ref().unwrap().fresh.exists());
    }

    #[test]
    fn a_file_that_somebody_removes_comes_back() {
        let mut scene = scene();
        scene.beat(&running(), NONE);
        fs::remove_file(scene.path()).unwrap();
        scene.beat(&running(), NONE);
        assert!(scene.text().contains("\nstate=ok\n"), "{}", scene.text());
    }

    #[test]
    fn where_nothing_can_be_written_the_time_moves_all_the_same() {
        let mut scene = scene();
        scene.beat(&running(), NONE);
        // As on a full disk, there is no way to write another file.
        fs::create_dir(scene.folder.path().join("heartbeat.new")).unwrap();
        let starting = Snapshot::starting();
        assert!(scene.beat(&starting, NONE).0);
        assert!(
            scene.text().contains("\nstate=ok\n"),
            "the old content: {}",
            scene.text()
        );
        assert!(scene.beats.unwritable.last().is_some(), "a line says so");
        // Neither was there a file before.
        fs::remove_file(scene.path()).unwrap();
        assert!(scene.beat(&starting, NONE).0);
        fs::remove_dir(scene.folder.path().join("heartbeat.new")).unwrap();
        assert!(scene.beat(&starting, NONE).0);
        assert!(scene.text().contains("\nstate=starting\n"), "{}", scene.text());
    }

    #[test]
    fn at_the_end_the_file_is_gone_and_systemd_knows() {
        let mut scene = scene();
        scene.beat(&running(), NONE);
        scene.told();
        scene.beats.end();
        assert!(!scene.path().exists());
        assert_eq!(scene.told(), ["STOPPING=1"]);
    }
}
