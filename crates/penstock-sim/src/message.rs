//! Parses a message: one record's operations, or a batch of rows. Checks lengths, borrows from the frame and allocates
//! nothing per operation.
//!
//! It decides nothing: `execute` decides whether a row may be applied.

use super::wire::{Reader, code, field};

/// Identifies a record: the hash of its set and user key.
pub type Digest = [u8; 20];

/// One operation on one bin, as it is in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op<'a> {
    pub code: u8,
    pub particle: u8,
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// The operations of a row, as bytes that `parse` has already checked, so iterating cannot fail.
#[derive(Clone, Copy, Default)]
pub struct Ops<'a> {
    bytes: &'a [u8],
    pub count: u16,
}

impl<'a> Ops<'a> {
    fn parse(reader: &mut Reader<'a>, count: u16) -> Option<Self> {
        let before = reader.rest();
        for _ in 0..count {
            next_op(reader)?;
        }
        let bytes = &before[..before.len() - reader.rest().len()];
        Some(Ops { bytes, count })
    }

    pub fn iter(&self) -> impl Iterator<Item = Op<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || next_op(&mut reader))
    }
}

fn next_op<'a>(reader: &mut Reader<'a>) -> Option<Op<'a>> {
    let size = reader.u32()? as usize;
    let mut body = Reader::new(reader.take(size)?);
    let code = body.u8()?;
    let particle = body.u8()?;
    body.u8()?;
    let name_bytes = body.u8()?;
    let name = body.take(usize::from(name_bytes))?;
    Some(Op {
        code,
        particle,
        name,
        value: body.rest(),
    })
}

/// The operations on one record: a single message, or one row of a batch (a row that repeats the previous row's header
/// shares it).
#[derive(Clone, Copy, Default)]
pub struct Row<'a> {
    pub info1: u8,
    pub info2: u8,
    pub info3: u8,
    pub generation: u32,
    pub ttl: u32,
    pub namespace: &'a [u8],
    pub set: &'a [u8],
    /// The user key, after its particle type, if the client sent it (`send_key`).
    pub key: Option<&'a [u8]>,
    pub filter: Option<&'a [u8]>,
    pub ops: Ops<'a>,
}

/// A message as it arrived.
pub enum Message<'a> {
    Single(Digest, Row<'a>),
    Batch(Batch<'a>),
}

/// A batch before its rows are read.
pub struct Batch<'a> {
    pub rows_claimed: u32,
    filter: Option<&'a [u8]>,
    info3: u8,
    rows: Reader<'a>,
}

struct Fields<'a> {
    namespace: &'a [u8],
    set: &'a [u8],
    key: Option<&'a [u8]>,
    digest: Option<Digest>,
    filter: Option<&'a [u8]>,
    batch: Option<&'a [u8]>,
}

fn parse_fields<'a>(reader: &mut Reader<'a>, count: u16) -> Option<Fields<'a>> {
    let mut fields = Fields {
        namespace: &[],
        set: &[],
        key: None,
        digest: None,
        filter: None,
        batch: None,
    };
    for _ in 0..count {
        let size = reader.u32()? as usize;
        let (&kind, data) = reader.take(size)?.split_first()?;
        match kind {
            field::NAMESPACE => fields.namespace = data,
            field::SET => fields.set = data,
            field::KEY => fields.key = Some(data),
            field::DIGEST => fields.digest = Some(data.try_into().ok()?),
            field::FILTER => fields.filter = Some(data),
            field::BATCH | field::BATCH_WITH_SET => fields.batch = Some(data),
            // The server ignores unknown fields too.
            _ => {}
        }
    }
    Some(fields)
}

/// Reads a message's body. The error is the result code for the answer.
pub fn parse(body: &[u8]) -> Result<Message<'_>, u8> {
    parse_body(body).ok_or(code::PARAMETER)
}

fn parse_body(body: &[u8]) -> Option<Message<'_>> {
    let mut reader = Reader::new(body);
    let header_bytes = usize::from(reader.u8()?);
    let info1 = reader.u8()?;
    let info2 = reader.u8()?;
    let info3 = reader.u8()?;
    reader.take(2)?;
    let generation = reader.u32()?;
    let ttl = reader.u32()?;
    reader.u32()?;
    let field_count = reader.u16()?;
    let op_count = reader.u16()?;
    if header_bytes != super::wire::MESSAGE_HEADER_BYTES {
        return None;
    }
    let fields = parse_fields(&mut reader, field_count)?;
    if let Some(batch) = fields.batch {
        let mut rows = Reader::new(batch);
        let rows_claimed = rows.u32()?;
        // The flags say whether the rows may run inline. The simulator uses its own configuration instead.
        rows.u8()?;
        return Some(Message::Batch(Batch {
            rows_claimed,
            filter: fields.filter,
            info3,
            rows,
        }));
    }
    let ops = Ops::parse(&mut reader, op_count)?;
    let row = Row {
        info1,
        info2,
        info3,
        generation,
        ttl,
        namespace: fields.namespace,
        set: fields.set,
        key: fields.key,
        filter: fields.filter,
        ops,
    };
    Some(Message::Single(fields.digest?, row))
}

/// One row of a batch: the client's number for it, its record, and the index of its header among the batch's headers.
#[derive(Debug, Clone, Copy)]
pub struct RowRef {
    pub index: u32,
    pub digest: Digest,
    pub header: usize,
}

const ROW_REPEAT: u8 = 0x01;
const ROW_INFO: u8 = 0x02;
const ROW_GENERATION: u8 = 0x04;
const ROW_TTL: u8 = 0x08;
const ROW_INFO4: u8 = 0x10;
/// The bits of its parent's `info3` that a batch uses for rows without flags of their own (strong consistency reads).
const INFO3_READ_MODE: u8 = 0xc0;

impl<'a> Batch<'a> {
    /// Reads the rows into `headers` and `rows`. `false`: the bytes ended early or were not valid. Then the rows read
    /// so far are those before that point; the server applies them and refuses the rest with 4 (`batch.c`, `TranEnd`).
    pub fn read_rows(&self, headers: &mut Vec<Row<'a>>, rows: &mut Vec<RowRef>) -> bool {
        let mut reader = self.rows;
        for _ in 0..self.rows_claimed {
            let Some(row) = self.read_row(&mut reader, headers) else {
                return false;
            };
            rows.push(row);
        }
        true
    }

    fn read_row(&self, reader: &mut Reader<'a>, headers: &mut Vec<Row<'a>>) -> Option<RowRef> {
        let index = reader.u32()?;
        let digest = reader.array()?;
        let flags = reader.u8()?;
        if flags & ROW_REPEAT != 0 {
            let header = headers.len().checked_sub(1)?;
            // A repeated key would be the key of another record ("batch must not repeat key").
            return headers[header]
                .key
                .is_none()
                .then_some(RowRef { index, digest, header });
        }
        let info1 = reader.u8()?;
        let (info2, info3) = if flags & ROW_INFO != 0 {
            (reader.u8()?, reader.u8()?)
        } else {
            (0, self.info3 & INFO3_READ_MODE)
        };
        if flags & ROW_INFO4 != 0 {
            reader.u8()?;
        }
        let generation = if flags & ROW_GENERATION != 0 {
            u32::from(reader.u16()?)
        } else {
            0
        };
        let ttl = if flags & ROW_TTL != 0 { reader.u32()? } else { 0 };
        let field_count = reader.u16()?.max(1);
        let op_count = reader.u16()?;
        let fields = parse_fields(reader, field_count)?;
        let ops = Ops::parse(reader, op_count)?;
        headers.push(Row {
            info1,
            info2,
            info3,
            generation,
            ttl,
            namespace: fields.namespace,
            set: fields.set,
            key: fields.key,
            filter: fields.filter.or(self.filter),
            ops,
        });
        Some(RowRef {
            index,
            digest,
            header: headers.len() - 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(body: &[u8]) {
        match parse(body) {
            Ok(Message::Single(_, row)) => assert_eq!(row.ops.iter().count(), usize::from(row.ops.count)),
            Ok(Message::Batch(batch)) => {
                let (mut headers, mut rows) = (Vec::new(), Vec::new());
                batch.read_rows(&mut headers, &mut rows);
                for row in rows {
                    assert_eq!(
                        headers[row.header].ops.iter().count(),
                        usize::from(headers[row.header].ops.count)
                    );
                }
            }
            Err(code) => assert_eq!(code, code::PARAMETER),
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            walk(&body);
        }

        #[test]
        fn a_damaged_batch_never_panics(at in 0usize..177, byte in any::<u8>(), cut in 0usize..178) {
            let hex = "1608000000000000000000000000000003e8000100000000009729000000040d00000000d9936c98fc89e8bf72b486\
                       abe5af78604d5cc31d0e008100000000000000000200010000000500746573740000000201660000000d0201000178\
                       000000000000000100000001b8bea2185354e0e180141fe673187120bd46374e0100000002bfb2f113758ee5920ce3\
                       2104029d5bf49151bac901000000039989fd092bd897f3f83a2bb9692219f759a7a30a01";
            let mut body: Vec<u8> =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
            prop_assert_eq!(body.len(), 177);
            body[at] = byte;
            body.truncate(cut);
            walk(&body);
        }
    }
}
