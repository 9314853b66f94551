//! From a frame to its answer: info, login, single message or batch. What all connections share stands here.
//!
//! Does no input or output: `server` reads frames, asks `faults`, and writes what comes from here.

use std::sync::atomic::{AtomicU32, Ordering};

use super::auth::{Auth, Session};
use super::batch::{self, Scratch};
use super::execute::{self, World};
use super::faults::Faults;
use super::info;
use super::message::{self, Message};
use super::stats::{Counters, Kinds};
use super::store::Store;
use super::wire::{self, AnswerHeader, FrameHeader, code};
use super::{Node, SimConfig};

pub struct Engine {
    pub config: SimConfig,
    pub node: Node,
    pub store: Store,
    pub faults: Faults,
    pub counters: Counters,
    pub auth: Auth,
    /// `batch-max-requests`; 0: no limit.
    pub batch_rows_max: AtomicU32,
}

/// What one connection carries from frame to frame.
#[derive(Default)]
pub struct Conversation {
    session: Session,
    scratch: Scratch,
}

impl Conversation {
    /// Another one of the same login, for a message that takes effect apart from the rest.
    pub fn apart(&self) -> Self {
        Conversation {
            session: self.session.clone(),
            scratch: Scratch::default(),
        }
    }
}

impl Engine {
    /// Puts the answer to a frame at the end of `out`. `false`: the frame is none the server knows, and the connection
    /// is to be closed.
    pub fn answer(&self, header: FrameHeader, body: &[u8], conversation: &mut Conversation, out: &mut Vec<u8>) -> bool {
        match header.kind {
            wire::PROTO_INFO => info::answer(self, self.auth.allows(&conversation.session), body, out),
            wire::PROTO_SECURITY => self.auth.answer(&mut conversation.session, body, out),
            wire::PROTO_MESSAGE => self.message(body, conversation, out),
            _ => return false,
        }
        true
    }

    fn message(&self, body: &[u8], conversation: &mut Conversation, out: &mut Vec<u8>) {
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        let world = World {
            now: self.store.now(),
            stop_writes: self.faults.is_stop_writes(),
        };
        let message = message::parse(body);
        let allowed = self.auth.allows(&conversation.session);
        match message {
            Ok(Message::Batch(_)) if !allowed => {
                let refused = AnswerHeader {
                    info3: wire::INFO3_LAST,
                    code: code::NOT_AUTHENTICATED,
                    ..Default::default()
                };
                wire::put_header_frame(out, refused);
            }
            Ok(Message::Batch(batch)) => batch::run(self, &batch, &mut conversation.scratch, world, out),
            message => {
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
                let code = match message {
                    _ if !allowed => refuse(code::NOT_AUTHENTICATED),
                    Ok(Message::Single(digest, row)) => match self.store.namespace(row.namespace) {
                        None => refuse(code::NAMESPACE),
                        Some(namespace) => {
                            let writes = batch::writes(&row);
                            self.counters.kinds(Kinds::of(&row));
                            match self
                                .faults
                                .strike_rows(std::iter::once((writes, &digest)))
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
    use super::super::server::Connections;
    use super::*;
    use crate::sim::message::Digest;
    use proptest::prelude::*;

    fn engine() -> Engine {
        let config = SimConfig::default();
        Engine {
            node: Node {
                name: "A1".to_owned(),
                addr: config.listen,
                partitions: [0xff; 512],
            },
            store: Store::new(config.namespaces.clone()),
            faults: Faults::new(Connections::default(), 0),
            counters: Counters::default(),
            auth: Auth::new(None, 0).unwrap(),
            batch_rows_max: AtomicU32::new(0),
            config,
        }
    }

    /// The requests a real client sent, from the recording.
    fn requests() -> Vec<Vec<u8>> {
        let transcript = include_str!("../../tests/data/aerospike-transcript.txt");
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

    /// Frames that fill the answer exactly.
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
