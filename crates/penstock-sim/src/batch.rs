//! A batch: runs its rows one after another, and puts their answers into frames, followed by the frame that ends the
//! batch.
//!
//! It follows `as_batch_queue_task` of the server (8.1.2.0). Unless the batch runs inline, the server distributes the
//! rows to its threads. So rows on one key run in any order and may find the key busy. Here they are shuffled.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::atomic::Ordering;

use super::engine::Engine;
use super::execute::{self, World};
use super::message::{Batch, Digest, Row, RowRef};
use super::stats::Kinds;
use super::store::{DigestHasher, DigestMap};
use super::wire::{self, AnswerHeader, code};

/// The server sends a frame when the answers in it exceed this size.
const ANSWER_FRAME_BYTES: usize = 128 * 1024;
/// Of the rows that race on a key, one in this many finds it busy.
const BUSY_ONE_IN: usize = 16;

/// Reused for all batches of a connection, so that the search for duplicate keys allocates nothing.
#[derive(Default)]
pub struct Scratch {
    seen: HashSet<Digest, BuildHasherDefault<DigestHasher>>,
}

fn refuse(engine: &Engine, code: u8, out: &mut Vec<u8>) {
    engine.counters.batches_refused.fetch_add(1, Ordering::Relaxed);
    wire::put_header_frame(
        out,
        AnswerHeader {
            info3: wire::INFO3_LAST,
            code,
            ..AnswerHeader::default()
        },
    );
}

/// Runs the batch and appends its whole answer to `out`.
pub fn run(engine: &Engine, batch: &Batch<'_>, scratch: &mut Scratch, world: World, out: &mut Vec<u8>) {
    let counters = &engine.counters;
    counters.batches.fetch_add(1, Ordering::Relaxed);
    let claimed = batch.rows_claimed;
    let rows_max = engine.batch_rows_max.load(Ordering::Relaxed);
    if claimed == 0 {
        return refuse(engine, code::PARAMETER, out);
    }
    if rows_max != 0 && claimed > rows_max {
        return refuse(engine, code::BATCH_MAX_REQUESTS, out);
    }
    if let Some(code) = engine.faults.strike_batch() {
        return refuse(engine, code, out);
    }

    let mut headers: Vec<Row<'_>> = Vec::new();
    let mut rows: Vec<RowRef> = Vec::with_capacity((claimed as usize).min(4096));
    let mut complete = batch.read_rows(&mut headers, &mut rows);
    counters.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
    counters.biggest_batch.fetch_max(rows.len() as u64, Ordering::Relaxed);

    let mut struck = engine.strike(rows.iter().map(|row| (writes(&headers[row.header]), &row.digest)));
    scratch.seen.clear();
    let duplicates = rows.iter().filter(|row| !scratch.seen.insert(row.digest)).count();
    if duplicates > 0 {
        counters.duplicate_rows.fetch_add(duplicates as u64, Ordering::Relaxed);
        if !engine.config.inline {
            race(engine, &mut rows, &mut struck);
        }
    }

    let early = engine.faults.strike_end(rows.len());
    let mut unanswered = Vec::new();
    let mut results = [0u32; 256];
    let mut kinds = Kinds::default();
    let mut frame = None;
    for (at, row) in rows.iter().enumerate() {
        let header = &headers[row.header];
        // The server looks up a row's namespace while it reads the rows, and ends the batch there.
        let Some(namespace) = engine.store.namespace(header.namespace) else {
            complete = false;
            break;
        };
        kinds.count(header);
        if let Some((_, applied)) = early.as_ref().filter(|(end, _)| at >= end.rows_answered) {
            if applied[at] && struck.get(at).copied().flatten().is_none() {
                let code = execute::row(namespace, &row.digest, header, row.index, world, &mut unanswered);
                results[usize::from(code)] += 1;
                unanswered.clear();
            }
            continue;
        }
        let start = *frame.get_or_insert_with(|| wire::begin_frame(out, wire::PROTO_MESSAGE));
        let code = match struck.get(at).copied().flatten() {
            Some(code) => {
                let refused = AnswerHeader {
                    code,
                    index: row.index,
                    ..AnswerHeader::default()
                };
                out.extend_from_slice(&refused.bytes());
                code
            }
            None => execute::row(namespace, &row.digest, header, row.index, world, out),
        };
        results[usize::from(code)] += 1;
        if out.len() - start > ANSWER_FRAME_BYTES {
            wire::end_frame(out, start);
            frame = None;
        }
    }
    match frame {
        // If the batch ends early, the server never sends the answers that do not fill a frame yet
        // (`as_batch_send_response` checks the code first). These rows were applied, but their answers are lost.
        Some(start) if !complete => out.truncate(start),
        Some(start) => wire::end_frame(out, start),
        None => {}
    }
    let code = match early {
        Some((end, _)) => end.code,
        None if complete => code::OK,
        None => code::PARAMETER,
    };
    wire::put_header_frame(
        out,
        AnswerHeader {
            info3: wire::INFO3_LAST,
            code,
            ..AnswerHeader::default()
        },
    );

    counters.kinds(kinds);
    for (code, times) in (0..=255).zip(results).filter(|(_, times)| *times > 0) {
        counters.result(code, u64::from(times));
    }
}

pub fn writes(row: &Row<'_>) -> bool {
    row.info2 & wire::INFO2_WRITE != 0
}

/// Shuffles the rows of each key that occurs more than once, within their places, and makes some find the key busy.
fn race(engine: &Engine, rows: &mut [RowRef], struck: &mut Vec<Option<u8>>) {
    let mut places: DigestMap<Vec<usize>> = DigestMap::default();
    for (at, row) in rows.iter().enumerate() {
        places.entry(row.digest).or_default().push(at);
    }
    struck.resize(rows.len(), None);
    // In the order of the batch, not of the map, so that the same seed gives the same race.
    let mut groups: Vec<Vec<usize>> = places.into_values().filter(|places| places.len() > 1).collect();
    groups.sort();
    engine.faults.random(|random| {
        for places in groups {
            for last in (1..places.len()).rev() {
                rows.swap(places[last], places[random.below(last + 1)]);
            }
            for at in places {
                if random.below(BUSY_ONE_IN) == 0 {
                    struck[at] = struck[at].or(Some(code::KEY_BUSY));
                }
            }
        }
    });
}
