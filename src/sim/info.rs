//! The info protocol: names in, `name<TAB>value` lines out. What a client asks to know a cluster, and what a preflight
//! asks about a namespace.
//!
//! Values are those of a community server 8.1.2.0 on its own, cut to what somebody reads. Unknown names answer as
//! `thr_info.c` does. Histograms, statistics and every other setting are not there.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use base64::Engine as _;

use super::engine::Engine;
use super::store::Namespace;
use super::wire;

const BUILD: &str = "8.1.2.0";
const FEATURES: &str = "batch-any;batch-index;blob-bits;cdt-index;cdt-list;cdt-map;cluster-stable;float;geo;sindex-exists;\
                        peers;pipelining;pquery;pscans;query-show;relaxed-sc;replicas;replicas-all;replicas-master;\
                        replicas-max;truncate-namespace;udf";

/// Answers every name of a request.
pub fn answer(engine: &Engine, is_allowed: bool, body: &[u8], out: &mut Vec<u8>) {
    let start = wire::begin_frame(out, wire::PROTO_INFO);
    let text = String::from_utf8_lossy(body);
    // A name ends with its newline; what has none is not looked at.
    for name in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        out.extend_from_slice(name.as_bytes());
        out.push(b'\t');
        let value = if is_allowed {
            value(engine, name)
        } else {
            "ERROR:80:not authenticated".to_owned()
        };
        out.extend_from_slice(value.as_bytes());
        out.push(b'\n');
    }
    wire::end_frame(out, start);
}

fn value(engine: &Engine, name: &str) -> String {
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
        "partition-generation" | "peers-generation" => "0".to_owned(),
        // Generation, default port, no peers.
        "peers-clear-std" | "peers-clear-alt" => "0,3000,[]".to_owned(),
        "service-clear-std" | "service-clear-alt" | "service" => engine.node.addr.to_string(),
        "replicas" => replicas(engine),
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
            Some(found) => namespace(engine, found),
            None => "ERROR:4:unknown namespace".to_owned(),
        },
        "sets" => sets(engine, params),
        "user-agent-set" => "ok".to_owned(),
        "set-config" => set_config(engine, params),
        "status" => "ok".to_owned(),
        _ => "ERROR:4:unrecognized command".to_owned(),
    }
}

/// Per namespace: regime, replication factor, and the bitmap of partitions this node is master of.
fn replicas(engine: &Engine) -> String {
    let owned = base64::engine::general_purpose::STANDARD.encode(engine.node.partitions.as_slice());
    let entries: Vec<String> = engine
        .store
        .namespaces()
        .iter()
        .map(|namespace| format!("{}:0,1,{owned}", namespace.name))
        .collect();
    entries.join(";")
}

fn namespace(engine: &Engine, namespace: &Namespace) -> String {
    let config = namespace.config.read();
    let objects = namespace.objects.load(Ordering::Relaxed);
    let stop_writes = config.stop_writes || engine.faults.is_stop_writes();
    let now = engine.store.now();
    format!(
        "ns_cluster_size=1;effective_replication_factor=1;objects={objects};tombstones=0;xdr_tombstones=0;\
         xdr_bin_cemeteries=0;mrt_provisionals=0;master_objects={objects};master_tombstones=0;prole_objects=0;\
         prole_tombstones=0;non_replica_objects=0;non_replica_tombstones=0;unreplicated_records=0;dead_partitions=0;\
         unavailable_partitions=0;auto_revived_partitions=0;clock_skew_stop_writes=false;stop_writes={stop_writes};\
         hwm_breached=false;current_time={now};allow-ttl-without-nsup={};default-ttl={};max-record-size={};\
         nsup-period={};replication-factor=1;strong-consistency=false;storage-engine={}",
        config.allow_ttl_without_nsup,
        config.default_ttl,
        config.max_record_bytes,
        config.nsup_period,
        config.storage_engine,
    )
}

/// `sets/<namespace>`, `sets/<namespace>/<set>`, or all.
fn sets(engine: &Engine, params: &str) -> String {
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
        found.for_each(|_, record| {
            let (count, bytes) = &mut objects[usize::from(record.set)];
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

/// Of the service only `batch-max-requests` can be set, of a namespace what its configuration here has.
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
