//! Whether all nodes of the cluster are reached: compares what the nodes say of each other with the nodes that the
//! client has.
//!
//! A node announces its own address (`access-address`), and clients get it from the other nodes (`peers-clear-std`, or
//! `peers-clear-alt` with `aerospike.use_services_alternate`). Behind Docker or a NAT this address may be unreachable.
//! Then the client continues with the nodes that it has (`aerospike-core` 3.0.0, `cluster/mod.rs`, `seed_nodes`), and
//! has no node for the partitions of the others. This module asks the nodes that are reached. It then connects to the
//! announced addresses of the others, to find out why they are not reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::thread;

use base64::Engine as _;

use super::ask::{Answers, Manner, Place, Silence, Stranger, ask};
use super::tls::Trouble;

/// Number of partitions in every namespace.
const PARTITIONS: usize = 4096;
/// A line names at most this many addresses of one node.
const ADDRESSES_MAX: usize = 3;
/// A line names at most this many nodes.
const NODES_MAX: usize = 5;
/// At most this many addresses are asked at once.
const ASKED_AT_ONCE: usize = 16;

/// The names of the questions for the other nodes' addresses: the ordinary ones, and the alternate ones.
fn peers_questions(has_tls: bool) -> [&'static str; 2] {
    match has_tls {
        false => ["peers-clear-std", "peers-clear-alt"],
        true => ["peers-tls-std", "peers-tls-alt"],
    }
}

/// The login and the options of a look.
#[derive(Clone)]
pub struct Asking {
    pub manner: Manner,
    pub use_services_alternate: bool,
    /// Each partition of these namespaces must have a node.
    pub namespaces: Vec<String>,
}

/// The result of a look.
#[derive(Debug, Default)]
pub struct Look {
    /// Number of nodes that answered.
    pub answered: usize,
    /// The asked addresses at which nodes refused us, and their codes.
    pub refusals: Vec<(String, u8)>,
    /// Asked addresses at which something other than an Aerospike node answers.
    pub strangers: Vec<(String, Stranger)>,
    /// Asked addresses where TLS fails, and why.
    pub troubles: Vec<(String, Trouble)>,
    /// Asked addresses that do not answer, and why.
    pub silent: Vec<(String, String)>,
    /// A login was sent, but a server has security switched off.
    pub is_security_off: bool,
    pub gaps: Gaps,
}

/// The gaps in the connection to the cluster.
#[derive(Debug, Default)]
pub struct Gaps {
    pub use_services_alternate: bool,
    /// The nodes are reached with TLS.
    pub has_tls: bool,
    /// Number of nodes that are reached, and of nodes in the cluster.
    pub reached: usize,
    pub size: usize,
    pub nodes: Vec<Unreached>,
    /// How many other nodes of the cluster announce no address to clients like us: with TLS, or without.
    pub nameless: usize,
    /// Namespaces, with the number of partitions that no reached node has.
    pub holes: Vec<(String, usize)>,
}

/// A node of the cluster that is not reached.
#[derive(Debug)]
pub struct Unreached {
    pub name: String,
    /// The addresses that it announces, and why it is not reached there.
    pub addresses: Vec<(String, String)>,
    /// The node answers at one of them.
    pub is_there: bool,
    /// Its addresses of the other kind: alternate ones or, with `use_services_alternate`, ordinary ones.
    pub others: Vec<String>,
}

impl Gaps {
    pub fn is_whole(&self) -> bool {
        self.nodes.is_empty() && self.nameless == 0 && self.holes.is_empty()
    }

    /// Splits it: one for each node that is not reached, and one for the rest.
    pub fn each(self) -> Vec<Gaps> {
        let of = |nodes| Gaps {
            use_services_alternate: self.use_services_alternate,
            has_tls: self.has_tls,
            reached: self.reached,
            size: self.size,
            nodes,
            ..Gaps::default()
        };
        let mut each: Vec<Gaps> = self.nodes.into_iter().map(|node| of(vec![node])).collect();
        if self.nameless > 0 || !self.holes.is_empty() {
            each.push(Gaps {
                nameless: self.nameless,
                holes: self.holes,
                ..of(Vec::new())
            });
        }
        each
    }

    fn kind(&self) -> &'static str {
        match self.has_tls {
            false => "without TLS",
            true => "with TLS",
        }
    }

    /// What a person can do about nodes that are not reached.
    pub fn cure(&self) -> String {
        if self.nodes.is_empty() && self.nameless > 0 {
            return format!("give each node an address {}", self.kind());
        }
        if self.nodes.is_empty() {
            return "look at the cluster: its nodes have to be up and agree".to_owned();
        }
        // If a node answers, its own address needs no correction.
        let wrong: Vec<&Unreached> = self.nodes.iter().filter(|node| !node.is_there).collect();
        if wrong.is_empty() {
            return "its address is right: wait, and correct those of the other nodes if there are wrong ones"
                .to_owned();
        }
        let names = listed(wrong.iter().map(|node| node.name.as_str()), NODES_MAX);
        let others: Vec<&str> = wrong.iter().flat_map(|node| &node.others).map(String::as_str).collect();
        if !self.use_services_alternate {
            return match others.as_slice() {
                [] => format!(
                    "correct access-address in the configuration of {names}, or give each node an alternate-access-address \
                     and set aerospike.use_services_alternate = true"
                ),
                others => format!(
                    "set aerospike.use_services_alternate = true (the alternate addresses are {}), or correct access-address \
                     in the configuration of {names}",
                    listed(others.iter().copied(), NODES_MAX)
                ),
            };
        }
        if wrong.iter().all(|node| node.addresses.is_empty()) {
            return format!(
                "remove aerospike.use_services_alternate (the ordinary addresses are {}), or set alternate-access-address in the \
                 configuration of {names}",
                listed(others.into_iter(), NODES_MAX)
            );
        }
        format!(
            "correct alternate-access-address in the configuration of {names}, or remove aerospike.use_services_alternate"
        )
    }
}

fn listed<'s>(mut words: impl Iterator<Item = &'s str>, most: usize) -> String {
    let shown: Vec<&str> = words.by_ref().take(most).collect();
    let more = words.count();
    let mut text = shown.join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

impl Unreached {
    /// What the node announces, and why that does not work.
    pub fn why(&self, use_services_alternate: bool) -> String {
        match self.addresses.as_slice() {
            [] if use_services_alternate => format!("node {} announces no alternate address", self.name),
            [] => format!("node {} announces no address", self.name),
            addresses => {
                let described: Vec<String> = addresses
                    .iter()
                    .take(ADDRESSES_MAX)
                    .map(|(address, why)| format!("{address}, {why}"))
                    .collect();
                format!("node {} says its address is {}", self.name, described.join(", or "))
            }
        }
    }
}

/// The text without the cure.
impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unreached = self.nodes.len() + self.nameless;
        if unreached > 0 {
            write!(f, "{} of the cluster's {} nodes reached", self.reached, self.size)?;
            for node in self.nodes.iter().take(NODES_MAX) {
                write!(f, "; {}", node.why(self.use_services_alternate))?;
            }
            if self.nodes.len() > NODES_MAX {
                write!(f, "; and {} more nodes", self.nodes.len() - NODES_MAX)?;
            }
            if self.nameless > 0 {
                write!(f, "; {} node(s) announce no address {}", self.nameless, self.kind())?;
            }
            return Ok(());
        }
        let holes: Vec<String> = self
            .holes
            .iter()
            .map(|(namespace, count)| {
                format!("no node has {count} of the {PARTITIONS} partitions of the namespace {namespace}")
            })
            .collect();
        f.write_str(&holes.join("; "))
    }
}

/// Asks the nodes at `addresses` about their cluster, and connects to the addresses of nodes that are not among them.
/// Nodes with these `names` count as reached, whether they answer now or not. Blocks: mostly for milliseconds, but for
/// some seconds if an address does not answer.
pub fn look(addresses: &[Place], names: &[String], asking: &Asking) -> Look {
    let has_tls = asking.manner.tls.is_some();
    let [ordinary, alternate] = peers_questions(has_tls);
    let mut found = Look {
        gaps: Gaps {
            use_services_alternate: asking.use_services_alternate,
            has_tls,
            ..Gaps::default()
        },
        ..Look::default()
    };
    let mut told: Vec<Answers> = Vec::new();
    let questions = ["node", ordinary, alternate, "statistics", "replicas"];
    let answers = ask_each(addresses, &asking.manner, &questions);
    for (address, answer) in addresses.iter().map(|place| &place.address).zip(answers) {
        match answer {
            Ok(answers) => {
                found.is_security_off |= answers.is_security_off;
                told.push(answers);
            }
            Err(Silence::Refused(code)) => found.refusals.push((address.clone(), code)),
            Err(Silence::Strange(stranger)) => found.strangers.push((address.clone(), stranger)),
            Err(Silence::Tls(trouble)) => found.troubles.push((address.clone(), trouble)),
            Err(silence) => found.silent.push((address.clone(), silence.to_string())),
        }
    }
    found.answered = told.len();
    if told.is_empty() {
        return found;
    }
    let answering = told.iter().map(|answers| answers.get("node"));
    let reached: BTreeSet<&str> = answering.chain(names.iter().map(String::as_str)).collect();
    found.gaps.reached = reached.len();
    let (ours, theirs) = match asking.use_services_alternate {
        true => (alternate, ordinary),
        false => (ordinary, alternate),
    };
    let mut peers: BTreeMap<String, (Vec<Place>, Vec<String>)> = BTreeMap::new();
    for answers in &told {
        for (name, places) in parse_peers(answers.get(ours)) {
            peers.entry(name).or_default().0 = places;
        }
        for (name, places) in parse_peers(answers.get(theirs)) {
            let addresses = places.into_iter().map(|place| place.address);
            peers.entry(name).or_default().1 = addresses.collect();
        }
    }
    let known = peers.keys().map(String::as_str).chain(reached.iter().copied());
    let known = known.collect::<BTreeSet<_>>().len();
    let size = told
        .iter()
        .filter_map(|answers| cluster_size(answers.get("statistics")))
        .max();
    found.gaps.nameless = size.unwrap_or(0).saturating_sub(known);
    peers.retain(|name, _| !reached.contains(name.as_str()));
    let asked: Vec<Place> = peers.values().flat_map(|(places, _)| places.clone()).collect();
    let mut answers = ask_each(&asked, &asking.manner, &["node"]).into_iter();
    for (name, (places, others)) in peers {
        let addresses = places.into_iter().map(|place| place.address).zip(&mut answers);
        let answered: Vec<(String, Result<Answers, Silence>)> = addresses.collect();
        let is_own = |answer: &Result<Answers, Silence>| answer.as_ref().is_ok_and(|told| told.get("node") == name);
        let is_there = answered.iter().any(|(_, answer)| is_own(answer));
        let addresses = answered.into_iter();
        let addresses = addresses
            .map(|(address, answer)| (address, why_not(&name, answer)))
            .collect();
        found.gaps.nodes.push(Unreached {
            name,
            addresses,
            is_there,
            others,
        });
    }
    // The partitions of a node that is silent now are unknown.
    found.gaps.size = found.gaps.reached + found.gaps.nodes.len() + found.gaps.nameless;
    if found.gaps.is_whole() && told.len() == reached.len() {
        found.gaps.holes = holes(&told, &asking.namespaces);
    }
    found
}

fn why_not(name: &str, answer: Result<Answers, Silence>) -> String {
    match answer {
        Ok(answers) if answers.get("node") == name => {
            "where it answers, and the client has not taken it in yet".to_owned()
        }
        Ok(answers) => format!("where node {} answers", answers.get("node")),
        Err(silence) => silence.to_string(),
    }
}

fn ask_each(places: &[Place], manner: &Manner, names: &[&str]) -> Vec<Result<Answers, Silence>> {
    let mut answers = Vec::with_capacity(places.len());
    for some in places.chunks(ASKED_AT_ONCE) {
        thread::scope(|scope| {
            // All are started before the first one is awaited.
            let mut asked = Vec::with_capacity(some.len());
            for place in some {
                let thread = thread::Builder::new().name("aerospike-ask".into());
                asked.push(thread.spawn_scoped(scope, move || ask(place, manner, names)));
            }
            answers.extend(asked.into_iter().map(|thread| match thread {
                Ok(thread) => thread.join().unwrap_or(Err(Silence::Strange(Stranger::Unknown))),
                Err(error) => Err(Silence::Connect(error)),
            }));
        });
    }
    answers
}

pub(super) fn cluster_size(statistics: &str) -> Option<usize> {
    let value = |pair: &str| pair.strip_prefix("cluster_size=")?.parse().ok();
    statistics.split(';').find_map(value)
}

/// The names and addresses in `generation,default port,[[name,tls name,[address,…]],…]` (`service_list.c`,
/// `build_peers`). Parts in another form are left out.
pub(super) fn parse_peers(text: &str) -> Vec<(String, Vec<Place>)> {
    let mut parts = text.splitn(3, ',');
    let (Some(_), Some(port), Some(list)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let peer = |entry: &str| {
        let mut parts = inside(entry)?.splitn(3, ',');
        let (name, tls_name, addresses) = (parts.next()?, parts.next()?, parts.next()?);
        let addresses = split(inside(addresses)?)
            .into_iter()
            .filter(|address| !address.is_empty());
        Some((
            name.to_owned(),
            addresses
                .map(|address| Place {
                    address: with_port(address, port),
                    tls_name: (!tls_name.is_empty()).then(|| tls_name.to_owned()),
                })
                .collect(),
        ))
    };
    split(inside(list).unwrap_or_default())
        .into_iter()
        .filter_map(peer)
        .collect()
}

fn with_port(address: &str, port: &str) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:{port}")
    }
}

fn inside(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// Splits at the commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts
}

/// For each namespace, how many partitions have none of these nodes as master (`replicas`:
/// `name:regime,copies,bitmap,…;…`; the first bitmap is for masters). A namespace that no node has is skipped.
pub(super) fn holes(told: &[Answers], namespaces: &[String]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for namespace in namespaces {
        let mut has = [0u8; PARTITIONS / 8];
        let mut is_told = false;
        for answers in told {
            let entries = answers
                .get("replicas")
                .split(';')
                .filter_map(|entry| entry.split_once(':'));
            for (_, entry) in entries.filter(|(name, _)| name == namespace) {
                let bitmap = entry.split(',').nth(2).unwrap_or_default();
                let Ok(bitmap) = base64::engine::general_purpose::STANDARD.decode(bitmap) else {
                    return Vec::new();
                };
                is_told = true;
                has.iter_mut().zip(bitmap).for_each(|(has, bits)| *has |= bits);
            }
        }
        let count: u32 = has.iter().map(|bits| bits.count_zeros()).sum();
        if is_told && count > 0 {
            found.push((namespace.clone(), count as usize));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_as_the_server_writes_them() {
        let text = "12,3010,[[BB9,,[127.0.0.1:3109,db.example]],[BBA,tls,[[2018::1]:4000,[2018::2]]],[BBB,,[]]]";
        let named = |address: &str| Place {
            address: address.into(),
            tls_name: Some("tls".into()),
        };
        assert_eq!(
            parse_peers(text),
            [
                (
                    "BB9".to_owned(),
                    vec![Place::at("127.0.0.1:3109"), Place::at("db.example:3010")]
                ),
                ("BBA".to_owned(), vec![named("[2018::1]:4000"), named("[2018::2]:3010")]),
                ("BBB".to_owned(), vec![]),
            ]
        );
        assert_eq!(parse_peers("7,3000,[]"), []);
        assert_eq!(parse_peers("ERROR:4:unrecognized command"), []);
        assert_eq!(parse_peers(""), []);
    }

    #[test]
    fn partitions_that_no_reached_node_has_are_holes() {
        let answers = |masters: [u8; PARTITIONS / 8]| {
            let engine = base64::engine::general_purpose::STANDARD;
            let (masters, others) = (engine.encode(masters), engine.encode([0xff; PARTITIONS / 8]));
            Answers::of(&[("replicas", &format!("other:0,1,{others};test:7,2,{masters},{others}"))])
        };
        let namespaces = ["test".to_owned(), "absent".to_owned()];
        let (mut first, second) = ([0xf0; PARTITIONS / 8], [0x0f; PARTITIONS / 8]);
        assert_eq!(holes(&[answers(first), answers(second)], &namespaces), []);
        first[3] = 0x70;
        assert_eq!(
            holes(&[answers(first), answers(second)], &namespaces),
            [("test".to_owned(), 1)]
        );
        assert_eq!(holes(&[answers(second)], &namespaces), [("test".to_owned(), 2048)]);
    }

    fn unreached(name: &str, address: &[(&str, &str)], others: &[&str]) -> Unreached {
        Unreached {
            name: name.into(),
            addresses: address.iter().map(|(at, why)| ((*at).into(), (*why).into())).collect(),
            is_there: false,
            others: others.iter().map(|other| (*other).into()).collect(),
        }
    }

    #[test]
    fn a_node_that_answers_where_it_says_is_not_to_be_corrected() {
        let there = |name| Unreached {
            is_there: true,
            ..unreached(name, &[("10.1.1.3:3000", "where it answers")], &[])
        };
        let mut gaps = Gaps {
            reached: 1,
            size: 3,
            nodes: vec![
                unreached("B2", &[("10.1.1.1:3000", "where node A1 answers")], &[]),
                there("C3"),
            ],
            ..Gaps::default()
        };
        let cure = gaps.cure();
        assert!(
            cure.contains("in the configuration of B2, or") && !cure.contains("C3"),
            "{cure}"
        );
        gaps.nodes.remove(0);
        assert!(gaps.cure().starts_with("its address is right"), "{}", gaps.cure());
    }

    #[test]
    fn each_gap_names_its_node_its_address_and_its_own_cure() {
        let mut gaps = Gaps {
            reached: 1,
            size: 2,
            nodes: vec![unreached(
                "B2",
                &[("10.1.1.1:3000", "which does not answer")],
                &["127.0.0.1:3101"],
            )],
            ..Gaps::default()
        };
        assert_eq!(
            gaps.to_string(),
            "1 of the cluster's 2 nodes reached; node B2 says its address is 10.1.1.1:3000, which does not answer"
        );
        let cure = gaps.cure();
        assert!(
            cure.starts_with(
                "set aerospike.use_services_alternate = true (the alternate addresses are 127.0.0.1:3101)"
            ),
            "{cure}"
        );
        gaps.nodes[0].others.clear();
        assert!(
            gaps.cure()
                .starts_with("correct access-address in the configuration of B2"),
            "{}",
            gaps.cure()
        );
        gaps.use_services_alternate = true;
        gaps.nodes = vec![unreached("B2", &[], &["127.0.0.1:3101"])];
        assert!(
            gaps.to_string().ends_with("node B2 announces no alternate address"),
            "{gaps}"
        );
        assert!(
            gaps.cure().starts_with("remove aerospike.use_services_alternate"),
            "{}",
            gaps.cure()
        );
        gaps.nodes.clear();
        gaps.holes = vec![("test".into(), 1365)];
        assert_eq!(
            gaps.to_string(),
            "no node has 1365 of the 4096 partitions of the namespace test"
        );
    }

    // ---- looks at nodes

    use crate::aerospike::ask::fakes;

    fn asking(use_services_alternate: bool) -> Asking {
        Asking {
            manner: Manner::default(),
            use_services_alternate,
            namespaces: vec!["test".into()],
        }
    }

    /// A node with these peers (ordinary and alternate), in a cluster of `size` nodes.
    fn node(name: &str, peers: [&str; 2], size: usize, masters: u8) -> String {
        let bitmap = base64::engine::general_purpose::STANDARD.encode([masters; PARTITIONS / 8]);
        fakes::node(&[
            ("node", name),
            ("peers-clear-std", &format!("1,3000,[{}]", peers[0])),
            ("peers-clear-alt", &format!("1,3000,[{}]", peers[1])),
            ("statistics", &format!("x=1;cluster_size={size};y=2")),
            ("replicas", &format!("test:1,1,{bitmap}")),
        ])
    }

    fn places(addresses: &[String]) -> Vec<Place> {
        addresses.iter().map(Place::at).collect()
    }

    fn names_of(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn nodes_that_announce_no_address_are_counted() {
        let seen = [node("A1", ["", ""], 2, 0xf0), node("B2", ["", ""], 3, 0x0f)];
        let gaps = look(&places(&seen), &[], &asking(false)).gaps;
        assert_eq!((gaps.reached, gaps.nameless, gaps.size), (2, 1, 3));
        assert!(!gaps.is_whole());
        assert_eq!(
            gaps.to_string(),
            "2 of the cluster's 3 nodes reached; 1 node(s) announce no address without TLS"
        );
        assert_eq!(gaps.cure(), "give each node an address without TLS");
        let each = gaps.each();
        assert_eq!(each.len(), 1);
        assert_eq!((each[0].nameless, each[0].size), (1, 3));
    }

    #[test]
    fn the_addresses_that_the_client_uses_are_looked_at_and_the_others_proposed() {
        let (nobody, elsewhere) = (fakes::nobody(), "192.0.2.1:3000");
        for use_services_alternate in [false, true] {
            let (ours, theirs) = (format!("[B2,,[{nobody}]]"), format!("[B2,,[{elsewhere}]]"));
            let peers: [&str; 2] = match use_services_alternate {
                false => [&ours, &theirs],
                true => [&theirs, &ours],
            };
            let gaps = look(
                &places(&[node("A1", peers, 2, 0xff)]),
                &[],
                &asking(use_services_alternate),
            )
            .gaps;
            let [unreached] = &gaps.nodes[..] else {
                panic!("{gaps:?}")
            };
            assert_eq!(
                unreached.addresses,
                [(nobody.clone(), "which refuses the connection".to_owned())]
            );
            assert_eq!(unreached.others, [elsewhere]);
            assert_eq!((gaps.nameless, gaps.size), (0, 2));
        }
    }

    #[test]
    fn what_answers_at_a_nodes_address_is_told_by_its_name() {
        let other = node("C3", ["", ""], 1, 0xff);
        let gaps = look(
            &places(&[node("A1", [&format!("[B2,,[{other}]]"), ""], 2, 0xff)]),
            &[],
            &asking(false),
        )
        .gaps;
        assert_eq!(gaps.nodes[0].addresses[0].1, "where node C3 answers");
        let own = node("B2", ["", ""], 2, 0xff);
        let seen = [node("A1", [&format!("[B2,,[{own}]]"), ""], 2, 0xff)];
        let gaps = look(&places(&seen), &[], &asking(false)).gaps;
        assert_eq!(
            gaps.nodes[0].addresses[0].1,
            "where it answers, and the client has not taken it in yet"
        );
        // The client has it.
        let gaps = look(&places(&seen), &names_of(&["A1", "B2"]), &asking(false)).gaps;
        assert!(gaps.is_whole(), "{gaps}");
        assert_eq!((gaps.reached, gaps.size), (2, 2));
    }

    #[test]
    fn holes_are_told_only_where_all_nodes_say_what_they_have() {
        let seen = [node("A1", ["", ""], 1, 0xf0)];
        let gaps = look(&places(&seen), &[], &asking(false)).gaps;
        assert_eq!(gaps.holes, [("test".to_owned(), 2048)]);
        let gaps = look(&places(&seen), &names_of(&["A1", "B2"]), &asking(false)).gaps;
        assert_eq!(gaps.holes, [], "B2 is silent, and may have them");
        let both = [seen[0].clone(), node("B2", ["", ""], 1, 0x0f)];
        assert!(look(&places(&both), &[], &asking(false)).gaps.is_whole());
    }

    #[test]
    fn many_nodes_that_are_not_reached_are_told_in_few_words() {
        let peers: Vec<String> = (0..7).map(|n| format!("[N{n},,[{}]]", fakes::nobody())).collect();
        let gaps = look(
            &places(&[node("A1", [&peers.join(","), ""], 8, 0xff)]),
            &[],
            &asking(false),
        )
        .gaps;
        assert_eq!(gaps.nodes.len(), 7);
        assert!(gaps.to_string().ends_with("; and 2 more nodes"), "{gaps}");
        assert!(
            gaps.cure().contains("N0, N1, N2, N3, N4 and 2 more,"),
            "{}",
            gaps.cure()
        );
        assert_eq!(gaps.each().len(), 7);
    }

    #[test]
    fn whoever_refuses_or_is_no_node_is_told_apart_from_those_who_answer() {
        let refuses = fakes::port(&[fakes::frame(1, b"ERROR:80:not authenticated\n")]);
        let strange = fakes::port(&[b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]);
        let found = look(
            &places(&[refuses.clone(), strange.clone(), fakes::nobody()]),
            &[],
            &asking(false),
        );
        assert_eq!((found.answered, found.refusals), (0, vec![(refuses, 80)]));
        assert_eq!(found.strangers, [(strange, Stranger::Web)]);
    }
}
