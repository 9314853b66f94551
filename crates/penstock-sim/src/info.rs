//! The info protocol: names in, `name<TAB>value` lines out. It answers what a client asks to learn about a cluster, and
//! what a check asks about a namespace.
//!
//! Values are those of a community server 8.1.2.0, reduced to what is read. Unknown names are answered as in
//! `thr_info.c`. Histograms, most statistics and all other settings are missing. Settings that can be changed are
//! shared by all nodes.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use base64::Engine as _;

use super::cluster::{PARTITIONS, REPLICATION_FACTOR, View};
use super::engine::Engine;
use super::nodes::Presence;
use super::store::{Namespace, Record};
use super::wire::{self, code};

const BUILD: &str = "8.1.2.0";
const FEATURES: &str = "batch-any;batch-index;blob-bits;cdt-index;cdt-list;cdt-map;cluster-stable;float;geo;sindex-exists;\
                        peers;pipelining;pquery;pscans;query-show;relaxed-sc;replicas;replicas-all;replicas-master;\
                        replicas-max;truncate-namespace;udf";

/// Answers every name of a request. For a connection that may not ask: answers with one line without a name
/// (`thr_info.c`, `authenticate`, `append_security_error`).
pub fn answer(engine: &Engine, allowed: Result<(), u8>, body: &[u8], out: &mut Vec<u8>) {
    let start = wire::begin_frame(out, wire::PROTO_INFO);
    if let Err(code) = allowed {
        let words = match code {
            code::NOT_AUTHENTICATED => "not authenticated",
            _ => "unexpected security result",
        };
        out.extend_from_slice(format!("ERROR:{code}:{words}\n").as_bytes());
        wire::end_frame(out, start);
        return;
    }
    let text = String::from_utf8_lossy(body);
    // One view for the whole request: a map and its generation belong together.
    let view = engine.cluster.view();
    // A name ends with a newline. Text without one is ignored.
    for name in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        out.extend_from_slice(name.as_bytes());
        out.push(b'\t');
        let value = value(engine, &view, name);
        out.extend_from_slice(value.as_bytes());
        out.push(b'\n');
    }
    wire::end_frame(out, start);
}

fn value(engine: &Engine, view: &View, name: &str) -> String {
    let config = &engine.config;
    let (command, params) = match name.split_once([':', '/']) {
        Some((command, params)) => (command, params),
        None => (name, ""),
    };
    match command {
        "node" => engine.node.name.clone(),
        "cluster-name" => config.cluster_name.clone(),
        "build" => BUILD.to_owned(),
        "edition" => "Aerospike Community Edition".to_owned(),
        "version" => format!("Aerospike Community Edition build {BUILD}"),
        "features" => FEATURES.to_owned(),
        // Clients treat a node that answers -1 as not ready.
        "partition-generation" if !view.is_member(engine.node.number) => "-1".to_owned(),
        "partition-generation" => generation(engine, view).to_string(),
        "peers-generation" => peers_generation(engine, view).to_string(),
        "peers-clear-std" => peers(engine, view, false, Presence::announced),
        "peers-clear-alt" => peers(engine, view, false, Presence::announced_alternate),
        "peers-tls-std" => peers(engine, view, true, Presence::announced),
        "peers-tls-alt" => peers(engine, view, true, Presence::announced_alternate),
        // What is of the other kind is empty: a service without a port has no addresses (`populate_local`).
        "service-clear-std" => of_kind(engine, false, Presence::announced),
        "service-clear-alt" => of_kind(engine, false, Presence::announced_alternate),
        "service-tls-std" => of_kind(engine, true, Presence::announced),
        "service-tls-alt" => of_kind(engine, true, Presence::announced_alternate),
        "service" => of_kind(engine, false, Presence::announced).replace(',', ";"),
        "replicas" => replicas(engine, view),
        "namespaces" => {
            let names: Vec<&str> = engine
                .store
                .namespaces()
                .iter()
                .map(|namespace| namespace.name.as_str())
                .collect();
            names.join(";")
        }
        "namespace" => match engine.store.namespace(params.as_bytes()) {
            Some(found) => namespace(engine, view, found),
            None => "ERROR:4:unknown namespace".to_owned(),
        },
        "sets" => sets(engine, view, params),
        "user-agent-set" => "ok".to_owned(),
        "set-config" => set_config(engine, params),
        "status" => "ok".to_owned(),
        "statistics" => statistics(view),
        _ => "ERROR:4:unrecognized command".to_owned(),
    }
}

/// The generation counts from when the node joined.
fn generation(engine: &Engine, view: &View) -> u64 {
    engine.node.presence.generation(view.generation)
}

/// Changes with the members of the cluster and with the addresses that they announce.
fn peers_generation(engine: &Engine, view: &View) -> u64 {
    let announcements: u64 = engine.presences.iter().map(|presence| presence.announcements()).sum();
    generation(engine, view) + announcements
}

/// The addresses of this node for clients with TLS, or without.
fn of_kind(engine: &Engine, tls: bool, announced: impl Fn(&Presence) -> String) -> String {
    match engine.tls.is_some() == tls {
        true => announced(&engine.node.presence),
        false => String::new(),
    }
}

/// Generation, default port, and for each peer its name, its TLS name and its addresses. A peer without an address of
/// this kind is left out (`service_list.c`, `build_peers`).
fn peers(engine: &Engine, view: &View, tls: bool, announced: impl Fn(&Presence) -> String) -> String {
    const DEFAULT_PORT: u16 = 3000;
    let this = engine.node.number;
    let tls_name = engine
        .config
        .tls
        .as_ref()
        .filter(|_| tls)
        .map_or("", |tls| tls.name.as_str());
    // A node that is not in the cluster yet knows no peers.
    let peers = view.members().filter(|node| *node != this && view.is_member(this));
    let peers: Vec<String> = peers
        .filter_map(|node| {
            let name = engine.config.node_name(node);
            let announced = match engine.tls.is_some() == tls {
                true => announced(&engine.presences[node]),
                false => String::new(),
            };
            let suffix = format!(":{DEFAULT_PORT}");
            let addrs: Vec<&str> = announced
                .split(',')
                .map(|addr| addr.strip_suffix(&suffix).unwrap_or(addr))
                .collect();
            (!announced.is_empty()).then(|| format!("[{name},{tls_name},[{}]]", addrs.join(",")))
        })
        .collect();
    format!(
        "{},{DEFAULT_PORT},[{}]",
        peers_generation(engine, view),
        peers.join(",")
    )
}

/// For each namespace: regime, replication factor, and for each copy the bitmap of the partitions for which this node
/// has that copy.
fn replicas(engine: &Engine, view: &View) -> String {
    let mut maps = String::new();
    for copy in 0..view.replication_factor() {
        let bitmap = view.bitmap(engine.node.number, copy);
        let _ = write!(
            maps,
            ",{}",
            base64::engine::general_purpose::STANDARD.encode(bitmap.as_slice())
        );
    }
    let entries: Vec<String> = engine
        .store
        .namespaces()
        .iter()
        .map(|namespace| format!("{}:0,{}{maps}", namespace.name, view.replication_factor()))
        .collect();
    entries.join(";")
}

/// The number of a namespace's records at this node: as master, and as replica.
fn objects(engine: &Engine, view: &View, namespace: &Namespace) -> (u64, u64) {
    let this = engine.node.number;
    if view.mastered(this) == PARTITIONS {
        return (namespace.objects.load(Ordering::Relaxed), 0);
    }
    let (mut master, mut replica) = (0, 0);
    namespace.for_each(|digest, _| {
        if view.master(digest) == Some(this) {
            master += 1;
        } else if view.has(this, digest) {
            replica += 1;
        }
    });
    (master, replica)
}

fn namespace(engine: &Engine, view: &View, namespace: &Namespace) -> String {
    let config = namespace.config.read();
    let (master, replica) = objects(engine, view, namespace);
    let stop_writes = config.stop_writes || engine.faults.is_stop_writes();
    let now = engine.store.now();
    format!(
        "ns_cluster_size={};effective_replication_factor={};objects={};tombstones=0;xdr_tombstones=0;\
         xdr_bin_cemeteries=0;mrt_provisionals=0;master_objects={master};master_tombstones=0;prole_objects={replica};\
         prole_tombstones=0;non_replica_objects=0;non_replica_tombstones=0;unreplicated_records=0;dead_partitions=0;\
         unavailable_partitions=0;auto_revived_partitions=0;clock_skew_stop_writes=false;stop_writes={stop_writes};\
         hwm_breached={};current_time={now};allow-ttl-without-nsup={};default-ttl={};max-record-size={};\
         nsup-period={};replication-factor={};strong-consistency={};storage-engine={}",
        view.members().count(),
        view.replication_factor(),
        master + replica,
        config.hwm_breached,
        config.allow_ttl_without_nsup,
        config.default_ttl,
        config.max_record_bytes,
        config.nsup_period,
        REPLICATION_FACTOR.min(engine.presences.len()),
        config.strong_consistency,
        config.storage_engine,
    )
}

/// The first statistics of a server, which are about its cluster (`info_get_stats`). All nodes have the same clock.
fn statistics(view: &View) -> String {
    format!(
        "failed_best_practices=false;cluster_size={};cluster_integrity=true;cluster_is_member=true;\
         cluster_duplicate_nodes=null;cluster_clock_skew_stop_writes_sec=0;cluster_clock_skew_ms=0;\
         cluster_clock_skew_outliers=null",
        view.members().count()
    )
}

/// `sets/<namespace>`, `sets/<namespace>/<set>`, or all.
fn sets(engine: &Engine, view: &View, params: &str) -> String {
    let (namespace, set) = params
        .split_once('/')
        .map_or((params, None), |(namespace, set)| (namespace, Some(set)));
    let mut text = String::new();
    for found in engine.store.namespaces() {
        if !namespace.is_empty() && found.name != namespace {
            continue;
        }
        let names = found.set_names();
        let mut objects = vec![(0u64, 0usize); names.len() + 1];
        found.for_each(|digest, record: &Record| {
            if !view.has(engine.node.number, digest) {
                return;
            }
            // A set that is new since the names were read is not told yet.
            let Some((count, bytes)) = objects.get_mut(usize::from(record.set)) else {
                return;
            };
            *count += 1;
            *bytes += record.bins.iter().map(|bin| bin.particle.wire_bytes()).sum::<usize>();
        });
        for (name, (count, bytes)) in names.iter().zip(&objects[1..]) {
            let name = String::from_utf8_lossy(name);
            if set.is_some_and(|set| set != name) {
                continue;
            }
            let _ = write!(
                text,
                "ns={}:set={name}:objects={count}:tombstones=0:data_used_bytes={bytes}:truncate_lut=0:sindexes=0:\
                 index_populating=false:truncating=false:default-read-touch-ttl-pct=0:default-ttl=0:\
                 disable-eviction=false:enable-index=false:stop-writes-count=0:stop-writes-size=0;",
                found.name
            );
        }
    }
    text
}

/// Of the service only `batch-max-requests` can be set; of a namespace, the settings in its configuration here.
fn set_config(engine: &Engine, params: &str) -> String {
    let bad = || "ERROR:4:bad parameter".to_owned();
    let params: Option<Vec<(&str, &str)>> = params.split(';').map(|param| param.split_once('=')).collect();
    let Some(params) = params else { return bad() };
    let find = |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    if find("context") == Some("namespace") {
        let Some(namespace) = find("id")
            .or(find("namespace"))
            .and_then(|name| engine.store.namespace(name.as_bytes()))
        else {
            return bad();
        };
        let mut config = namespace.config.write();
        let mut settings = params
            .iter()
            .filter(|(name, _)| !matches!(*name, "context" | "id" | "namespace"));
        return match settings.try_for_each(|(name, value)| config.set(name, value)) {
            Ok(()) => "ok".to_owned(),
            Err(_) => bad(),
        };
    }
    match find("batch-max-requests").map(str::parse) {
        Some(Ok(rows_max)) => {
            engine.batch_rows_max.store(rows_max, Ordering::Relaxed);
            "ok".to_owned()
        }
        _ => bad(),
    }
}
