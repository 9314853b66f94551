//! The control port: accepts faults and questions as lines of text, for a simulator in another process.
//!
//! One line in; out comes `ok`, an answer, or `error: …`. Only `get` and `help` answer with several lines. The caller
//! must bind it to loopback; it has no login.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::auth::Auth;
use super::engine::Engine;
use super::faults::{EarlyEnd, Faults, Stalled};
use super::msgpack::Value;
use super::nodes::{Gone, Join, Leave, Nodes};
use super::random::Share;
use super::stats::Stats;
use super::wire::code;
use super::{RecordKey, find_record, shown};

/// The commands of the control port, one per line.
pub const COMMANDS: &str = "\
delay 50ms             each message and info request waits so long; `delay 0ms` ends it
stall [applied]        read, never answer; with `applied` what arrives takes effect nonetheless
unstall                answer again; what was stalled stays unanswered
refuse | accept        close connections, now and at once when they come; accept them again
reset [N]              the next N (1) messages are applied, no row is answered, and the connection closed
silence [N|20%]        the next N (1) messages, or a share of them, are applied and not answered; `silence 0` ends it
lose [N|20%]           they are neither applied nor answered
late [N|20%] [500ms]   they are not answered and take effect so much later, or at `release-late`
release-late           what is held back late takes effect, in the order it arrived; answers how many messages
held-late              how many messages are held back late
slow N|20% 50ms        they are applied at once and answered up to so much later
end CODE N|20% ROWS [50%]  batches are answered for so many rows and closed with CODE; of the rest, so much is applied
rows CODE 20%|N        refuse a share of the rows that write, or the next N
reads CODE 20%|N       the same for rows that only read
busy 20%|N             the same as `rows 14`
records CODE 20% [SEED]  refuse every row that writes to a share of all records, always the same ones
batches CODE 20%|N     refuse whole batches with one header
stop-writes on|off     writes answer 8, in every namespace
namespace NAME SETTING VALUE  default-ttl, nsup-period, allow-ttl-without-nsup, max-record-size, stop-writes (true, false)
                       hwm-breached, strong-consistency (true, false): only said
seed N                 start the generator of shares and races anew
clear                  end every fault; what is held back late never takes effect
at NODE COMMAND        one of the commands above at one node (A1, B2, C3): a fault, `clear`, `release-late`; or `stats`
unowned CODE|proxy     a node refuses rows of partitions it does not have; or passes them on again
nodes                  name, address, here or away, and how many partitions, of each node
leave NODE [lossy] [silent] [500ms]  a node is gone: its port refuses, or with `silent` nothing is answered; with `lossy`
                       the records it was master of are gone too; the others notice it so much later (1500ms)
join NODE [elsewhere] [500ms]  it is back, at its address or at another, and so much later (0ms) in the cluster
settle NODE            what `leave` and `join` said is to happen later, happens now
announce NODE ADDRESSES|own  it says that it is there (host:port, at commas); or where it listens
announce-alternate NODE ADDRESSES|none  the same of its alternate addresses
login user NAME PASSWORD  clients must log in as this user; all sessions are over
login password NAME PASSWORD  the same, and connections that have logged in go on
login none [52]        no security: a login is answered with 51, or with 52
login refuse CODE      every login is refused with this code (60 to 65, 82); all sessions are over
login accept           logins are looked at again
login anew             all sessions are over
restart-empty          forget every record and close the connections
advance-clock SECONDS  let records expire
stats                  counters, on one line
count NAMESPACE SET    live records
get NAMESPACE SET KEY  one record: generation, seconds to live, bins. SET - is no set. KEY is a string; one of digits
                       finds the record with that number as its key, too
help                   this";

const COMMAND_BYTES_MAX: u64 = 4096;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends one command to the control port at `addr` and returns the answer.
pub fn command(addr: SocketAddr, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("{command}\n").as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    Ok(io::read_to_string(stream)?.trim_end().to_owned())
}

pub(super) fn converse(nodes: &Nodes, mut stream: TcpStream) {
    let Ok(input) = stream.try_clone() else { return };
    let mut input = BufReader::new(io::Read::take(input, COMMAND_BYTES_MAX));
    let mut line = String::new();
    while matches!(input.read_line(&mut line), Ok(1..)) {
        let answer = match obey(nodes, line.trim()) {
            Ok(answer) => format!("{answer}\n"),
            Err(fault) => format!("error: {fault}\n"),
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            break;
        }
        line.clear();
        input.get_mut().set_limit(COMMAND_BYTES_MAX);
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn obey(nodes: &Nodes, line: &str) -> Result<String, String> {
    // Anything that does not belong to one node is the same at every node.
    let engine = &nodes.engines[0];
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["at", node, "stats"] => return Ok(stats(&find(nodes, node)?.counters.snapshot())),
        ["at", node, fault @ ..] => return obey_fault(find(nodes, node)?.faults.own(), fault, line),
        ["nodes"] => return Ok(describe(nodes)),
        ["leave", node, how @ ..] => {
            let number = find(nodes, node)?.node.number;
            nodes.leave(number, leave(how)?).map_err(|error| error.to_string())?;
        }
        ["join", node, how @ ..] => {
            let number = find(nodes, node)?.node.number;
            nodes.join(number, join(how)?).map_err(|error| error.to_string())?;
        }
        ["settle", node] => {
            let engine = find(nodes, node)?;
            engine.cluster.settle(engine.node.number);
        }
        ["announce", node, "own"] => find(nodes, node)?.node.presence.announce(None),
        ["announce", node, addresses] => find(nodes, node)?.node.presence.announce(Some(addresses)),
        ["announce-alternate", node, "none"] => find(nodes, node)?.node.presence.announce_alternate(""),
        ["announce-alternate", node, addresses] => find(nodes, node)?.node.presence.announce_alternate(addresses),
        ["login", "user", name, password] => {
            let set = nodes.auths().try_for_each(|auth| auth.set_user(name, password));
            set.map_err(|error| error.to_string())?;
        }
        ["login", "password", name, password] => {
            let set = nodes.auths().try_for_each(|auth| auth.set_password(name, password));
            set.map_err(|error| error.to_string())?;
        }
        ["login", "none"] => nodes
            .auths()
            .for_each(|auth| auth.remove_user(code::SECURITY_NOT_SUPPORTED)),
        ["login", "none", without] => {
            let without = number(without)?;
            nodes.auths().for_each(|auth| auth.remove_user(without));
        }
        ["login", "refuse", code] => {
            let code = number(code)?;
            nodes.auths().for_each(|auth| {
                auth.refuse(Some(code));
                auth.end_sessions();
            });
        }
        ["login", "accept"] => nodes.auths().for_each(|auth| auth.refuse(None)),
        ["login", "anew"] => nodes.auths().for_each(Auth::end_sessions),
        ["namespace", namespace, name, value] => {
            let found = engine.store.namespace(namespace.as_bytes());
            let found = found.ok_or(format!("no namespace {namespace:?}"))?;
            found.config.write().set(name, value)?;
        }
        ["restart-empty"] => nodes.restart_empty(),
        ["advance-clock", seconds] => engine.store.advance_clock(number(seconds)?),
        ["stats"] => return Ok(stats(&nodes.stats())),
        ["count", namespace, set] => return count(engine, namespace, set),
        ["get", namespace, set, _, ..] => return get(engine, namespace, set, behind(line, 3)),
        ["help"] => return Ok(COMMANDS.to_owned()),
        fault => return obey_fault(engine.faults.cluster(), fault, line),
    }
    Ok("ok".to_owned())
}

/// The commands that can be given for one node or for all.
fn obey_fault(faults: &Faults, words: &[&str], line: &str) -> Result<String, String> {
    match words {
        ["delay", delay] => faults.delay(duration(delay)?),
        ["stall"] => faults.stall(Stalled::Dropped),
        ["stall", "applied"] => faults.stall(Stalled::Applied),
        ["unstall"] => faults.unstall(),
        ["refuse"] => faults.refuse(true),
        ["accept"] => faults.refuse(false),
        ["reset"] => faults.reset_next(1),
        ["reset", messages] => faults.reset_next(number(messages)?),
        ["silence"] => faults.silence_next(1),
        ["silence", struck] => faults.silence(share(struck)?),
        ["lose"] => faults.lose(Share::Next(1)),
        ["lose", struck] => faults.lose(share(struck)?),
        ["late"] => faults.late_next(1),
        ["late", struck] => faults.late(share(struck)?),
        ["late", struck, after] => faults.late_after(share(struck)?, duration(after)?),
        ["held-late"] => return Ok(faults.held_late().to_string()),
        ["release-late"] => return Ok(faults.release_late().to_string()),
        ["slow", struck, longest] => faults.slow_answers(share(struck)?, duration(longest)?),
        ["end", code, struck, rows] => faults.end_batches(share(struck)?, end(code, rows, "0%")?),
        ["end", code, struck, rows, applied] => faults.end_batches(share(struck)?, end(code, rows, applied)?),
        ["rows", code, struck] => faults.fail_rows(number(code)?, share(struck)?),
        ["reads", code, struck] => faults.fail_reads(number(code)?, share(struck)?),
        ["batches", code, struck] => faults.fail_batches(number(code)?, share(struck)?),
        ["busy", struck] => faults.busy(share(struck)?),
        ["records", code, part] => faults.refuse_records(number(code)?, fraction(part)?, 0),
        ["records", code, part, seed] => faults.refuse_records(number(code)?, fraction(part)?, number(seed)?),
        ["stop-writes", "on"] => faults.stop_writes(true),
        ["stop-writes", "off"] => faults.stop_writes(false),
        ["unowned", "proxy"] => faults.refuse_unowned(None),
        ["unowned", code] => faults.refuse_unowned(Some(number(code)?)),
        ["seed", seed] => faults.seed(number(seed)?),
        ["clear"] => faults.clear(),
        _ => return Err(format!("no such command: {line:?} (help lists them)")),
    }
    Ok("ok".to_owned())
}

fn find<'n>(nodes: &'n Nodes, name: &str) -> Result<&'n Engine, String> {
    let found = nodes.engines.iter().find(|engine| engine.node.name == name);
    found
        .map(AsRef::as_ref)
        .ok_or_else(|| format!("no node {name:?} (nodes lists them)"))
}

fn leave(words: &[&str]) -> Result<Leave, String> {
    let mut how = Leave::default();
    for word in words {
        match *word {
            "lossy" => how.lossy = true,
            "silent" => how.gone = Gone::Silent,
            unnoticed => how.unnoticed = duration(unnoticed)?,
        }
    }
    Ok(how)
}

fn join(words: &[&str]) -> Result<Join, String> {
    let mut how = Join::default();
    for word in words {
        match *word {
            "elsewhere" => how.elsewhere = true,
            after => how.after = duration(after)?,
        }
    }
    Ok(how)
}

fn describe(nodes: &Nodes) -> String {
    let describe = |engine: &std::sync::Arc<Engine>| {
        let node = &engine.node;
        let state = if node.presence.is_here() { "here" } else { "away" };
        let partitions = engine.cluster.view().mastered(node.number);
        format!("{}={} {state} partitions={partitions}", node.name, node.presence.addr())
    };
    let described: Vec<String> = nodes.engines.iter().map(describe).collect();
    described.join("; ")
}

fn number<N: std::str::FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("not a number that fits: {word:?}"))
}

fn duration(word: &str) -> Result<Duration, String> {
    if let Some(millis) = word.strip_suffix("ms") {
        return number(millis).map(Duration::from_millis);
    }
    match word.strip_suffix('s') {
        Some(seconds) => number(seconds).map(Duration::from_secs),
        None => Err(format!("not a duration: {word:?} (50ms, 2s)")),
    }
}

fn share(word: &str) -> Result<Share, String> {
    if word.ends_with('%') {
        fraction(word).map(Share::Fraction)
    } else {
        number(word).map(Share::Next)
    }
}

fn fraction(word: &str) -> Result<f64, String> {
    let percent = word.strip_suffix('%').and_then(|percent| percent.parse().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("not a share: {word:?} (20%)")),
    }
}

fn end(code: &str, rows: &str, applied: &str) -> Result<EarlyEnd, String> {
    Ok(EarlyEnd {
        rows_answered: number(rows)?,
        applied: fraction(applied)?,
        code: number(code)?,
    })
}

fn stats(stats: &Stats) -> String {
    let results: Vec<String> = stats
        .results
        .iter()
        .map(|(code, times)| format!("{code}:{times}"))
        .collect();
    format!(
        "messages={} batches={} batches_refused={} rows={} biggest_batch={} singles={} reads={} writes={} deletes={} \
         filtered={} duplicate_rows={} unowned={} proxied={} connections={} logins={} logins_refused={} results={}",
        stats.messages,
        stats.batches,
        stats.batches_refused,
        stats.rows,
        stats.biggest_batch,
        stats.singles,
        stats.reads,
        stats.writes,
        stats.deletes,
        stats.filtered,
        stats.duplicate_rows,
        stats.unowned,
        stats.proxied,
        stats.connections,
        stats.logins,
        stats.logins_refused,
        results.join(",")
    )
}

fn count(engine: &Engine, namespace: &str, set: &str) -> Result<String, String> {
    let found = engine
        .store
        .namespace(namespace.as_bytes())
        .ok_or(format!("no namespace {namespace:?}"))?;
    let now = engine.store.now();
    let set = found.find_set(set.as_bytes());
    let mut live = 0u64;
    found.for_each(|_, record| live += u64::from(Some(record.set) == set && !record.is_expired(now)));
    Ok(live.to_string())
}

/// What stands behind the first `words` words of a line: a key may have spaces in it.
fn behind(line: &str, words: usize) -> &str {
    (0..words).fold(line, |rest, _| {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest[end..].trim_start()
    })
}

fn get(engine: &Engine, namespace: &str, set: &str, key: &str) -> Result<String, String> {
    if engine.store.namespace(namespace.as_bytes()).is_none() {
        return Err(format!("no namespace {namespace:?}"));
    }
    let set = if set == "-" { "" } else { set };
    let number = key
        .parse()
        .ok()
        .map(|number| (RecordKey::Int(number), Value::Int(number)));
    let keys = [Some((RecordKey::Str(key), Value::Str(key.to_owned()))), number];
    let found: Vec<String> = keys
        .iter()
        .flatten()
        .filter_map(|(key, told)| {
            let record = find_record(&engine.store, namespace, set, *key)?;
            Some(shown::record(namespace, set, told, &record))
        })
        .collect();
    match found.as_slice() {
        [] => Err(format!("no such record: {} {key:?}", shown::target(namespace, set))),
        found => Ok(found.join("\n")),
    }
}
