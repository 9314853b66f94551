//! Turns a frame into its answer: info, login, single message or batch. Also holds what all connections share.
//!
//! Does no I/O: `server` reads frames, asks `faults`, and writes the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::auth::{Auth, Session};
use super::batch::{self, Scratch};
use super::cluster::Cluster;
use super::execute::{self, World};
use super::faults::{self, NodeFaults};
use super::info;
use super::message::{self, Digest, Message};
use super::nodes::Presence;
use super::stats::{Counters, Kinds};
use super::store::Store;
use super::wire::{self, AnswerHeader, FrameHeader, code};
use super::{Node, SimConfig};

/// How long a request waits for the answer of a node that is gone (`transaction-max-ms`).
const PROXY_TIMEOUT: Duration = Duration::from_secs(1);

/// One node. The nodes share everything that is in an `Arc`.
pub struct Engine {
    pub config: Arc<SimConfig>,
    pub node: Node,
    pub cluster: Arc<Cluster>,
    /// The presence of each node, by its number.
    pub presences: Vec<Arc<Presence>>,
    pub store: Arc<Store>,
    pub faults: NodeFaults,
    pub counters: Counters,
    pub auth: Auth,
    /// Its connections are encrypted, if there.
    pub tls: Option<super::tls::Tls>,
    /// `batch-max-requests`; 0: no limit.
    pub batch_rows_max: Arc<AtomicU32>,
}

/// The state of a connection between frames.
#[derive(Default)]
pub struct Conversation {
    session: Session,
    scratch: Scratch,
}

impl Conversation {
    /// A copy with the same login, for a message that takes effect separately.
    pub fn apart(&self) -> Self {
        Conversation {
            session: self.session.clone(),
            scratch: Scratch::default(),
        }
    }
}

impl Engine {
    /// Appends the answer of a frame to `out`. `false`: the server does not know this kind of frame, and the connection
    /// must be closed.
    pub fn answer(&self, header: FrameHeader, body: &[u8], conversation: &mut Conversation, out: &mut Vec<u8>) -> bool {
        match header.kind {
            wire::PROTO_INFO => info::answer(self, self.auth.check(&conversation.session), body, out),
            wire::PROTO_SECURITY => {
                self.counters.logins.fetch_add(1, Ordering::Relaxed);
                if !self.auth.answer(&mut conversation.session, body, out) {
                    self.counters.logins_refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            wire::PROTO_MESSAGE => self.message(body, conversation, out),
            _ => return false,
        }
        true
    }

    /// Returns for each row the code that refuses it; empty if no row is refused. The input is, for each row, whether
    /// it writes, and its record. A row without a code may be run: here, or for the node that has it, since all nodes
    /// share one store.
    pub fn strike<'d>(&self, rows: impl Iterator<Item = (bool, &'d Digest)> + Clone) -> Vec<Option<u8>> {
        let astray = self.find_astray(rows.clone());
        faults::first_codes(astray, self.faults.strike_rows(rows))
    }

    /// The outcome of rows that this node does not have (`as_tsvc_process_transaction`). The node forwards them to
    /// their master. If the master is gone and nobody has noticed yet, they time out (`proxy_timeout_reduce_fn`).
    fn find_astray<'d>(&self, rows: impl Iterator<Item = (bool, &'d Digest)>) -> Vec<Option<u8>> {
        let (view, this) = (self.cluster.view(), self.node.number);
        if view.is_alone(this) {
            return Vec::new();
        }
        if !view.is_member(this) {
            // Its first partition balance is not complete.
            return rows.map(|_| Some(code::UNAVAILABLE)).collect();
        }
        let (mut unowned, mut proxied, mut unanswered) = (0, 0, false);
        let refused = self.faults.unowned();
        let astray = rows.map(|(writes, digest)| {
            let master = view.master(digest)?;
            // A replica with all data may be read from (`find_best_node`).
            if master == this || (!writes && view.has(this, digest)) {
                return None;
            }
            unowned += 1;
            if refused.is_some() {
                return refused;
            }
            proxied += 1;
            if self.presences[master].is_here() {
                return None;
            }
            unanswered = true;
            Some(code::TIMEOUT)
        });
        let astray: Vec<Option<u8>> = astray.collect();
        self.counters.unowned.fetch_add(unowned, Ordering::Relaxed);
        self.counters.proxied.fetch_add(proxied, Ordering::Relaxed);
        if unanswered {
            self.faults.cluster().wait(PROXY_TIMEOUT);
        }
        astray
    }

    fn message(&self, body: &[u8], conversation: &mut Conversation, out: &mut Vec<u8>) {
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        let world = World {
            now: self.store.now(),
            stop_writes: self.faults.is_stop_writes(),
        };
        let message = message::parse(body);
        let allowed = self.auth.check(&conversation.session);
        match (message, allowed) {
            (Ok(Message::Batch(_)), Err(code)) => {
                let refused = AnswerHeader {
                    info3: wire::INFO3_LAST,
                    code,
                    ..Default::default()
                };
                wire::put_header_frame(out, refused);
            }
            (Ok(Message::Batch(batch)), Ok(())) => batch::run(self, &batch, &mut conversation.scratch, world, out),
            (message, allowed) => {
                self.counters.singles.fetch_add(1, Ordering::Relaxed);
                let start = wire::begin_frame(out, wire::PROTO_MESSAGE);
                let mut refuse = |code: u8| {
                    out.extend_from_slice(
                        &AnswerHeader {
                            code,
                            ..AnswerHeader::default()
                        }
                        .bytes(),
                    );
                    code
                };
                let message = allowed.and(message);
                let code = match message {
                    Ok(Message::Single(digest, row)) => match self.store.namespace(row.namespace) {
                        None => refuse(code::NAMESPACE),
                        Some(namespace) => {
                            let writes = batch::writes(&row);
                            self.counters.kinds(Kinds::of(&row));
                            match self
                                .strike(std::iter::once((writes, &digest)))
                                .first()
                                .copied()
                                .flatten()
                            {
                                Some(code) => refuse(code),
                                None => execute::row(namespace, &digest, &row, 0, world, out),
                            }
                        }
                    },
                    Ok(Message::Batch(_)) => refuse(code::PARAMETER),
                    Err(code) => refuse(code),
                };
                wire::end_frame(out, start);
                self.counters.result(code, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;
    use proptest::prelude::*;

    fn engine() -> Engine {
        let config = SimConfig::default();
        let presence = Arc::new(Presence::new(config.listen));
        Engine {
            node: Node {
                number: 0,
                name: "A1".to_owned(),
                presence: presence.clone(),
            },
            cluster: Arc::new(Cluster::new(1)),
            presences: vec![presence],
            store: Arc::new(Store::new(config.namespaces.clone())),
            faults: NodeFaults::new(Faults::new(Vec::new(), 0), None),
            counters: Counters::default(),
            auth: Auth::new(None, code::SECURITY_NOT_SUPPORTED, 0).unwrap(),
            tls: None,
            batch_rows_max: Arc::default(),
            config: Arc::new(config),
        }
    }

    /// The recorded requests of a real client.
    fn requests() -> Vec<Vec<u8>> {
        let transcript = include_str!("../tests/data/aerospike-transcript.txt");
        let hex = transcript
            .lines()
            .filter_map(|line| line.split_once(" -> type=3 v2 len=")?.1.split_once(' '))
            .map(|(_, hex)| hex);
        hex.map(|hex| {
            (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
                .collect()
        })
        .collect()
    }

    fn ask(engine: &Engine, kind: u8, body: &[u8]) -> Vec<u8> {
        let header = FrameHeader {
            version: 2,
            kind,
            bytes: body.len() as u64,
        };
        let mut out = Vec::new();
        assert!(engine.answer(header, body, &mut Conversation::default(), &mut out));
        out
    }

    /// Checks that the answer consists of whole frames.
    fn assert_framed(mut answer: &[u8]) {
        while let Some((head, rest)) = answer.split_first_chunk::<8>() {
            let bytes = wire::frame_header(*head).bytes as usize;
            assert!(bytes <= rest.len(), "a frame of {bytes} bytes in {}", rest.len());
            answer = &rest[bytes..];
        }
        assert!(answer.is_empty());
    }

    #[test]
    fn a_record_lives_under_its_digest() {
        let engine = engine();
        let requests = requests();
        assert_eq!(ask(&engine, wire::PROTO_MESSAGE, &requests[0])[8 + 5], code::OK);
        let namespace = engine.store.namespace(b"test").unwrap();
        let mut digests: Vec<Digest> = Vec::new();
        namespace.for_each(|digest, _| digests.push(*digest));
        assert!(requests[0].windows(20).any(|window| window == digests[0]));
    }

    proptest! {
        #[test]
        fn damaged_requests_are_answered_and_never_panic(
            damages in proptest::collection::vec((0usize..64, 0usize..320, any::<u8>()), 1..12),
            cut in 0usize..2000,
        ) {
            let engine = engine();
            let mut requests = requests();
            let count = requests.len();
            for (which, at, byte) in damages {
                let request = &mut requests[which % count];
                let at = at % request.len();
                request[at] = byte;
            }
            for request in &mut requests {
                request.truncate(cut.max(request.len() / 2));
                assert_framed(&ask(&engine, wire::PROTO_MESSAGE, request));
                assert_framed(&ask(&engine, wire::PROTO_SECURITY, request));
                assert_framed(&ask(&engine, wire::PROTO_INFO, request));
            }
        }
    }
}
