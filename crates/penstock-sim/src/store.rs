//! The records: namespaces with their sets. Each namespace has one map by digest, split into shards with a lock each.
//!
//! A row is atomic because it runs under its shard's lock (`execute`). This module has no policy: `execute` and `ops`
//! decide what may be written and how an operation changes a bin.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::message::Digest;
use super::msgpack::{self, Value};
use super::wire::code;

/// Maximum length of a bin name.
pub const BIN_NAME_BYTES_MAX: usize = 15;
const SET_NAME_BYTES_MAX: usize = 63;
/// Set names of a namespace are never removed. The server has room for 4095.
const SETS_MAX: usize = 4095;
const SHARDS: usize = 256;
/// Void times count seconds from the start of 2010, UTC.
const EPOCH_SECONDS: i64 = 1_262_304_000;

/// Particle types.
pub mod particle {
    pub const NULL: u8 = 0;
    pub const INTEGER: u8 = 1;
    pub const FLOAT: u8 = 2;
    pub const STRING: u8 = 3;
    pub const BLOB: u8 = 4;
    pub const BOOL: u8 = 17;
    pub const HLL: u8 = 18;
    pub const MAP: u8 = 19;
    pub const LIST: u8 = 20;
    pub const GEOJSON: u8 = 23;
}

/// A bin's value. Bytes are shared, so a copy of the bins does not copy their bytes.
#[derive(Debug, Clone)]
pub enum Particle {
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// Strings, blobs, lists and maps (as msgpack), by their particle type.
    Bytes(u8, Arc<[u8]>),
}

impl Particle {
    pub fn kind(&self) -> u8 {
        match self {
            Particle::Integer(_) => particle::INTEGER,
            Particle::Float(_) => particle::FLOAT,
            Particle::Bool(_) => particle::BOOL,
            Particle::Bytes(kind, _) => *kind,
        }
    }

    /// Reads a particle from a message. The error is a result code.
    pub fn from_wire(kind: u8, bytes: &[u8]) -> Result<Self, u8> {
        match kind {
            // The server zero-extends narrow integers (`integer_from_wire`).
            particle::INTEGER => match *bytes {
                [a] => Ok(Particle::Integer(i64::from(a))),
                [a, b] => Ok(Particle::Integer(i64::from(u16::from_be_bytes([a, b])))),
                [a, b, c, d] => Ok(Particle::Integer(i64::from(u32::from_be_bytes([a, b, c, d])))),
                _ => bytes
                    .try_into()
                    .map(|bytes| Particle::Integer(i64::from_be_bytes(bytes)))
                    .map_err(|_| code::PARAMETER),
            },
            particle::FLOAT => bytes
                .try_into()
                .map(|bytes| Particle::Float(f64::from_be_bytes(bytes)))
                .map_err(|_| code::PARAMETER),
            particle::BOOL => match bytes {
                [value @ 0..=1] => Ok(Particle::Bool(*value == 1)),
                _ => Err(code::PARAMETER),
            },
            particle::STRING | particle::BLOB | particle::HLL | particle::GEOJSON => {
                Ok(Particle::Bytes(kind, bytes.into()))
            }
            particle::LIST | particle::MAP => {
                // If the size of these is wrong, the result is "unknown", unlike for every other particle
                // (`list_size_from_wire`).
                let value = msgpack::read_all(bytes)
                    .filter(Value::is_storable)
                    .ok_or(code::UNKNOWN)?;
                match (kind, value.as_list().is_some(), value.as_map().is_some()) {
                    (particle::LIST, true, _) | (particle::MAP, _, true) => Ok(Particle::from_value(&value)),
                    _ => Err(code::UNKNOWN),
                }
            }
            _ => Err(code::PARAMETER),
        }
    }

    /// The particle of a value. Nil becomes a null particle, which no bin can hold.
    pub fn from_value(value: &Value) -> Self {
        match value {
            Value::Nil => Particle::Bytes(particle::NULL, Arc::from([])),
            Value::Bool(value) => Particle::Bool(*value),
            Value::Int(value) => Particle::Integer(*value),
            Value::Float(value) => Particle::Float(*value),
            Value::Float32(value) => Particle::Float(f64::from(*value)),
            Value::Str(text) => Particle::Bytes(particle::STRING, text.as_bytes().into()),
            Value::Blob(bytes) => Particle::Bytes(particle::BLOB, bytes.as_slice().into()),
            Value::Particle(kind, bytes) | Value::Extension(kind, bytes) => {
                Particle::Bytes(*kind, bytes.as_slice().into())
            }
            Value::List(_) | Value::OrderedList(..) => Particle::packed(particle::LIST, value),
            Value::Map(_) | Value::OrderedMap(..) => Particle::packed(particle::MAP, value),
        }
    }

    fn packed(kind: u8, value: &Value) -> Self {
        let mut out = Vec::new();
        msgpack::write(&mut out, value);
        Particle::Bytes(kind, out.into())
    }

    pub fn to_value(&self) -> Value {
        match self {
            Particle::Integer(value) => Value::Int(*value),
            Particle::Float(value) => Value::Float(*value),
            Particle::Bool(value) => Value::Bool(*value),
            Particle::Bytes(particle::NULL, _) => Value::Nil,
            Particle::Bytes(kind @ (particle::LIST | particle::MAP), bytes) => {
                msgpack::read_all(bytes).unwrap_or_else(|| Value::Particle(*kind, bytes.to_vec()))
            }
            Particle::Bytes(kind, bytes) => msgpack::from_particle(*kind, bytes),
        }
    }

    pub fn wire_bytes(&self) -> usize {
        match self {
            Particle::Integer(_) | Particle::Float(_) => 8,
            Particle::Bool(_) => 1,
            Particle::Bytes(_, bytes) => bytes.len(),
        }
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Particle::Integer(value) => out.extend_from_slice(&value.to_be_bytes()),
            Particle::Float(value) => out.extend_from_slice(&value.to_be_bytes()),
            Particle::Bool(value) => out.push(u8::from(*value)),
            Particle::Bytes(_, bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// A bin's name, stored inline. As separate allocations, the names would take more memory than the values in most
/// records.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BinName {
    len: u8,
    bytes: [u8; BIN_NAME_BYTES_MAX],
}

impl BinName {
    /// `None` if the name has more than 15 bytes or contains a zero byte (`as_bin_name_check`).
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; BIN_NAME_BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        (!name.contains(&0)).then_some(BinName {
            len: name.len() as u8,
            bytes,
        })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[derive(Clone)]
pub struct Bin {
    pub name: BinName,
    pub particle: Particle,
}

/// A stored record.
#[derive(Clone)]
pub struct Record {
    pub set: u16,
    pub generation: u16,
    /// 0: never expires.
    pub void_time: u32,
    /// The user key, after its particle type, if it was sent.
    pub key: Option<Box<[u8]>>,
    pub bins: Vec<Bin>,
}

impl Record {
    pub fn is_expired(&self, now: u32) -> bool {
        self.void_time != 0 && self.void_time <= now
    }

    /// The generation of a new version of a record: 16 bits, never 0.
    pub fn next_generation(existing: Option<&Record>) -> u16 {
        existing.map_or(1, |record| record.generation.checked_add(1).unwrap_or(1))
    }
}

/// A digest is a hash already, so eight of its bytes are used as the hash.
#[derive(Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.last_chunk() {
            self.0 ^= u64::from_le_bytes(*word);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

pub type DigestMap<V> = HashMap<Digest, V, BuildHasherDefault<DigestHasher>>;

/// The settings of a namespace at the start. `penstock-sim` leaves all but the name at the default. They can be changed
/// later (`Simulator::configure`, the control command `namespace`, `set-config` over the info protocol).
#[derive(Debug, Clone)]
pub struct NamespaceConfig {
    /// Its name in messages.
    pub name: String,
    /// `memory` or `device`. Only `namespace/<name>` reports it.
    pub storage_engine: String,
    /// The ttl in seconds of a record that is written with the namespace's default; 0: it never expires.
    pub default_ttl: u32,
    /// 0: nothing expires, and a record with a ttl is refused with 22, as on the server.
    pub nsup_period: u32,
    /// Accepts records with a ttl although nothing expires.
    pub allow_ttl_without_nsup: bool,
    /// Larger records are refused with 13.
    pub max_record_bytes: usize,
    /// Writes answer 8, as if the namespace had exceeded one of its thresholds. Deletes still work.
    pub stop_writes: bool,
    /// `namespace/<name>` says that the namespace evicts records. It does not.
    pub hwm_breached: bool,
    /// `namespace/<name>` says that it is strongly consistent. It is not.
    pub strong_consistency: bool,
}

impl NamespaceConfig {
    /// A namespace in memory, in which nothing expires by default, for records of up to 1 MiB.
    pub fn new(name: impl Into<String>) -> Self {
        NamespaceConfig {
            name: name.into(),
            storage_engine: "memory".to_owned(),
            default_ttl: 0,
            nsup_period: 120,
            allow_ttl_without_nsup: false,
            max_record_bytes: 1 << 20,
            stop_writes: false,
            hwm_breached: false,
            strong_consistency: false,
        }
    }

    /// Changes a setting by its name in the server's configuration. The error says what is allowed.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        fn parse<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
            value.parse().map_err(|_| format!("not a value of {name}: {value:?}"))
        }
        match name {
            "default-ttl" => self.default_ttl = parse(name, value)?,
            "nsup-period" => self.nsup_period = parse(name, value)?,
            "allow-ttl-without-nsup" => self.allow_ttl_without_nsup = parse(name, value)?,
            // The server's limits (`cfg_info.c`).
            "max-record-size" => match parse(name, value)? {
                bytes @ 64..=0x80_0000 => self.max_record_bytes = bytes,
                _ => return Err(format!("max-record-size must be between 64 and 8388608: {value:?}")),
            },
            // Not settings of the server that can be changed: thresholds cause them, or the start.
            "stop-writes" => self.stop_writes = parse(name, value)?,
            "hwm-breached" => self.hwm_breached = parse(name, value)?,
            "strong-consistency" => self.strong_consistency = parse(name, value)?,
            _ => {
                return Err(format!(
                    "no such setting: {name:?} (default-ttl, nsup-period, allow-ttl-without-nsup, max-record-size, \
                     stop-writes, hwm-breached, strong-consistency)"
                ));
            }
        }
        Ok(())
    }
}

impl From<&str> for NamespaceConfig {
    fn from(name: &str) -> Self {
        NamespaceConfig::new(name)
    }
}

pub struct Namespace {
    pub name: String,
    /// The settings that can be changed at run time.
    pub config: RwLock<NamespaceConfig>,
    sets: RwLock<Sets>,
    shards: Vec<Mutex<DigestMap<Record>>>,
    /// The number of live and expired records.
    pub objects: AtomicU64,
}

#[derive(Default)]
struct Sets {
    by_name: HashMap<Box<[u8]>, u16>,
    names: Vec<Box<[u8]>>,
}

impl Namespace {
    fn new(config: NamespaceConfig) -> Self {
        Namespace {
            name: config.name.clone(),
            config: RwLock::new(config),
            sets: RwLock::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            objects: AtomicU64::new(0),
        }
    }

    /// The shard of a record. It is chosen by another byte of the digest than partitions and hashing use.
    pub fn shard(&self, digest: &Digest) -> MutexGuard<'_, DigestMap<Record>> {
        self.shards[usize::from(digest[4])].lock()
    }

    /// The number of a set, created on first use. 0 means no set. The error is a result code.
    pub fn set_id(&self, name: &[u8]) -> Result<u16, u8> {
        if name.is_empty() {
            return Ok(0);
        }
        if let Some(id) = self.sets.read().by_name.get(name) {
            return Ok(*id);
        }
        if name.len() > SET_NAME_BYTES_MAX {
            return Err(code::PARAMETER);
        }
        let mut sets = self.sets.write();
        if let Some(id) = sets.by_name.get(name) {
            return Ok(*id);
        }
        if sets.names.len() >= SETS_MAX {
            return Err(code::FORBIDDEN);
        }
        sets.names.push(name.into());
        let id = sets.names.len() as u16;
        sets.by_name.insert(name.into(), id);
        Ok(id)
    }

    /// The number of an existing set.
    pub fn find_set(&self, name: &[u8]) -> Option<u16> {
        if name.is_empty() {
            Some(0)
        } else {
            self.sets.read().by_name.get(name).copied()
        }
    }

    pub fn set_names(&self) -> Vec<Box<[u8]>> {
        self.sets.read().names.clone()
    }

    /// Calls `visit` for each stored record, one shard at a time.
    pub fn for_each(&self, mut visit: impl FnMut(&Digest, &Record)) {
        for shard in &self.shards {
            shard.lock().iter().for_each(|(digest, record)| visit(digest, record));
        }
    }

    /// Stores a record and replaces an existing one.
    pub fn insert(&self, digest: &Digest, set: u16, bins: Vec<Bin>) {
        let mut shard = self.shard(digest);
        let before = shard.get(digest);
        let record = Record {
            set,
            generation: Record::next_generation(before),
            void_time: 0,
            key: None,
            bins,
        };
        if shard.insert(*digest, record).is_none() {
            self.objects.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes a record. `false`: there was none.
    pub fn remove(&self, digest: &Digest) -> bool {
        let removed = self.shard(digest).remove(digest).is_some();
        self.objects.fetch_sub(u64::from(removed), Ordering::Relaxed);
        removed
    }

    fn clear(&self) {
        for shard in &self.shards {
            let removed = std::mem::take(&mut *shard.lock()).len() as u64;
            self.objects.fetch_sub(removed, Ordering::Relaxed);
        }
    }

    fn retain(&self, keep: &impl Fn(&Digest) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|digest, _| keep(digest));
            self.objects.fetch_sub((before - shard.len()) as u64, Ordering::Relaxed);
        }
    }
}

/// All namespaces, and the clock by which records expire.
pub struct Store {
    namespaces: Vec<Namespace>,
    clock_offset_seconds: AtomicI64,
}

impl Store {
    pub fn new(namespaces: Vec<NamespaceConfig>) -> Self {
        Store {
            namespaces: namespaces.into_iter().map(Namespace::new).collect(),
            clock_offset_seconds: AtomicI64::new(0),
        }
    }

    pub fn namespace(&self, name: &[u8]) -> Option<&Namespace> {
        self.namespaces
            .iter()
            .find(|namespace| namespace.name.as_bytes() == name)
    }

    pub fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    /// Seconds since the start of 2010.
    pub fn now(&self) -> u32 {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64);
        let offset = self.clock_offset_seconds.load(Ordering::Relaxed);
        u32::try_from(seconds + offset - EPOCH_SECONDS).unwrap_or(0)
    }

    pub fn advance_clock(&self, seconds: i64) {
        self.clock_offset_seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn clear(&self) {
        self.namespaces.iter().for_each(Namespace::clear);
    }

    /// Keeps only the records for which `keep` returns true.
    pub fn retain(&self, keep: impl Fn(&Digest) -> bool) {
        self.namespaces.iter().for_each(|namespace| namespace.retain(&keep));
    }
}
