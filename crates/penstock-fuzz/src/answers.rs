//! What a node answers to a batch, in pieces of any size: the reader never panics, takes memory for the rows alone, and
//! says the same however the bytes are cut.

use penstock::aerospike::wire::answers::{Answers, Fault};

/// Codes, end, and whether the stream was complete.
type Said = (Vec<Option<u8>>, Option<u8>, Result<bool, Fault>);

fn fed<'b>(rows: usize, pieces: impl Iterator<Item = &'b [u8]>) -> Said {
    let mut answers = Answers::default();
    answers.begin(rows);
    let mut last = Ok(false);
    for piece in pieces {
        last = answers.feed(piece);
        if last.is_err() {
            break;
        }
    }
    let codes: Vec<Option<u8>> = (0..rows).map(|row| answers.code(row)).collect();
    assert_eq!(answers.answered(), codes.iter().flatten().count());
    assert_eq!(answers.code(rows), None);
    (codes, answers.end(), last)
}

/// A byte with the number of rows, one with the size of the pieces, and the stream.
pub fn run(input: &[u8]) {
    let Some(([rows, step], stream)) = input.split_first_chunk::<2>() else {
        return;
    };
    let rows = usize::from(*rows);
    if stream.is_empty() {
        return;
    }
    let whole = fed(rows, std::iter::once(stream));
    let pieces = fed(rows, stream.chunks(usize::from(*step).max(1)));
    // Bytes behind the end are a fault wherever they are cut. If they come in a piece of their own, the end was told
    // before.
    assert_eq!(whole, pieces, "in pieces of {step}");
    if let (codes, end, Ok(true)) = &whole {
        assert!(end.is_some(), "complete without an end: {codes:?}");
    }
}
