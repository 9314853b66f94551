//! Rows as the bytes of one batch request.
//!
//! The bytes are those of the client (`aerospike-core` 3.0.0), with two differences: a row is never sent as a
//! repetition of the one before it, and the server is not asked for an answer to each operation.
//! `docs/architecture/native-writer.md` has the layout, and the reasons.

use std::time::Duration;

use super::msgpack::{self, short_array};
use super::operations::{self, NameTooLong};
use super::particle;
use crate::config::model::Mode;
use crate::delivery::plan::{Condition, OutgoingAction, OutgoingRow};
use crate::output::row::{RecordKey, RowTtl};

/// The version and the type of a message (`proto.h`).
const VERSION: u8 = 2;
const MESSAGE: u8 = 3;
/// The length of the head that says the version, the type, and the size of what follows.
const PROTO_BYTES: usize = 8;
/// The largest size of what follows (`PROTO_SIZE_MAX`). The server closes a connection that announces more.
const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The length of a message's header.
const HEADER_BYTES: u8 = 22;

/// Places in the frame: what is completed at its end.
const FIELD_AT: usize = PROTO_BYTES + HEADER_BYTES as usize;
const ROWS_AT: usize = FIELD_AT + 5;
/// Where the first row begins.
const HEAD_BYTES: usize = ROWS_AT + 5;

/// The message is a batch.
const INFO1_BATCH: u8 = 1 << 3;
const INFO2_WRITE: u8 = 1;
const INFO2_DELETE: u8 = 1 << 1;
const INFO2_CREATE_ONLY: u8 = 1 << 5;
const INFO3_UPDATE_ONLY: u8 = 1 << 3;
const INFO3_CREATE_OR_REPLACE: u8 = 1 << 4;

/// What the server may do with the batch. The thread that reads it may also run it, if the namespace is in memory.
const INLINE: u8 = 0x01;
/// It does not end at the first row that fails, but answers all.
const REPORT_ALL_ERRORS: u8 = 0x04;
/// If an error ends the batch, the answer says in which row.
const REPORT_ERROR_REC: u8 = 0x08;

/// A row says its own info bytes, its generation (which is always 0) and its ttl.
const ROW_FLAGS: u8 = 0x02 | 0x04 | 0x08;

const FIELD_NAMESPACE: u8 = 0;
const FIELD_SET: u8 = 1;
const FIELD_KEY: u8 = 2;
const FIELD_BATCH: u8 = 41;
const FIELD_FILTER: u8 = 43;

const TTL_NAMESPACE_DEFAULT: u32 = 0;
const TTL_NEVER: u32 = u32::MAX;
const TTL_KEEP: u32 = u32::MAX - 1;

/// Longest name of a namespace. No server has a longer one.
const NAMESPACE_BYTES_MAX: usize = 31;

/// What expressions do. In MessagePack, these numbers are their own bytes.
const EXP_NE: u8 = 2;
const EXP_LT: u8 = 5;
const EXP_LE: u8 = 6;
const EXP_AND: u8 = 16;
const EXP_OR: u8 = 17;
const EXP_BIN: u8 = 81;
const EXP_BIN_TYPE: u8 = 82;
/// The type that a bin is read as.
const EXP_TYPE_INTEGER: u8 = 2;

/// Memory above this is given back when the next request begins, so that one large batch does not hold it for ever.
/// `run.batch_bytes_max` is 1 MiB by default.
pub const KEPT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A batch request for one node, in memory that is used again for the next one.
#[derive(Debug, Default)]
pub struct Frame {
    bytes: Vec<u8>,
    rows: u32,
    /// Memory for sorting the entries of a map.
    order: Vec<usize>,
}

/// The row does not fit into this request. Whether it fits into one of its own is known when it was tried alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsendable;

impl Frame {
    /// Begins a request. `timeout`: how long the server may work on it; in milliseconds, and at least one.
    ///
    /// The server copies it to each row. If it were 0, the server would give up by a clock of its own: after a second
    /// per row and 30 seconds per batch.
    pub fn begin(&mut self, timeout: Duration) {
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
        if self.order.capacity() > KEPT_BYTES_MAX / size_of::<usize>() {
            self.order = Vec::new();
        }
        self.rows = 0;
        self.bytes.clear();
        self.bytes.resize(HEAD_BYTES, 0);
        let timeout = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        let [one, two, three, four] = timeout.to_be_bytes();
        self.bytes[..PROTO_BYTES].copy_from_slice(&[VERSION, MESSAGE, 0, 0, 0, 0, 0, 0]);
        self.bytes[PROTO_BYTES..FIELD_AT].copy_from_slice(&[
            HEADER_BYTES,
            INFO1_BATCH,
            // Info 2 to 4, and the result code.
            0,
            0,
            0,
            0,
            // The generation.
            0,
            0,
            0,
            0,
            // The record's ttl.
            0,
            0,
            0,
            0,
            // The transaction's ttl.
            one,
            two,
            three,
            four,
            // Fields, and operations.
            0,
            1,
            0,
            0,
        ]);
        self.bytes[FIELD_AT + 4] = FIELD_BATCH;
        self.bytes[HEAD_BYTES - 1] = INLINE | REPORT_ALL_ERRORS | REPORT_ERROR_REC;
    }

    /// Adds a row to the request that [`Self::begin`] began. The server answers with `index`.
    ///
    /// # Errors
    /// The frame is as before. The frame would exceed the server's bound of 128 MiB; or the row has a namespace that no
    /// server has (none, or over 31 bytes), no operation or over 65,535, or a bin with a name of over 255 bytes.
    pub fn row(&mut self, index: u32, row: &OutgoingRow<'_>) -> Result<(), Unsendable> {
        self.row_within(index, row, BODY_BYTES_MAX)
    }

    fn row_within(&mut self, index: u32, row: &OutgoingRow<'_>, body_bytes_max: usize) -> Result<(), Unsendable> {
        debug_assert!(self.bytes.len() >= HEAD_BYTES, "the request was begun");
        let start = self.bytes.len();
        let written = write_row(&mut self.bytes, &mut self.order, index, row);
        if written.is_err() || self.bytes.len() - PROTO_BYTES > body_bytes_max {
            self.bytes.truncate(start);
            return Err(Unsendable);
        }
        self.rows += 1;
        Ok(())
    }

    /// How many rows the request has.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether it has no row. The server refuses such a request.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The size of the request, with its head.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Completes the request. Further rows may follow, if it is completed again.
    pub fn finish(&mut self) -> &[u8] {
        debug_assert!(self.bytes.len() >= HEAD_BYTES, "the request was begun");
        let body = (self.bytes.len() - PROTO_BYTES) as u64;
        // The size has six bytes, behind the version and the type.
        self.bytes[2..PROTO_BYTES].copy_from_slice(&body.to_be_bytes()[2..]);
        // The length of a field counts all behind the length itself.
        let field = msgpack::length_u32(self.bytes.len() - FIELD_AT - 4);
        self.bytes[FIELD_AT..FIELD_AT + 4].copy_from_slice(&field.to_be_bytes());
        self.bytes[ROWS_AT..ROWS_AT + 4].copy_from_slice(&self.rows.to_be_bytes());
        &self.bytes
    }
}

/// Info bytes, ttl, and counts of a row.
struct RowHead {
    info2: u8,
    info3: u8,
    ttl: u32,
    fields: u8,
    operations: u16,
}

fn write_row(out: &mut Vec<u8>, order: &mut Vec<usize>, index: u32, row: &OutgoingRow<'_>) -> Result<(), Unsendable> {
    let namespace = row.target.namespace.as_str();
    // The server ends the batch at a row with an unknown namespace, so that all others would pay for it.
    if namespace.is_empty() || namespace.len() > NAMESPACE_BYTES_MAX {
        return Err(Unsendable);
    }
    let head = head(row)?;
    write_head(out, index, row, &head);
    field(out, FIELD_NAMESPACE, namespace.as_bytes());
    field(out, FIELD_SET, row.target.set.as_bytes());
    filter(out, &row.conditions);
    match &row.action {
        // A deletion needs no key: there is no record to store it in.
        OutgoingAction::Delete => {}
        OutgoingAction::Touch => {
            key(out, row);
            operations::touch(out);
        }
        OutgoingAction::Write(ops) => {
            key(out, row);
            for op in ops {
                operations::write(out, order, op).map_err(|NameTooLong| Unsendable)?;
            }
        }
    }
    Ok(())
}

fn head(row: &OutgoingRow<'_>) -> Result<RowHead, Unsendable> {
    let fields = 2 + u8::from(row.is_conditional());
    let operations = match &row.action {
        OutgoingAction::Delete => {
            return Ok(RowHead {
                info2: INFO2_WRITE | INFO2_DELETE,
                info3: 0,
                ttl: 0,
                fields,
                operations: 0,
            });
        }
        OutgoingAction::Touch => 1,
        OutgoingAction::Write(ops) if ops.is_empty() => return Err(Unsendable),
        OutgoingAction::Write(ops) => u16::try_from(ops.len()).map_err(|_| Unsendable)?,
    };
    let (info2, info3) = match row.exists {
        Mode::Update => (INFO2_WRITE, 0),
        Mode::Replace => (INFO2_WRITE, INFO3_CREATE_OR_REPLACE),
        Mode::Create => (INFO2_WRITE | INFO2_CREATE_ONLY, 0),
        Mode::UpdateOnly => (INFO2_WRITE, INFO3_UPDATE_ONLY),
    };
    Ok(RowHead {
        info2,
        info3,
        ttl: match row.ttl {
            RowTtl::NamespaceDefault => TTL_NAMESPACE_DEFAULT,
            RowTtl::Never => TTL_NEVER,
            RowTtl::Keep => TTL_KEEP,
            RowTtl::Seconds(seconds) => seconds,
        },
        fields: fields + u8::from(row.target.send_key),
        operations,
    })
}

fn write_head(out: &mut Vec<u8>, index: u32, row: &OutgoingRow<'_>, head: &RowHead) {
    let mut bytes = [0; 38];
    bytes[..4].copy_from_slice(&index.to_be_bytes());
    bytes[4..24].copy_from_slice(&row.digest);
    bytes[24] = ROW_FLAGS;
    // Byte 25, info 1, is 0: nothing is read. Bytes 28 and 29, the generation, are 0: none is expected.
    bytes[26] = head.info2;
    bytes[27] = head.info3;
    bytes[30..34].copy_from_slice(&head.ttl.to_be_bytes());
    bytes[35] = head.fields;
    bytes[36..].copy_from_slice(&head.operations.to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn field(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let [a, b, c, d] = msgpack::length_u32(value.len() + 1).to_be_bytes();
    out.extend_from_slice(&[a, b, c, d, kind]);
    out.extend_from_slice(value);
}

/// The record's key, where it is stored.
fn key(out: &mut Vec<u8>, row: &OutgoingRow<'_>) {
    if !row.target.send_key {
        return;
    }
    let number;
    let (particle, value) = match row.key {
        RecordKey::String(text) => (particle::STRING, text.as_bytes()),
        RecordKey::Integer(n) => {
            number = n.to_be_bytes();
            (particle::INTEGER, number.as_slice())
        }
        RecordKey::Bytes(bytes) => (particle::BLOB, bytes.as_ref()),
    };
    let [a, b, c, d] = msgpack::length_u32(value.len() + 2).to_be_bytes();
    out.extend_from_slice(&[a, b, c, d, FIELD_KEY, particle]);
    out.extend_from_slice(value);
}

/// The row's conditions as an expression. If it does not hold, the server answers 27.
fn filter(out: &mut Vec<u8>, conditions: &[Option<Condition<'_>>; 2]) {
    let start = out.len();
    match conditions {
        [None, None] => return,
        [Some(one), None] | [None, Some(one)] => {
            out.extend_from_slice(&[0, 0, 0, 0, FIELD_FILTER]);
            holds(out, one);
        }
        [Some(one), Some(other)] => {
            out.extend_from_slice(&[0, 0, 0, 0, FIELD_FILTER, short_array(3), EXP_AND]);
            holds(out, one);
            holds(out, other);
        }
    }
    let length = msgpack::length_u32(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// The bin's type is not integer, or its value is below the bound. Measured on a real server: this form also holds if
/// the bin is missing or has another type.
fn holds(out: &mut Vec<u8>, condition: &Condition<'_>) {
    const IS_OTHER: [u8; 6] = [
        short_array(3),
        EXP_OR,
        short_array(3),
        EXP_NE,
        short_array(2),
        EXP_BIN_TYPE,
    ];
    let compare = if condition.or_equal { EXP_LE } else { EXP_LT };
    out.extend_from_slice(&IS_OTHER);
    msgpack::name(out, condition.bin);
    out.extend_from_slice(&[
        particle::INTEGER,
        short_array(3),
        compare,
        short_array(3),
        EXP_BIN,
        EXP_TYPE_INTEGER,
    ]);
    msgpack::name(out, condition.bin);
    msgpack::integer_64(out, condition.below);
}

#[cfg(test)]
mod tests;
