//! Messages all the way to a node: the rules make rows, the plan merges them, the native writer makes frames of them. The
//! node reads each frame as a whole and answers every row, and the reader of answers takes the answer.
//!
//! A frame that the node cannot read would cost all rows of its batch.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use penstock::aerospike::wire::answers::Answers;
use penstock::aerospike::wire::frame::Frame;
use penstock::delivery::guard::{Guard, GuardIdentity, sequence};
use penstock::delivery::plan::{OutgoingRow, Plan};
use penstock::delivery::pressure::Pressure;
use penstock::delivery::row_outcomes::CallFailure;
use penstock::delivery::write::{Answer, Calls, Limits, RowWriter, Stored, write};
use penstock::message::Message;
use penstock::observe::counters::Counters;
use penstock::output::Output;
use penstock::processor::Processor;
use penstock::util::stop::{Stop, StopKind};
use penstock_sim::{NamespaceConfig, Offline, OfflineNode, SimConfig};

use crate::decode::{NOW_MS, Parts};
use crate::rule_sets;

const ROWS_MAX: usize = 500;
const OK: u8 = 0;
/// The node cannot read a row, or does not have its namespace.
const PARAMETER: u8 = 4;
/// The simulator does not know an operation.
const UNSUPPORTED: u8 = 16;

static NODES: LazyLock<Offline> = LazyLock::new(|| {
    let mut names: Vec<String> = rule_sets::all().flat_map(Processor::namespaces).collect();
    names.sort();
    names.dedup();
    let config = SimConfig {
        namespaces: names.iter().map(String::as_str).map(NamespaceConfig::new).collect(),
        ..SimConfig::default()
    };
    Offline::new(config).unwrap_or_else(|error| panic!("{error}"))
});

/// Sends rows as the native writer does, without a socket.
struct Direct {
    node: OfflineNode,
    memory: RefCell<(Frame, Answers)>,
}

impl RowWriter for Direct {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let (frame, answers) = &mut *self.memory.borrow_mut();
        frame.begin(Duration::from_secs(1));
        let sent: Vec<bool> = (0..)
            .zip(rows)
            .map(|(index, row)| frame.row(index, row).is_ok())
            .collect();
        if frame.is_empty() {
            return vec![unsendable(); rows.len()];
        }
        let answered = self.node.converse(frame.finish());
        answers.begin(rows.len());
        assert_eq!(answers.feed(&answered), Ok(true), "an answer to {} rows", rows.len());
        assert_eq!(answers.end(), Some(OK), "the end of a batch");
        let answer = |(row, is_sent): (usize, bool)| match (answers.code(row), is_sent) {
            (None, false) => unsendable(),
            (Some(code), true) => {
                assert!(
                    ![PARAMETER, UNSUPPORTED].contains(&code),
                    "code {code} for {:?}",
                    rows[row]
                );
                Answer::Code(code)
            }
            (code, is_sent) => panic!("row {row}: sent {is_sent}, answered {code:?}"),
        };
        sent.into_iter().enumerate().map(answer).collect()
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        vec![None; rows.len()]
    }

    fn rows_max(&self) -> usize {
        ROWS_MAX
    }

    fn lacks_namespace(&self, _: &str) -> bool {
        false
    }
}

fn unsendable() -> Answer {
    Answer::Failed {
        failure: CallFailure::Unsendable,
        in_doubt: false,
    }
}

/// The payloads of an input are separated by a byte that no text has.
pub fn run(input: &[u8]) {
    let Some(Parts { by, key, payload }) = Parts::of(input) else {
        return;
    };
    let (rules, topic) = rule_sets::chosen(by);
    let payloads: Vec<&[u8]> = payload.split(|byte| *byte == 0xff).take(8).collect();
    let mut output = Output::default();
    for (place, payload) in (0..).zip(&payloads) {
        let message = Message {
            topic,
            partition: 3,
            offset: 1_000_000 + i64::try_from(place).unwrap_or(0),
            timestamp_ms: Some(NOW_MS),
            key,
            payload: Some(payload),
            headers: vec![("h", key)],
        };
        output.begin(place);
        if rules.process(&message, NOW_MS, &mut output).is_err() {
            output.take_back();
        }
    }
    let mut plan = Plan::with_capacity(output.rows.len());
    for row in output.rows {
        let offset = 1_000_000 + i64::try_from(row.message).unwrap_or(0);
        let sequence = sequence(offset, row.number).unwrap_or_else(|| panic!("no sequence for {offset}"));
        plan.push(row, sequence);
    }
    let rows = plan.rows();
    let guard = Guard::new(&GuardIdentity {
        group: "fuzz",
        topic_id: [7; 16],
        topic,
        partition: 3,
        epoch: 0,
    });
    let direct = Direct {
        node: NODES.node(),
        memory: RefCell::default(),
    };
    // Raised, so that no row is sent twice: what is in doubt is not asked here.
    let stop = Stop::new();
    stop.request(StopKind::Drain);
    let pressure = Pressure::new(1000, None, Arc::new(Counters::new()));
    let written = write(
        &plan,
        &Limits {
            rows: ROWS_MAX,
            bytes: 1 << 20,
            finish_max: Duration::from_secs(60),
        },
        &guard,
        &Calls {
            writer: &direct,
            pressure: &pressure,
            stop: &stop,
            meanwhile: &|| {},
        },
    );
    assert!(written.refused.len() + written.open.len() <= rows);
}
