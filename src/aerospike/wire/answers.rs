//! Reads the answers to a batch request, in place.
//!
//! The server answers with several protos: rows in any order, then a last header. [`Answers`] takes the bytes as they
//! come from a socket, in pieces of any size, and keeps the result code of each row. What a row carries besides (a
//! list or map operation always answers with its bin) is skipped by its length and never stored. So the memory depends
//! only on the number of rows, whatever lengths the server claims.
//!
//! A stream that breaks the protocol is a [`Fault`]. After it no byte of the connection can be trusted.
//!
//! The layout is that of `as/include/base/proto.h` and `as/src/base/batch.c` of the server, 8.1.

use std::fmt;

/// The header of a proto: version, type, and the size of what follows in 6 bytes.
const PROTO_HEADER: usize = 8;
/// The header of a message: one row, or the end.
const MESSAGE_HEADER: usize = 22;
const VERSION: u8 = 2;
/// A message. Compressed messages are type 4: we never ask for them.
const MESSAGE: u8 = 3;
/// The longest proto, in bytes: the server's own limit (`PROTO_SIZE_MAX`).
const PROTO_MAX: u64 = 128 * 1024 * 1024;
/// In the third info byte: no more rows follow.
const LAST: u8 = 0x01;
/// A field begins with its type, behind its size.
const FIELD_MIN: u32 = 1;
/// An operation has four bytes before its name, behind its size.
const OPERATION_MIN: u32 = 4;

/// How a stream of answers breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A proto of another version.
    Version(u8),
    /// A proto that is no message.
    Type(u8),
    /// A proto claims more bytes than the server may send.
    TooLong(u64),
    /// A message whose header has another length.
    Header(u8),
    /// A length that does not fit into what contains it.
    Length,
    /// A row that was not in the request.
    Index(u32),
    /// A second answer for a row. The row counts as not answered, because one of the two belongs to another row.
    Twice(u32),
    /// Bytes behind the end.
    AfterEnd,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Version(version) => write!(f, "protocol version {version}"),
            Fault::Type(kind) => write!(f, "message type {kind}"),
            Fault::TooLong(bytes) => write!(f, "a message of {bytes} bytes"),
            Fault::Header(bytes) => write!(f, "a header of {bytes} bytes"),
            Fault::Length => f.write_str("a length that does not fit"),
            Fault::Index(row) => write!(f, "an answer for row {row}, which was not sent"),
            Fault::Twice(row) => write!(f, "two answers for row {row}"),
            Fault::AfterEnd => f.write_str("bytes behind the end"),
        }
    }
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, Default)]
enum Piece {
    #[default]
    Proto,
    Message,
    /// The size of a field or of an operation, if the message has more of them.
    Part,
    /// Nothing: the last header has come, or a fault.
    Nothing,
}

/// The answers to one request at a time. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Answers {
    codes: Vec<Option<u8>>,
    answered: usize,
    /// The result code of the last header.
    end: Option<u8>,
    piece: Piece,
    /// The beginning of a header that is not complete, and its length.
    head: [u8; MESSAGE_HEADER],
    have: usize,
    /// Bytes of the current proto that are neither read nor about to be skipped.
    proto_left: u64,
    /// Bytes to skip before the next piece.
    skip: u64,
    fields_left: u16,
    operations_left: u16,
}

impl Answers {
    /// Begins a request with so many rows. Their indexes are the numbers below `rows`.
    pub fn begin(&mut self, rows: usize) {
        let mut codes = std::mem::take(&mut self.codes);
        codes.clear();
        codes.resize(rows, None);
        *self = Answers {
            codes,
            ..Answers::default()
        };
    }

    /// The answer for a row, if it has come.
    pub fn code(&self, row: usize) -> Option<u8> {
        self.codes.get(row).copied().flatten()
    }

    /// How many rows have an answer.
    pub fn answered(&self) -> usize {
        self.answered
    }

    /// The result code of the last header, if it has come: 0 if the server went through the whole batch.
    pub fn end(&self) -> Option<u8> {
        self.end
    }

    /// Takes the next bytes of the stream. `true`: that was all, and the connection can be used again.
    ///
    /// # Errors
    /// See [`Fault`]. The answers that came before it stay. Bytes behind the end are a fault too.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let result = self.read(bytes);
        if !matches!(result, Ok(false)) {
            self.piece = Piece::Nothing;
        }
        result
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<bool, Fault> {
        loop {
            if self.skip > 0 {
                let here = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
                bytes = &bytes[here..];
                self.skip -= here as u64;
                if self.skip > 0 {
                    return Ok(false);
                }
            }
            match self.piece {
                Piece::Proto => {
                    let Some(header) = self.take::<PROTO_HEADER>(&mut bytes) else {
                        return Ok(false);
                    };
                    self.proto(header)?;
                }
                Piece::Message => {
                    self.fits(MESSAGE_HEADER as u64)?;
                    let Some(header) = self.take::<MESSAGE_HEADER>(&mut bytes) else {
                        return Ok(false);
                    };
                    self.proto_left -= MESSAGE_HEADER as u64;
                    self.message(&header)?;
                }
                Piece::Part if self.fields_left > 0 || self.operations_left > 0 => {
                    self.fits(4)?;
                    let Some(size) = self.take::<4>(&mut bytes) else {
                        return Ok(false);
                    };
                    self.proto_left -= 4;
                    self.part(u32::from_be_bytes(size))?;
                }
                Piece::Part if self.end.is_some() => {
                    return match self.proto_left == 0 && bytes.is_empty() {
                        true => Ok(true),
                        false => Err(Fault::AfterEnd),
                    };
                }
                Piece::Part => {
                    self.piece = match self.proto_left {
                        0 => Piece::Proto,
                        _ => Piece::Message,
                    };
                }
                Piece::Nothing => return Err(Fault::AfterEnd),
            }
        }
    }

    fn proto(&mut self, header: [u8; PROTO_HEADER]) -> Result<(), Fault> {
        let [version, kind, size @ ..] = header;
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        if kind != MESSAGE {
            return Err(Fault::Type(kind));
        }
        let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
        if size > PROTO_MAX {
            return Err(Fault::TooLong(size));
        }
        // A server that ends a batch early may send an empty one.
        if size > 0 {
            self.proto_left = size;
            self.piece = Piece::Message;
        }
        Ok(())
    }

    fn message(&mut self, header: &[u8; MESSAGE_HEADER]) -> Result<(), Fault> {
        if usize::from(header[0]) != MESSAGE_HEADER {
            return Err(Fault::Header(header[0]));
        }
        let code = header[5];
        self.fields_left = u16::from_be_bytes([header[18], header[19]]);
        self.operations_left = u16::from_be_bytes([header[20], header[21]]);
        self.piece = Piece::Part;
        if header[3] & LAST != 0 {
            self.end = Some(code);
            return Ok(());
        }
        let row = u32::from_be_bytes([header[14], header[15], header[16], header[17]]);
        let place = usize::try_from(row).map_err(|_| Fault::Index(row))?;
        match self.codes.get_mut(place) {
            None => Err(Fault::Index(row)),
            Some(known @ Some(_)) => {
                *known = None;
                self.answered -= 1;
                Err(Fault::Twice(row))
            }
            Some(slot) => {
                *slot = Some(code);
                self.answered += 1;
                Ok(())
            }
        }
    }

    /// Skips a field or an operation of this size.
    fn part(&mut self, size: u32) -> Result<(), Fault> {
        let min = if self.fields_left > 0 {
            self.fields_left -= 1;
            FIELD_MIN
        } else {
            self.operations_left -= 1;
            OPERATION_MIN
        };
        if size < min {
            return Err(Fault::Length);
        }
        self.fits(size.into())?;
        self.proto_left -= u64::from(size);
        self.skip = size.into();
        Ok(())
    }

    fn fits(&self, length: u64) -> Result<(), Fault> {
        match length <= self.proto_left {
            true => Ok(()),
            false => Err(Fault::Length),
        }
    }

    /// The next `N` bytes, at most those of a message's header. If they are not all there, keeps what is there.
    fn take<const N: usize>(&mut self, bytes: &mut &[u8]) -> Option<[u8; N]> {
        if self.have == 0
            && let Some((all, rest)) = bytes.split_first_chunk::<N>()
        {
            *bytes = rest;
            return Some(*all);
        }
        let here = (N - self.have).min(bytes.len());
        let (now, rest) = bytes.split_at(here);
        self.head[self.have..self.have + here].copy_from_slice(now);
        self.have += here;
        *bytes = rest;
        if self.have < N {
            return None;
        }
        self.have = 0;
        self.head.first_chunk::<N>().copied()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// A row's answer: index, code, sizes of its fields and operations behind their lengths.
    #[derive(Debug, Clone)]
    struct Row {
        index: u32,
        code: u8,
        fields: Vec<u8>,
        operations: Vec<u8>,
    }

    fn message(info3: u8, row: &Row) -> Vec<u8> {
        let mut bytes = vec![22, 0, 0, info3, 0, row.code, 0, 0, 0, 1, 0, 0, 0, 9];
        bytes.extend(row.index.to_be_bytes());
        bytes.extend(u16::try_from(row.fields.len()).unwrap().to_be_bytes());
        bytes.extend(u16::try_from(row.operations.len()).unwrap().to_be_bytes());
        for size in &row.fields {
            bytes.extend((u32::from(*size) + 1).to_be_bytes());
            bytes.extend(vec![0xEE; usize::from(*size) + 1]);
        }
        for size in &row.operations {
            bytes.extend((u32::from(*size) + 4).to_be_bytes());
            bytes.extend(vec![0xDD; usize::from(*size) + 4]);
        }
        bytes
    }

    pub fn proto(body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![2, 3];
        bytes.extend(&(body.len() as u64).to_be_bytes()[2..]);
        bytes.extend(body);
        bytes
    }

    pub fn plain(index: u32, code: u8) -> Vec<u8> {
        let (fields, operations) = (Vec::new(), Vec::new());
        message(
            0,
            &Row {
                index,
                code,
                fields,
                operations,
            },
        )
    }

    pub fn end(code: u8) -> Vec<u8> {
        let (fields, operations) = (Vec::new(), Vec::new());
        proto(&message(
            LAST,
            &Row {
                index: 0,
                code,
                fields,
                operations,
            },
        ))
    }

    /// What a parser says of a stream: the codes, the end, and whether the stream was complete.
    type Said = (Vec<Option<u8>>, Option<u8>, Result<bool, Fault>);

    fn fed<'b>(rows: usize, pieces: impl IntoIterator<Item = &'b [u8]>) -> Said {
        let mut answers = Answers::default();
        answers.begin(rows);
        let mut last = Ok(false);
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            last = answers.feed(piece);
            if last.is_err() {
                break;
            }
        }
        let codes: Vec<Option<u8>> = (0..rows).map(|row| answers.code(row)).collect();
        assert_eq!(answers.answered(), codes.iter().flatten().count());
        (codes, answers.end(), last)
    }

    /// The same stream, read in one piece, step by step and by another way than the parser's.
    fn naive(rows: usize, mut bytes: &[u8]) -> Said {
        let mut codes = vec![None; rows];
        let mut ended = None;
        let result = (|| {
            loop {
                let Some((head, rest)) = bytes.split_at_checked(8) else {
                    return Ok(false);
                };
                let size = u64::from_be_bytes(head.try_into().unwrap()) & 0xFFFF_FFFF_FFFF;
                match (head[0], head[1]) {
                    (2, 3) if size > 134_217_728 => return Err(Fault::TooLong(size)),
                    (2, 3) => {}
                    (2, kind) => return Err(Fault::Type(kind)),
                    (version, _) => return Err(Fault::Version(version)),
                }
                bytes = rest;
                let mut left = size as usize;
                while left > 0 {
                    if left < 22 {
                        return Err(Fault::Length);
                    }
                    let Some((head, rest)) = bytes.split_at_checked(22) else {
                        return Ok(false);
                    };
                    (bytes, left) = (rest, left - 22);
                    if head[0] != 22 {
                        return Err(Fault::Header(head[0]));
                    }
                    if head[3] & 1 == 1 {
                        ended = Some(head[5]);
                    } else {
                        let index = u32::from_be_bytes(head[14..18].try_into().unwrap());
                        let slot = codes.get_mut(index as usize).ok_or(Fault::Index(index))?;
                        if slot.take().is_some() {
                            return Err(Fault::Twice(index));
                        }
                        *slot = Some(head[5]);
                    }
                    let fields = u16::from_be_bytes([head[18], head[19]]);
                    let operations = u16::from_be_bytes([head[20], head[21]]);
                    let parts = vec![1; fields.into()].into_iter().chain(vec![4; operations.into()]);
                    for min in parts {
                        if left < 4 {
                            return Err(Fault::Length);
                        }
                        let Some((size, rest)) = bytes.split_at_checked(4) else {
                            return Ok(false);
                        };
                        (bytes, left) = (rest, left - 4);
                        let size = u32::from_be_bytes(size.try_into().unwrap()) as usize;
                        if size < min || size > left {
                            return Err(Fault::Length);
                        }
                        left -= size;
                        let Some((_, rest)) = bytes.split_at_checked(size) else {
                            return Ok(false);
                        };
                        bytes = rest;
                    }
                    if ended.is_some() {
                        return match left == 0 && bytes.is_empty() {
                            true => Ok(true),
                            false => Err(Fault::AfterEnd),
                        };
                    }
                }
            }
        })();
        (codes, ended, result)
    }

    const ROWS_MAX: usize = 12;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let sizes = || vec(0u8..40, 0..3);
        let row = (any::<u8>(), sizes(), sizes());
        vec(row, 0..ROWS_MAX)
            .prop_map(|rows| {
                let row = |(index, (code, fields, operations))| Row {
                    index: u32::try_from(index).unwrap(),
                    code,
                    fields,
                    operations,
                };
                rows.into_iter().enumerate().map(row).collect::<Vec<_>>()
            })
            .prop_shuffle()
    }

    /// A whole stream: rows in protos of a few, and the end.
    fn stream(rows: &[Row], each: usize, code: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for rows in rows.chunks(each) {
            bytes.extend(proto(&rows.iter().flat_map(|row| message(0, row)).collect::<Vec<u8>>()));
        }
        bytes.extend(end(code));
        bytes
    }

    /// The stream in pieces that end at these places.
    fn cut<'b>(bytes: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn a_whole_stream_gives_each_row_its_code_however_it_is_cut(
            rows in rows(), each in 1usize..5, code: u8, cuts in vec(any::<Index>(), 0..9),
        ) {
            let bytes = stream(&rows, each, code);
            let mut expected = vec![None; rows.len()];
            for row in &rows {
                expected[row.index as usize] = Some(row.code);
            }
            let expected = (expected, Some(code), Ok(true));
            prop_assert_eq!(&fed(rows.len(), cut(&bytes, &cuts)), &expected);
            prop_assert_eq!(&fed(rows.len(), bytes.chunks(1)), &expected);
        }

        #[test]
        fn a_stream_that_ends_too_early_gives_no_row_a_code_that_it_does_not_have(
            rows in rows(), each in 1usize..5, code: u8, at: Index,
        ) {
            let bytes = stream(&rows, each, code);
            let (codes, _, result) = fed(rows.len(), [&bytes[..at.index(bytes.len())]]);
            prop_assert_eq!(result, Ok(false));
            for row in &rows {
                prop_assert!(codes[row.index as usize].is_none_or(|code| code == row.code));
            }
        }

        #[test]
        fn what_a_damaged_stream_says_does_not_depend_on_where_it_is_cut(
            rows in rows(), each in 1usize..5, damage in vec((any::<Index>(), any::<u8>()), 0..4),
            cuts in vec(any::<Index>(), 0..9), less in 0usize..2,
        ) {
            let mut bytes = stream(&rows, each, 0);
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let sent = rows.len().saturating_sub(less);
            let expected = naive(sent, &bytes);
            prop_assert_eq!(&fed(sent, [&bytes[..]]), &expected);
            prop_assert_eq!(&fed(sent, cut(&bytes, &cuts)), &expected);
            prop_assert_eq!(&fed(sent, bytes.chunks(1)), &expected);
        }

        #[test]
        fn arbitrary_bytes_are_read_as_the_protocol_says(
            bytes in vec(any::<u8>(), 0..300), cuts in vec(any::<Index>(), 0..9),
        ) {
            let expected = naive(ROWS_MAX, &bytes);
            prop_assert_eq!(&fed(ROWS_MAX, cut(&bytes, &cuts)), &expected);
            prop_assert_eq!(&fed(ROWS_MAX, bytes.chunks(1)), &expected);
        }

        /// Random bytes fail at the version. Behind a proto's header they get further.
        #[test]
        fn arbitrary_bytes_in_a_message_are_read_as_the_protocol_says(
            body in vec(prop_oneof![4 => Just(0u8), 1 => Just(22), 1 => 0u8..6, 1 => any::<u8>()], 0..200),
            cuts in vec(any::<Index>(), 0..9),
        ) {
            let mut bytes = proto(&body);
            if let Some(first) = bytes.get_mut(8) {
                *first = 22;
            }
            let expected = naive(ROWS_MAX, &bytes);
            prop_assert_eq!(&fed(ROWS_MAX, cut(&bytes, &cuts)), &expected);
            prop_assert_eq!(&fed(ROWS_MAX, bytes.chunks(1)), &expected);
        }
    }

    /// Recorded from Aerospike 8.1.2.0.
    #[test]
    fn what_a_server_answered_is_read() {
        let hex = |text: &str| -> Vec<u8> {
            let digits: Vec<char> = text.chars().collect();
            let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            digits.chunks(2).map(byte).collect()
        };
        let rows = proto(&hex(
            "16000000000000000005000000000000000000000001000000050200000178160000000000000000010000000000000001000000\
             02000000050200000178000000050200000179160000000000000000000000000000000002000000001600000000020000000000\
             0000000000000300000000",
        ));
        let bytes = [rows, proto(&hex("16000001000000000000000000000000000000000000"))].concat();
        let expected = (vec![Some(0), Some(0), Some(0), Some(2)], Some(0), Ok(true));
        assert_eq!(fed(4, [&bytes[..]]), expected);
    }

    #[test]
    fn a_second_answer_for_a_row_takes_the_first_one_back() {
        let bytes = [proto(&[plain(1, 0), plain(0, 0)].concat()), proto(&plain(1, 5))].concat();
        assert_eq!(fed(2, [&bytes[..]]), (vec![Some(0), None], None, Err(Fault::Twice(1))));
    }

    #[test]
    fn each_breach_of_the_protocol_is_named() {
        let sized = |size: u64| [&[2, 3], &size.to_be_bytes()[2..]].concat();
        let mut short_header = proto(&plain(0, 0));
        short_header[8] = 21;
        let mut operation = plain(0, 0);
        operation[21] = 1;
        let with_operation =
            |size: u32, rest: usize| proto(&[operation.clone(), size.to_be_bytes().to_vec(), vec![0; rest]].concat());
        let mut field = plain(0, 0);
        field[19] = 1;
        let cases = [
            (vec![1, 3, 0, 0, 0, 0, 0, 0], Fault::Version(1)),
            (vec![2, 4, 0, 0, 0, 0, 0, 22], Fault::Type(4)),
            (vec![2, 1, 0, 0, 0, 0, 0, 22], Fault::Type(1)),
            (sized(PROTO_MAX + 1), Fault::TooLong(PROTO_MAX + 1)),
            (sized(21), Fault::Length),
            (proto(&[plain(0, 0), vec![22]].concat()), Fault::Length),
            (short_header, Fault::Header(21)),
            (proto(&plain(1, 0)), Fault::Index(1)),
            (proto(&plain(u32::MAX, 0)), Fault::Index(u32::MAX)),
            (proto(&operation), Fault::Length),
            (with_operation(3, 3), Fault::Length),
            (with_operation(6, 5), Fault::Length),
            (with_operation(u32::MAX, 6), Fault::Length),
            (proto(&[field, vec![0; 4]].concat()), Fault::Length),
            ([end(0), vec![2]].concat(), Fault::AfterEnd),
            (proto(&[end(0)[8..].to_vec(), plain(0, 0)].concat()), Fault::AfterEnd),
        ];
        for (bytes, fault) in cases {
            assert_eq!(fed(1, [&bytes[..]]).2, Err(fault));
            assert_eq!(fed(1, bytes.chunks(1)).2, Err(fault));
        }
    }

    #[test]
    fn an_empty_proto_says_nothing() {
        let bytes = [proto(&[]), proto(&plain(0, 9)), proto(&[]), end(0)].concat();
        assert_eq!(fed(1, [&bytes[..]]), (vec![Some(9)], Some(0), Ok(true)));
    }

    /// A record of 100 MiB, and 128 bytes at most are kept.
    #[test]
    fn a_long_record_is_skipped_without_being_stored() {
        const LONG: u32 = 100 * 1024 * 1024;
        let mut answers = Answers::default();
        answers.begin(1);
        let mut head = plain(0, 0);
        head[21] = 1;
        head.extend(LONG.to_be_bytes());
        let mut first = vec![2, 3];
        first.extend(&(head.len() as u64 + u64::from(LONG)).to_be_bytes()[2..]);
        first.extend(head);
        assert_eq!(answers.feed(&first), Ok(false));
        let chunk = vec![0; 1024 * 1024];
        for _ in 0..100 {
            assert_eq!(answers.feed(&chunk), Ok(false));
        }
        assert_eq!(answers.feed(&end(0)), Ok(true));
        assert_eq!((answers.code(0), answers.codes.capacity() <= 128), (Some(0), true));
    }
}
