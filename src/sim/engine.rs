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
use super::stats::Counters;
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

impl Engine {
    /// Puts the answer to a frame at the end of `out`. `false`: the frame is none the server knows, and the connection
    /// is to be closed.
    pub fn answer(
        &self,
        header: FrameHeader,
        body: &[u8],
        conversation: &mut Conversation,
        out: &mut Vec<u8>,
    ) -> bool {
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
        let world = World { now: self.store.now(), stop_writes: self.faults.is_stop_writes() };
        let message = message::parse(body);
        let allowed = self.auth.allows(&conversation.session);
        match message {
            Ok(Message::Batch(_)) if !allowed => {
                let refused = AnswerHeader { info3: wire::INFO3_LAST, code: code::NOT_AUTHENTICATED, ..Default::default() };
                wire::put_header_frame(out, refused);
            }
            Ok(Message::Batch(batch)) => batch::run(self, &batch, &mut conversation.scratch, world, out),
            message => {
                self.counters.singles.fetch_add(1, Ordering::Relaxed);
                let start = wire::begin_frame(out, wire::PROTO_MESSAGE);
                let mut refuse = |code: u8| {
                    out.extend_from_slice(&AnswerHeader { code, ..AnswerHeader::default() }.bytes());
                    code
                };
                let code = match message {
                    _ if !allowed => refuse(code::NOT_AUTHENTICATED),
                    Ok(Message::Single(digest, row)) => match self.store.namespace(row.namespace) {
                        None => refuse(code::NAMESPACE),
                        Some(namespace) => {
                            let writes = batch::writes(&row);
                            self.counters.reads.fetch_add(u64::from(!writes), Ordering::Relaxed);
                            match self.faults.strike_rows(std::iter::once(writes)).first().copied().flatten() {
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
