//! Which node has the master of a partition.
//!
//! Each node tells what it owns ([`Part`]). A [`Map`] is made of the parts of all nodes. This module does no I/O:
//! `cluster` asks the nodes, and decides when to ask again. `docs/architecture/native-writer-partitions.md` has the
//! reasons.

use std::fmt;

use base64::Engine as _;

/// The number of partitions of a namespace.
pub const PARTITIONS: usize = 4096;
/// One bit per partition, the highest bit of the first byte for partition 0.
const BITMAP_BYTES: usize = PARTITIONS / 8;
/// No node has the partition.
const NOBODY: u16 = u16::MAX;

/// The partition of a record: the first two bytes of its digest (`aerospike-core` 3.0.0, `cluster/partition.rs`; the
/// server's `as_partition_getid`).
pub fn partition(digest: &[u8; 20]) -> usize {
    usize::from(u16::from_le_bytes([digest[0], digest[1]])) % PARTITIONS
}

/// A node, as the client found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its name in the cluster, for example `BB9020011AC4202`.
    pub name: String,
    /// `host:port`, or `[host]:port`.
    pub address: String,
}

/// Where the row of a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The place in [`Map::nodes`].
    Node(usize),
    /// No node has the master of the record's partition, or nothing is known of any node.
    NoNode,
    /// No node has the namespace.
    NoNamespace,
}

/// What one node owns: the partitions of which it is master, by namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    owned: Vec<Owned>,
}

#[derive(Clone, PartialEq, Eq)]
struct Owned {
    namespace: String,
    /// Counts the rebalances of a namespace with strong consistency. 0 for others.
    regime: u32,
    masters: Box<[u8; BITMAP_BYTES]>,
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: u32 = self.masters.iter().map(|bits| bits.count_ones()).sum();
        write!(f, "{}:{} ({count} partitions)", self.namespace, self.regime)
    }
}

/// Why an answer to `replicas` cannot be used. Says which part of it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

impl Part {
    /// Reads an answer to `replicas`: `namespace:regime,copies,bitmap,…;…`, with one bitmap per copy, in base64. The
    /// first bitmap is for masters. The others are counted and not read.
    ///
    /// A node that has just started may tell of 0 copies: it owns nothing yet.
    ///
    /// # Errors
    /// If any part of it has another form. Then nothing of it is used.
    pub fn parse(text: &str) -> Result<Part, Malformed> {
        let mut owned: Vec<Owned> = Vec::new();
        for entry in text.trim_end().trim_end_matches(';').split(';') {
            let Some((namespace, told)) = entry.split_once(':') else {
                return Err(Malformed("an entry has no namespace".to_owned()));
            };
            let wrong = |what: &str| Malformed(format!("namespace {namespace:?}: {what}"));
            if namespace.is_empty() || owned.iter().any(|owned| owned.namespace == namespace) {
                return Err(wrong("is empty or told twice"));
            }
            let mut told = told.split(',');
            let mut number = || told.next().and_then(|number| number.parse::<u32>().ok());
            let regime = number().ok_or_else(|| wrong("no regime"))?;
            let copies = number().ok_or_else(|| wrong("no number of copies"))?;
            let bitmaps: Vec<&str> = told.collect();
            if u32::try_from(bitmaps.len()) != Ok(copies) {
                return Err(wrong(&format!("{} bitmaps for {copies} copies", bitmaps.len())));
            }
            let masters = match bitmaps.first() {
                Some(bitmap) => decode(bitmap).map_err(|what| wrong(&what))?,
                None => Box::new([0; BITMAP_BYTES]),
            };
            owned.push(Owned {
                namespace: namespace.to_owned(),
                regime,
                masters,
            });
        }
        Ok(Part { owned })
    }

    fn of(&self, namespace: &str) -> Option<&Owned> {
        self.owned.iter().find(|owned| owned.namespace == namespace)
    }
}

fn decode(bitmap: &str) -> Result<Box<[u8; BITMAP_BYTES]>, String> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(bitmap)
        .map_err(|error| format!("a bitmap is not base64 ({error})"))?;
    let count = bytes.len();
    bytes
        .into_boxed_slice()
        .try_into()
        .map_err(|_| format!("a bitmap has {count} bytes in place of {BITMAP_BYTES}"))
}

/// A node and what it told.
#[derive(Debug, Clone)]
pub struct Claim<'c> {
    pub address: &'c NodeAddress,
    /// `None`: nothing yet, or nothing that counts.
    pub part: Option<&'c Part>,
    /// Which of two answers came later. No two are the same.
    pub order: u64,
}

/// The nodes, and the masters of all partitions. Never changes: a new one takes its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    epoch: u64,
    nodes: Vec<NodeAddress>,
    namespaces: Vec<Masters>,
}

/// The masters of a namespace: for each partition the place in [`Map::nodes`], or [`NOBODY`].
#[derive(Clone, PartialEq, Eq)]
struct Masters {
    namespace: String,
    nodes: Box<[u16; PARTITIONS]>,
}

impl fmt::Debug for Masters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owned = self.nodes.iter().filter(|node| **node != NOBODY).count();
        write!(f, "{} ({owned} partitions)", self.namespace)
    }
}

impl Map {
    /// The map of these nodes. Of two nodes that claim a partition, the one with the higher regime has it; of two with
    /// the same regime, the one that answered later. A partition that nobody claims stays with the node that has it in
    /// `before`, as long as that node is there: it passes rows on to the new master. (The crate and the Java client do
    /// the same.)
    ///
    /// Also returns the places of the nodes that lost a partition to a later answer: what they told is old.
    pub fn merge(epoch: u64, claims: &[Claim<'_>], before: &Map) -> (Map, Vec<usize>) {
        let mut is_stale = vec![false; claims.len()];
        let mut order: Vec<usize> = (0..claims.len()).filter(|place| *place < usize::from(NOBODY)).collect();
        order.sort_by_key(|place| claims[*place].order);
        let mut namespaces: Vec<Masters> = Vec::new();
        let parts = claims.iter().filter_map(|claim| claim.part);
        for namespace in parts.flat_map(|part| &part.owned).map(|owned| &owned.namespace) {
            if namespaces.iter().any(|known| known.namespace == *namespace) {
                continue;
            }
            let mut nodes = Box::new([NOBODY; PARTITIONS]);
            let mut regimes = [0; PARTITIONS];
            for place in &order {
                let claimed = claims[*place].part.and_then(|part| part.of(namespace));
                let Some(claimed) = claimed else {
                    continue;
                };
                for partition in claimed.partitions() {
                    let has = nodes[partition];
                    if has != NOBODY {
                        // Of the two, this one answered later.
                        let is_lost = claimed.regime < regimes[partition];
                        is_stale[usize::from(has)] |= !is_lost;
                        if is_lost {
                            continue;
                        }
                    }
                    nodes[partition] = u16::try_from(*place).unwrap_or(NOBODY);
                    regimes[partition] = claimed.regime;
                }
            }
            namespaces.push(Masters {
                namespace: namespace.clone(),
                nodes,
            });
        }
        let mut map = Map {
            epoch,
            nodes: claims.iter().map(|claim| claim.address.clone()).collect(),
            namespaces,
        };
        map.keep(before);
        let stale = (0..claims.len()).filter(|place| is_stale[*place]).collect();
        (map, stale)
    }

    /// Gives partitions that nobody claims to those who had them.
    fn keep(&mut self, before: &Map) {
        let places: Vec<u16> = before
            .nodes
            .iter()
            .map(|node| {
                let place = self.nodes.iter().position(|known| known.name == node.name);
                place.and_then(|place| u16::try_from(place).ok()).unwrap_or(NOBODY)
            })
            .collect();
        for masters in &mut self.namespaces {
            let Some(had) = before.masters(&masters.namespace) else {
                continue;
            };
            for (node, had) in masters.nodes.iter_mut().zip(had.nodes.iter()) {
                if *node == NOBODY {
                    *node = places.get(usize::from(*had)).copied().unwrap_or(NOBODY);
                }
            }
        }
    }

    /// Changes when the client was replaced. Connections of another epoch must not be used again.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// In the order of the client. The order differs between maps.
    pub fn nodes(&self) -> &[NodeAddress] {
        &self.nodes
    }

    /// Who has the master of the partition of this record. Allocates nothing.
    pub fn owner(&self, namespace: &str, digest: &[u8; 20]) -> Owner {
        let Some(masters) = self.masters(namespace) else {
            return match self.namespaces.is_empty() {
                true => Owner::NoNode,
                false => Owner::NoNamespace,
            };
        };
        match masters.nodes[partition(digest)] {
            NOBODY => Owner::NoNode,
            place => Owner::Node(usize::from(place)),
        }
    }

    /// A cluster has few namespaces, so a search through their names is fast.
    fn masters(&self, namespace: &str) -> Option<&Masters> {
        self.namespaces.iter().find(|masters| masters.namespace == namespace)
    }

    /// The number of partitions without a node, in all namespaces.
    pub fn holes(&self) -> usize {
        let nodes = self.namespaces.iter().flat_map(|masters| masters.nodes.iter());
        nodes.filter(|node| **node == NOBODY).count()
    }
}

impl Owned {
    fn partitions(&self) -> impl Iterator<Item = usize> {
        let bytes = self.masters.iter().enumerate().filter(|(_, bits)| **bits != 0);
        bytes.flat_map(|(at, bits)| {
            (0..8)
                .filter(move |bit| bits & (0x80 >> bit) != 0)
                .map(move |bit| at * 8 + bit)
        })
    }
}

#[cfg(test)]
mod tests;
