//! Runs one row against the store. It checks in the server's order and applies the operations to a copy of the bins.
//! The change is stored completely or not at all, under the lock of the record's shard. Then it writes the row's
//! answer.
//!
//! It follows `write_master`, `read_local` and `drop_master` of the server (8.1.2.0, `as/src/transaction`). Not
//! implemented: strong consistency, transactions, replication, durable deletes (25, as the community edition answers).

use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;

use super::expression::{self, Context};
use super::message::{Digest, Op, Row};
use super::ops::{self, Outcome};
use super::store::{Bin, BinName, Namespace, NamespaceConfig, Particle, Record, particle};
use super::wire::{self, AnswerHeader, MESSAGE_HEADER_BYTES, code, op};

const OPS_MAX: u16 = 32 * 1024;
const TTL_DEFAULT: u32 = 0;
const TTL_NEVER: u32 = 0xffff_ffff;
const TTL_KEEP: u32 = 0xffff_fffe;
const TTL_SECONDS_MAX: u32 = 10 * 365 * 24 * 60 * 60;
/// What the server stores for each record in addition to its bins: the header, and the mark after it (`flat.h`).
const RECORD_OVERHEAD_BYTES: usize = 35 + 4;

/// What a row may know of its environment.
#[derive(Clone, Copy)]
pub struct World {
    pub now: u32,
    pub stop_writes: bool,
}

/// The outcome of a row, for its header.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    code: u8,
    generation: u32,
    void_time: u32,
    ops: u16,
}

impl Done {
    fn refused(code: u8) -> Self {
        Done {
            code,
            ..Done::default()
        }
    }

    fn of(code: u8, record: &Record) -> Self {
        Done {
            code,
            generation: record.generation.into(),
            void_time: record.void_time,
            ops: 0,
        }
    }
}

/// Runs the row and appends its answer to `out`: a header with the row's `index`, and operations. Returns the result
/// code.
pub fn row(namespace: &Namespace, digest: &Digest, row: &Row<'_>, index: u32, world: World, out: &mut Vec<u8>) -> u8 {
    let start = out.len();
    out.resize(start + MESSAGE_HEADER_BYTES, 0);
    let done = if row.info2 & wire::INFO2_WRITE == 0 {
        read(namespace, digest, row, world, out)
    } else if row.info2 & wire::INFO2_DELETE != 0 {
        delete(namespace, digest, row, world)
    } else {
        write(namespace, digest, row, world, out)
    };
    if done.ops == 0 {
        out.truncate(start + MESSAGE_HEADER_BYTES);
    }
    let Done {
        code,
        generation,
        void_time,
        ops,
    } = done;
    let header = AnswerHeader {
        info3: 0,
        code,
        generation,
        void_time,
        index,
        ops,
    };
    out[start..start + MESSAGE_HEADER_BYTES].copy_from_slice(&header.bytes());
    code
}

fn put_op(out: &mut Vec<u8>, code: u8, name: &[u8], value: Option<&Particle>) {
    let bytes = 4 + name.len() + value.map_or(0, Particle::wire_bytes);
    out.extend_from_slice(&(bytes as u32).to_be_bytes());
    out.extend_from_slice(&[code, value.map_or(particle::NULL, Particle::kind), 0, name.len() as u8]);
    out.extend_from_slice(name);
    if let Some(value) = value {
        value.put(out);
    }
}

/// `set_name_check`: a read or delete may leave out the set's name, but must not name another set.
fn set_fits(namespace: &Namespace, row: &Row<'_>, record: &Record) -> bool {
    row.set.is_empty() || namespace.find_set(row.set) == Some(record.set)
}

fn passes(row: &Row<'_>, record: &Record, world: World) -> Result<bool, u8> {
    let Some(filter) = row.filter else { return Ok(true) };
    expression::matches(
        filter,
        &Context {
            bins: &record.bins,
            void_time: record.void_time,
            now: world.now,
        },
    )
}

fn generation_fits(row: &Row<'_>, generation: u16) -> bool {
    if row.info2 & wire::INFO2_GENERATION != 0 {
        return row.generation == u32::from(generation);
    }
    row.info2 & wire::INFO2_GENERATION_GT == 0 || row.generation > u32::from(generation)
}

/// A key in the message must equal the stored one.
fn key_fits(row: &Row<'_>, record: &Record) -> bool {
    match (row.key, &record.key) {
        (Some(sent), Some(stored)) => sent == &**stored,
        _ => true,
    }
}

fn read(namespace: &Namespace, digest: &Digest, row: &Row<'_>, world: World, out: &mut Vec<u8>) -> Done {
    if row.info1 & wire::INFO1_READ == 0 {
        return Done::refused(code::PARAMETER);
    }
    let shard = namespace.shard(digest);
    let Some(record) = shard.get(digest) else {
        return Done::refused(code::NOT_FOUND);
    };
    let mut done = Done::of(code::OK, record);
    done.code = if !set_fits(namespace, row, record) {
        code::PARAMETER
    } else if record.is_expired(world.now) {
        return Done::refused(code::NOT_FOUND);
    } else {
        match passes(row, record, world) {
            Ok(false) => code::FILTERED_OUT,
            Ok(true) if !key_fits(row, record) => code::KEY_MISMATCH,
            Ok(true) => match read_bins(row, record, world, out) {
                Ok(ops) => {
                    done.ops = ops;
                    code::OK
                }
                Err(code) => code,
            },
            Err(code) => code,
        }
    };
    done
}

fn read_bins(row: &Row<'_>, record: &Record, world: World, out: &mut Vec<u8>) -> Result<u16, u8> {
    if row.info1 & wire::INFO1_GET_NO_BINS != 0 {
        return Ok(0);
    }
    if row.info1 & wire::INFO1_GET_ALL != 0 {
        return Ok(put_all(record.bins.as_slice(), out));
    }
    if row.ops.count == 0 || row.ops.count > OPS_MAX {
        return Err(code::PARAMETER);
    }
    let respond_all = row.info2 & wire::INFO2_RESPOND_ALL_OPS != 0;
    let context = Context {
        bins: &record.bins,
        void_time: record.void_time,
        now: world.now,
    };
    let mut answered = 0;
    for operation in row.ops.iter() {
        BinName::new(operation.name).ok_or(code::BIN_NAME)?;
        if !ops::is_read(operation.code) {
            return Err(code::PARAMETER);
        }
        let value = ops::read(&record.bins, &operation, &context)?;
        if respond_all || value.is_some() {
            put_op(out, operation.code, operation.name, value.as_ref());
            answered += 1;
        }
    }
    Ok(answered)
}

fn put_all(bins: &[Bin], out: &mut Vec<u8>) -> u16 {
    for bin in bins {
        put_op(out, op::READ, bin.name.as_bytes(), Some(&bin.particle));
    }
    bins.len() as u16
}

/// A delete always answers without metadata (`drop_master`).
fn delete(namespace: &Namespace, digest: &Digest, row: &Row<'_>, world: World) -> Done {
    if row.info2 & wire::INFO2_DURABLE_DELETE != 0 {
        return Done::refused(code::ENTERPRISE_ONLY);
    }
    let mut shard = namespace.shard(digest);
    let Entry::Occupied(entry) = shard.entry(*digest) else {
        return Done::refused(code::NOT_FOUND);
    };
    let record = entry.get();
    if !set_fits(namespace, row, record) {
        return Done::refused(code::PARAMETER);
    }
    if record.is_expired(world.now) {
        return Done::refused(code::NOT_FOUND);
    }
    if !generation_fits(row, record.generation) {
        return Done::refused(code::GENERATION);
    }
    match passes(row, record, world) {
        Ok(true) if key_fits(row, record) => {
            entry.remove();
            namespace.objects.fetch_sub(1, Ordering::Relaxed);
            Done::refused(code::OK)
        }
        Ok(true) => Done::refused(code::KEY_MISMATCH),
        Ok(false) => Done::refused(code::FILTERED_OUT),
        Err(code) => Done::refused(code),
    }
}

/// The meaning of the row's flags and operations together, before any record is read.
struct Policies {
    must_not_create: bool,
    replace: bool,
    respond_all: bool,
}

fn is_read_all(operation: &Op<'_>, row: &Row<'_>) -> bool {
    operation.code == op::READ && operation.name.is_empty() && row.info1 & wire::INFO1_GET_ALL != 0
}

/// `write_master_policies`.
fn policies(row: &Row<'_>) -> Result<Policies, u8> {
    if row.ops.count == 0 || row.ops.count > OPS_MAX {
        return Err(code::PARAMETER);
    }
    let replace = row.info3 & (wire::INFO3_CREATE_OR_REPLACE | wire::INFO3_REPLACE_ONLY) != 0;
    let respond_all = row.info2 & wire::INFO2_RESPOND_ALL_OPS != 0;
    let mut must_not_create = row.info3 & (wire::INFO3_UPDATE_ONLY | wire::INFO3_REPLACE_ONLY) != 0;
    let (mut reads, mut reads_all, mut answers) = (false, false, false);
    for operation in row.ops.iter() {
        if operation.code == op::TOUCH {
            if replace {
                return Err(code::PARAMETER);
            }
            must_not_create = true;
            continue;
        }
        BinName::new(operation.name).ok_or(code::BIN_NAME)?;
        if is_read_all(&operation, row) {
            if respond_all || reads_all {
                return Err(code::PARAMETER);
            }
            (reads, reads_all) = (true, true);
        } else if ops::is_read(operation.code) {
            (reads, answers) = (true, true);
        } else {
            let puts = operation.code == op::WRITE && operation.particle != particle::NULL;
            // The server allows an expression write here.
            if replace && !puts && operation.code != op::EXP_MODIFY {
                return Err(code::PARAMETER);
            }
            answers |= operation.code == op::CDT_MODIFY;
        }
    }
    let get_all = row.info1 & wire::INFO1_GET_ALL != 0;
    if (reads && row.info1 & wire::INFO1_READ == 0) || (reads_all && answers) || (get_all && !reads_all) {
        return Err(code::PARAMETER);
    }
    Ok(Policies {
        must_not_create,
        replace,
        respond_all,
    })
}

fn write(namespace: &Namespace, digest: &Digest, row: &Row<'_>, world: World, out: &mut Vec<u8>) -> Done {
    let config = namespace.config.read();
    if world.stop_writes || config.stop_writes {
        return Done::refused(code::OUT_OF_SPACE);
    }
    let policies = match policies(row) {
        Ok(policies) => policies,
        Err(code) => return Done::refused(code),
    };
    let mut shard = namespace.shard(digest);
    let entry = shard.entry(*digest);
    let existing = match &entry {
        Entry::Occupied(entry) if !entry.get().is_expired(world.now) => Some(entry.get()),
        _ => None,
    };
    if existing.is_none() && policies.must_not_create {
        return Done::refused(code::NOT_FOUND);
    }
    let (record, done) = match apply(namespace, &config, row, existing, &policies, world, out) {
        Ok(applied) => applied,
        // An error answers with the metadata of the unchanged record.
        Err(code) => return existing.map_or(Done::refused(code), |record| Done::of(code, record)),
    };
    match (record, entry) {
        (Some(record), Entry::Occupied(ref mut entry)) => {
            entry.insert(record);
        }
        (Some(record), Entry::Vacant(entry)) => {
            entry.insert(record);
            namespace.objects.fetch_add(1, Ordering::Relaxed);
        }
        (None, Entry::Occupied(entry)) => {
            entry.remove();
            namespace.objects.fetch_sub(1, Ordering::Relaxed);
        }
        (None, Entry::Vacant(_)) => {}
    }
    done
}

/// Returns the record to store (`None`: its last bin is gone) and the row's answer. The error is a result code.
fn apply(
    namespace: &Namespace,
    config: &NamespaceConfig,
    row: &Row<'_>,
    existing: Option<&Record>,
    policies: &Policies,
    world: World,
    out: &mut Vec<u8>,
) -> Result<(Option<Record>, Done), u8> {
    if row.info2 & wire::INFO2_CREATE_ONLY != 0 && existing.is_some() {
        return Err(code::RECORD_EXISTS);
    }
    if !generation_fits(row, existing.map_or(0, |record| record.generation)) {
        return Err(code::GENERATION);
    }
    let set = match existing {
        None => namespace.set_id(row.set)?,
        Some(record) if namespace.find_set(row.set) == Some(record.set) => record.set,
        Some(_) => return Err(code::PARAMETER),
    };
    if let Some(record) = existing {
        // When the record is created, the filter is not evaluated.
        if !passes(row, record, world)? {
            return Err(code::FILTERED_OUT);
        }
        if !key_fits(row, record) {
            return Err(code::KEY_MISMATCH);
        }
    }
    let void_time = void_time(config, row.ttl, existing, world.now)?;
    let key = existing
        .and_then(|record| record.key.as_deref())
        .or(row.key)
        .map(Into::into);
    let mut bins = match existing {
        Some(record) if !policies.replace => record.bins.clone(),
        _ => Vec::with_capacity(usize::from(row.ops.count)),
    };
    let had_bins = !bins.is_empty();
    let ops = apply_ops(
        row,
        &mut bins,
        policies,
        Context {
            bins: &[],
            void_time,
            now: world.now,
        },
        out,
    )?;
    if bins.is_empty() {
        if !had_bins {
            return Err(code::NOT_FOUND);
        }
        if row.info2 & wire::INFO2_DURABLE_DELETE != 0 {
            return Err(code::ENTERPRISE_ONLY);
        }
        return Ok((None, Done { ops, ..Done::default() }));
    }
    let record = Record {
        set,
        generation: Record::next_generation(existing),
        void_time,
        key,
        bins,
    };
    if record_bytes(&record, row.set) > config.max_record_bytes {
        return Err(code::RECORD_TOO_BIG);
    }
    let done = Done {
        ops,
        ..Done::of(code::OK, &record)
    };
    Ok((Some(record), done))
}

fn apply_ops(
    row: &Row<'_>,
    bins: &mut Vec<Bin>,
    policies: &Policies,
    context: Context<'_>,
    out: &mut Vec<u8>,
) -> Result<u16, u8> {
    let mut answered = 0;
    for operation in row.ops.iter() {
        if is_read_all(&operation, row) {
            answered += put_all(bins, out);
            continue;
        }
        let value = if ops::is_read(operation.code) {
            let value = ops::read(bins, &operation, &context)?;
            if value.is_none() && operation.code == op::READ && !policies.respond_all {
                continue;
            }
            value
        } else {
            match ops::modify(bins, &operation, &context)? {
                Outcome::Result(value) => Some(value),
                Outcome::Silent if policies.respond_all => None,
                Outcome::Silent | Outcome::None => continue,
            }
        };
        put_op(out, operation.code, operation.name, value.as_ref());
        answered += 1;
    }
    Ok(answered)
}

fn void_time(config: &NamespaceConfig, ttl: u32, existing: Option<&Record>, now: u32) -> Result<u32, u8> {
    let ttl = if ttl == TTL_KEEP && existing.is_none() {
        TTL_DEFAULT
    } else {
        ttl
    };
    if ttl > TTL_SECONDS_MAX && ttl != TTL_NEVER && ttl != TTL_KEEP {
        return Err(code::PARAMETER);
    }
    let seconds = match ttl {
        TTL_NEVER => return Ok(0),
        TTL_KEEP => return Ok(existing.map_or(0, |record| record.void_time)),
        TTL_DEFAULT => config.default_ttl,
        seconds => seconds,
    };
    if seconds == 0 {
        return Ok(0);
    }
    if config.nsup_period == 0 && !config.allow_ttl_without_nsup {
        return Err(code::FORBIDDEN);
    }
    Ok(now.saturating_add(seconds))
}

/// The record's size that the server compares with `max-record-size`. It is the size in storage, even for a namespace
/// in memory (`as_flat_record_size`, and `*_flat_size` of the particles).
fn record_bytes(record: &Record, set: &[u8]) -> usize {
    let void_time = if record.void_time == 0 { 0 } else { 4 };
    let set = if set.is_empty() { 0 } else { 1 + set.len() };
    let key = record.key.as_ref().map_or(0, |key| varint_bytes(key.len()) + key.len());
    let bins = record
        .bins
        .iter()
        .map(|bin| 1 + bin.name.as_bytes().len() + particle_bytes(&bin.particle));
    RECORD_OVERHEAD_BYTES + void_time + set + key + varint_bytes(record.bins.len()) + bins.sum::<usize>()
}

fn varint_bytes(value: usize) -> usize {
    (value.max(1).ilog2() as usize / 7) + 1
}

fn particle_bytes(particle: &Particle) -> usize {
    match particle {
        Particle::Integer(0..=0xff) => 3,
        Particle::Integer(0x100..=0xffff) => 4,
        Particle::Integer(0x1_0000..=0xffff_ffff) => 6,
        Particle::Integer(_) => 10,
        Particle::Float(_) => 9,
        Particle::Bool(_) => 2,
        Particle::Bytes(_, bytes) => 5 + bytes.len(),
    }
}
