//! Bytes on the wire: frame headers, the 22-byte message header, result codes and flags, and a reader that never reads
//! beyond its bytes.
//!
//! It knows no meaning: `message` knows what a message asks for, and `execute` what a row does. Names of flags and
//! codes are those of the server (`as/include/base/proto.h`, community edition 8.1.2.0).

/// A larger request frame closes its connection (the server's own `PROTO_SIZE_MAX`).
pub const FRAME_BYTES_MAX: usize = 128 << 20;
pub const FRAME_HEADER_BYTES: usize = 8;
pub const MESSAGE_HEADER_BYTES: usize = 22;

pub const PROTO_VERSION: u8 = 2;
pub const PROTO_INFO: u8 = 1;
pub const PROTO_SECURITY: u8 = 2;
pub const PROTO_MESSAGE: u8 = 3;

pub const INFO1_READ: u8 = 1 << 0;
pub const INFO1_GET_ALL: u8 = 1 << 1;
pub const INFO1_GET_NO_BINS: u8 = 1 << 5;
pub const INFO2_WRITE: u8 = 1 << 0;
pub const INFO2_DELETE: u8 = 1 << 1;
pub const INFO2_GENERATION: u8 = 1 << 2;
pub const INFO2_GENERATION_GT: u8 = 1 << 3;
pub const INFO2_DURABLE_DELETE: u8 = 1 << 4;
pub const INFO2_CREATE_ONLY: u8 = 1 << 5;
pub const INFO2_RESPOND_ALL_OPS: u8 = 1 << 7;
pub const INFO3_LAST: u8 = 1 << 0;
pub const INFO3_UPDATE_ONLY: u8 = 1 << 3;
pub const INFO3_CREATE_OR_REPLACE: u8 = 1 << 4;
pub const INFO3_REPLACE_ONLY: u8 = 1 << 5;

/// Field types of a message.
pub mod field {
    pub const NAMESPACE: u8 = 0;
    pub const SET: u8 = 1;
    pub const KEY: u8 = 2;
    pub const DIGEST: u8 = 4;
    pub const BATCH: u8 = 41;
    pub const BATCH_WITH_SET: u8 = 42;
    pub const FILTER: u8 = 43;
}

/// Operation types of a message.
pub mod op {
    pub const READ: u8 = 1;
    pub const WRITE: u8 = 2;
    pub const CDT_READ: u8 = 3;
    pub const CDT_MODIFY: u8 = 4;
    pub const INCR: u8 = 5;
    pub const EXP_READ: u8 = 7;
    pub const EXP_MODIFY: u8 = 8;
    pub const APPEND: u8 = 9;
    pub const PREPEND: u8 = 10;
    pub const TOUCH: u8 = 11;
    pub const DELETE_ALL: u8 = 14;
}

/// Result codes, as the server names them.
pub mod code {
    pub const OK: u8 = 0;
    pub const UNKNOWN: u8 = 1;
    pub const NOT_FOUND: u8 = 2;
    pub const GENERATION: u8 = 3;
    pub const PARAMETER: u8 = 4;
    pub const RECORD_EXISTS: u8 = 5;
    pub const BIN_EXISTS: u8 = 6;
    pub const OUT_OF_SPACE: u8 = 8;
    pub const TIMEOUT: u8 = 9;
    pub const UNAVAILABLE: u8 = 11;
    pub const INCOMPATIBLE_TYPE: u8 = 12;
    pub const RECORD_TOO_BIG: u8 = 13;
    pub const KEY_BUSY: u8 = 14;
    pub const UNSUPPORTED_FEATURE: u8 = 16;
    pub const BIN_NOT_FOUND: u8 = 17;
    pub const KEY_MISMATCH: u8 = 19;
    pub const NAMESPACE: u8 = 20;
    pub const BIN_NAME: u8 = 21;
    pub const FORBIDDEN: u8 = 22;
    pub const ELEMENT_NOT_FOUND: u8 = 23;
    pub const ELEMENT_EXISTS: u8 = 24;
    pub const ENTERPRISE_ONLY: u8 = 25;
    pub const OP_NOT_APPLICABLE: u8 = 26;
    pub const FILTERED_OUT: u8 = 27;
    pub const SECURITY_NOT_SUPPORTED: u8 = 51;
    pub const SECURITY_COMMAND: u8 = 54;
    pub const SECURITY_FIELD: u8 = 55;
    pub const SECURITY_USER: u8 = 60;
    pub const SECURITY_CREDENTIAL: u8 = 65;
    pub const SECURITY_SESSION: u8 = 66;
    pub const NOT_AUTHENTICATED: u8 = 80;
    pub const BATCH_MAX_REQUESTS: u8 = 151;
}

/// Reads forward through bytes from the network. `None` if they end too early.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = tail;
        Some(*head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

/// The contents of the eight bytes before every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    pub version: u8,
    pub kind: u8,
    pub bytes: u64,
}

pub fn frame_header(bytes: [u8; FRAME_HEADER_BYTES]) -> FrameHeader {
    let word = u64::from_be_bytes(bytes);
    let [version, kind, ..] = bytes;
    FrameHeader {
        version,
        kind,
        bytes: word & 0xffff_ffff_ffff,
    }
}

/// Begins a frame at the end of `out`; `end_frame` writes its length. Returns where it starts.
pub fn begin_frame(out: &mut Vec<u8>, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[PROTO_VERSION, kind, 0, 0, 0, 0, 0, 0]);
    start
}

pub fn end_frame(out: &mut [u8], start: usize) {
    let bytes = (out.len() - start - FRAME_HEADER_BYTES) as u64;
    out[start + 2..start + 8].copy_from_slice(&bytes.to_be_bytes()[2..]);
}

/// The 22-byte header of an answer. `index` is the row's number in its batch (the server puts it where a request has
/// its time-out), otherwise 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerHeader {
    pub info3: u8,
    pub code: u8,
    pub generation: u32,
    pub void_time: u32,
    pub index: u32,
    pub ops: u16,
}

impl AnswerHeader {
    pub fn bytes(&self) -> [u8; MESSAGE_HEADER_BYTES] {
        let mut bytes = [0; MESSAGE_HEADER_BYTES];
        bytes[0] = MESSAGE_HEADER_BYTES as u8;
        bytes[3] = self.info3;
        bytes[5] = self.code;
        bytes[6..10].copy_from_slice(&self.generation.to_be_bytes());
        bytes[10..14].copy_from_slice(&self.void_time.to_be_bytes());
        bytes[14..18].copy_from_slice(&self.index.to_be_bytes());
        bytes[20..22].copy_from_slice(&self.ops.to_be_bytes());
        bytes
    }
}

/// Writes a frame that contains only one header.
pub fn put_header_frame(out: &mut Vec<u8>, header: AnswerHeader) {
    let start = begin_frame(out, PROTO_MESSAGE);
    out.extend_from_slice(&header.bytes());
    end_frame(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_header_reads_back_what_was_written() {
        let mut out = Vec::new();
        put_header_frame(
            &mut out,
            AnswerHeader {
                info3: INFO3_LAST,
                code: 151,
                ..Default::default()
            },
        );
        let header = frame_header(out[..8].try_into().unwrap());
        assert_eq!(
            header,
            FrameHeader {
                version: 2,
                kind: 3,
                bytes: 22
            }
        );
        assert_eq!((out.len(), out[8], out[11], out[13]), (30, 22, 1, 151));
    }

    #[test]
    fn a_reader_stops_at_the_end() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16(), Some(0x0102));
        assert_eq!(reader.u16(), None);
        assert_eq!(reader.take(2), None);
        assert_eq!(reader.u8(), Some(3));
        assert!(reader.is_empty());
    }
}
