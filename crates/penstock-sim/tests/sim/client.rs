//! The simulator as the real client sees it: values, batches, refusals, logins, and each fault; and the program
//! `penstock-sim` with its control port.

mod bench;
mod containers;
mod faults;
mod nodes;
mod rows;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aerospike::operations::{self, lists, maps};
use aerospike::policy::AuthMode;
use aerospike::{
    AdminPolicy, BatchDeletePolicy, BatchOperation, BatchPolicy, BatchReadPolicy, BatchWritePolicy, Bin, Bins, Client,
    ClientPolicy, Concurrency, Expiration, GenerationPolicy, Key, ReadPolicy, RecordExistsAction, ResultCode, Value,
    WritePolicy, as_bin, as_key, expressions,
};
use penstock_sim::{NamespaceConfig, Share, SimConfig, Simulator, Stalled, Value as SimValue, control_command};

fn start(config: SimConfig) -> (Simulator, Client) {
    let simulator = Simulator::start(config).unwrap();
    let client = connect(simulator.addr(), AuthMode::None).unwrap();
    (simulator, client)
}

fn inline() -> SimConfig {
    SimConfig {
        inline: true,
        ..SimConfig::default()
    }
}

fn connect(addr: SocketAddr, auth_mode: AuthMode) -> aerospike::Result<Client> {
    let policy = ClientPolicy {
        auth_mode,
        timeout: 2000,
        // The faults here would trip the client's circuit breaker.
        max_error_rate: 0,
        ..ClientPolicy::default()
    };
    Client::new(&policy, &addr.to_string())
}

fn write_policy(total_timeout_ms: u32) -> WritePolicy {
    let mut policy = WritePolicy::default();
    policy.base_policy.total_timeout = total_timeout_ms;
    policy.base_policy.max_retries = 0;
    policy
}

fn batch_policy(total_timeout_ms: u32) -> BatchPolicy {
    let mut policy = BatchPolicy::write_default();
    policy.concurrency = Concurrency::Sequential;
    policy.base_policy.total_timeout = total_timeout_ms;
    policy
}

const LONG_MS: u32 = 20_000;
const SHORT_MS: u32 = 300;

fn key(id: impl Into<Value>) -> Key {
    Key::new("test", "s", id.into()).unwrap()
}

fn put_row(id: i64, value: i64) -> BatchOperation {
    let ops = vec![operations::put(&as_bin!("v", value))];
    BatchOperation::write(&BatchWritePolicy::default(), key(id), ops)
}

fn codes(rows: &[BatchOperation]) -> Vec<Option<ResultCode>> {
    rows.iter().map(BatchOperation::result_code).collect()
}

fn count(codes: &[Option<ResultCode>], code: ResultCode) -> usize {
    codes.iter().filter(|found| **found == Some(code)).count()
}

/// The filter of a guarded row: the bin is absent, no integer, or below `first`.
fn guard(bin: &str, first: i64) -> expressions::Expression {
    expressions::or(vec![
        expressions::ne(expressions::bin_type(bin), expressions::int_val(1)),
        expressions::lt(expressions::int_bin(bin), expressions::int_val(first)),
    ])
}

/// The server's code of an error.
fn refused<T: std::fmt::Debug>(result: aerospike::Result<T>) -> Option<ResultCode> {
    result.unwrap_err().server_result_code()
}

#[test]
fn values_of_every_type_come_back_as_they_were_put() {
    let (simulator, client) = start(inline());
    let nested = Value::List(vec![
        Value::Int(-5),
        Value::from("x"),
        Value::Nil,
        Value::Bool(false),
        Value::List(vec![Value::from(2.5), Value::Blob(vec![1, 2])]),
    ]);
    let map: HashMap<Value, Value> = HashMap::from([
        (Value::from("k"), nested.clone()),
        (Value::Int(7), Value::Int(i64::MIN)),
    ]);
    let bins = [
        as_bin!("int", i64::MAX),
        as_bin!("float", -0.5),
        as_bin!("bool", true),
        as_bin!("str", "grüße"),
        as_bin!("empty", ""),
        as_bin!("blob", vec![0u8, 255]),
        Bin::new("list".to_owned(), nested.clone()),
        Bin::new("map".to_owned(), Value::from(map.clone())),
        Bin::new("null".to_owned(), Value::Nil),
    ];
    client.put(&write_policy(LONG_MS), &key("all"), &bins).unwrap();
    let record = client.get(&ReadPolicy::default(), &key("all"), Bins::All).unwrap();
    assert_eq!(record.bins.len(), 8, "{record:?}");
    for bin in bins.iter().filter(|bin| bin.name != "null" && bin.name != "map") {
        assert_eq!(record.bins.get(&bin.name), Some(&bin.value), "{}", bin.name);
    }
    let view = simulator.get("test", "s", "all").unwrap();
    assert_eq!(view.generation, 1);
    assert_eq!((view.int("int"), view.str("str")), (Some(i64::MAX), Some("grüße")));
    let entries = view.bin("map").and_then(SimValue::as_map).unwrap();
    assert_eq!(entries[0], (SimValue::Int(7), SimValue::Int(i64::MIN)));
    assert_eq!(entries[1].1.as_list().map(<[_]>::len), Some(5));
    let Some(Value::OrderedMap(stored)) = record.bins.get("map") else {
        panic!("{record:?}")
    };
    assert_eq!(
        stored
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<HashMap<_, _>>(),
        map
    );
}

#[test]
fn single_writes_follow_their_policies() {
    let (simulator, client) = start(inline());
    let with = |action: RecordExistsAction| WritePolicy {
        record_exists_action: action,
        ..write_policy(LONG_MS)
    };
    let put = |policy: &WritePolicy, id: &str, name: &str| client.put(policy, &key(id), &[as_bin!(name, 1)]);

    assert_eq!(
        refused(put(&with(RecordExistsAction::UpdateOnly), "a", "x")),
        Some(ResultCode::KeyNotFoundError)
    );
    put(&with(RecordExistsAction::CreateOnly), "a", "x").unwrap();
    assert_eq!(
        refused(put(&with(RecordExistsAction::CreateOnly), "a", "x")),
        Some(ResultCode::KeyExistsError)
    );
    put(&with(RecordExistsAction::UpdateOnly), "a", "y").unwrap();
    assert_eq!(simulator.get("test", "s", "a").unwrap().bins.len(), 2);
    put(&with(RecordExistsAction::Replace), "a", "z").unwrap();
    assert_eq!(simulator.get("test", "s", "a").unwrap().bins.len(), 1);

    let expected = |generation: u32| WritePolicy {
        generation_policy: GenerationPolicy::ExpectGenEqual,
        generation,
        ..write_policy(LONG_MS)
    };
    assert_eq!(refused(put(&expected(9), "a", "z")), Some(ResultCode::GenerationError));
    put(&expected(3), "a", "z").unwrap();

    let sends_key = WritePolicy {
        send_key: true,
        ..write_policy(LONG_MS)
    };
    put(&sends_key, "keyed", "x").unwrap();
    assert_eq!(
        simulator.get("test", "s", "keyed").unwrap().key,
        Some(SimValue::from("keyed"))
    );

    client
        .add(&write_policy(LONG_MS), &key("a"), &[as_bin!("z", i64::MAX)])
        .unwrap();
    assert_eq!(
        simulator.get("test", "s", "a").unwrap().int("z"),
        Some(i64::MIN),
        "an add wraps"
    );
    client
        .append(&write_policy(LONG_MS), &key("t"), &[as_bin!("t", "b")])
        .unwrap();
    client
        .prepend(&write_policy(LONG_MS), &key("t"), &[as_bin!("t", "a")])
        .unwrap();
    assert_eq!(simulator.get("test", "s", "t").unwrap().str("t"), Some("ab"));
    assert_eq!(
        refused(client.add(&write_policy(LONG_MS), &key("t"), &[as_bin!("t", 1)])),
        Some(ResultCode::BinTypeError)
    );

    // A null put takes the bin, the last bin takes the record, and on a missing record there is nothing to take.
    let null = [Bin::new("t".to_owned(), Value::Nil)];
    client.put(&write_policy(LONG_MS), &key("t"), &null).unwrap();
    assert_eq!(simulator.get("test", "s", "t"), None);
    assert_eq!(
        refused(client.put(&write_policy(LONG_MS), &key("t"), &null)),
        Some(ResultCode::KeyNotFoundError)
    );

    assert_eq!(
        refused(client.touch(&write_policy(LONG_MS), &key("gone"))),
        Some(ResultCode::KeyNotFoundError)
    );
    assert!(client.exists(&ReadPolicy::default(), &key("a")).unwrap());
    assert!(client.delete(&write_policy(LONG_MS), &key("a")).unwrap());
    assert!(!client.exists(&ReadPolicy::default(), &key("a")).unwrap());
    let big = [as_bin!("b", vec![0u8; 1 << 20])];
    assert_eq!(
        refused(client.put(&write_policy(LONG_MS), &key("big"), &big)),
        Some(ResultCode::RecordTooBig)
    );
    let durable = WritePolicy {
        durable_delete: true,
        ..write_policy(LONG_MS)
    };
    assert_eq!(
        refused(client.delete(&durable, &key("keyed"))),
        Some(ResultCode::EnterpriseOnly)
    );
}

#[test]
fn times_to_live_follow_the_policy_and_the_namespace() {
    let unswept = NamespaceConfig {
        nsup_period: 0,
        ..NamespaceConfig::new("unswept")
    };
    let default = NamespaceConfig {
        default_ttl: 60,
        ..NamespaceConfig::new("test")
    };
    let (simulator, client) = start(SimConfig {
        namespaces: vec![default, unswept],
        ..inline()
    });
    let put = |expiration: Expiration, key: &Key| {
        client.put(
            &WritePolicy {
                expiration,
                ..write_policy(LONG_MS)
            },
            key,
            &[as_bin!("x", 1)],
        )
    };
    let ttl = || simulator.get("test", "s", "a").map(|record| record.ttl);
    put(Expiration::Seconds(1000), &key("a")).unwrap();
    assert!(matches!(ttl(), Some(Some(990..=1000))), "{:?}", ttl());
    put(Expiration::DontUpdate, &key("a")).unwrap();
    assert!(matches!(ttl(), Some(Some(980..=1000))), "{:?}", ttl());
    put(Expiration::NamespaceDefault, &key("a")).unwrap();
    assert!(matches!(ttl(), Some(Some(50..=60))), "{:?}", ttl());
    simulator.advance_clock(61);
    assert_eq!(ttl(), None, "expired");
    assert_eq!(
        refused(client.get(&ReadPolicy::default(), &key("a"), Bins::All)),
        Some(ResultCode::KeyNotFoundError)
    );
    put(Expiration::Never, &key("a")).unwrap();
    assert_eq!(ttl(), Some(None));
    assert_eq!(simulator.get("test", "s", "a").unwrap().generation, 1, "made anew");

    let unswept = as_key!("unswept", "s", "a");
    assert_eq!(
        refused(put(Expiration::Seconds(5), &unswept)),
        Some(ResultCode::FailForbidden)
    );
    put(Expiration::Never, &unswept).unwrap();
    let eleven_years = Expiration::Seconds(11 * 365 * 86_400);
    assert_eq!(refused(put(eleven_years, &key("a"))), Some(ResultCode::ParameterError));
}

#[test]
fn a_batch_of_1000_rows_is_written_and_read_back() {
    let (simulator, client) = start(SimConfig::default());
    let mut rows: Vec<BatchOperation> = (0..1000).map(|id| put_row(id, 10 * id)).collect();
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    assert_eq!(count(&codes(&rows), ResultCode::Ok), 1000);
    assert_eq!(simulator.records("test", "s").len(), 1000);

    let read_policy = BatchReadPolicy::default();
    let mut reads: Vec<BatchOperation> = (0..1001)
        .map(|id| {
            BatchOperation::read(
                &read_policy,
                key(id),
                if id % 2 == 0 { Bins::All } else { Bins::from(["v"]) },
            )
        })
        .collect();
    client.batch(&batch_policy(LONG_MS), &mut reads).unwrap();
    for (id, row) in (0i64..).zip(&reads[..1000]) {
        let record = row.batch_record().record.as_ref().unwrap();
        assert_eq!(record.bins.get("v"), Some(&Value::Int(10 * id)));
    }
    assert_eq!(reads[1000].result_code(), Some(ResultCode::KeyNotFoundError));

    let mut mixed: Vec<BatchOperation> = (0..100)
        .map(|id| match id % 3 {
            0 => BatchOperation::delete(&BatchDeletePolicy::default(), key(id)),
            1 => BatchOperation::read(&read_policy, key(id), Bins::None),
            _ => put_row(id, -1),
        })
        .collect();
    client.batch(&batch_policy(LONG_MS), &mut mixed).unwrap();
    assert_eq!(count(&codes(&mixed), ResultCode::Ok), 100);
    assert_eq!(simulator.records("test", "s").len(), 1000 - 34);
    let stats = simulator.stats();
    assert_eq!(
        (stats.batches, stats.rows, stats.biggest_batch, stats.duplicate_rows),
        (3, 2101, 1001, 0)
    );
    assert_eq!((stats.result(0), stats.result(2), stats.reads), (2100, 1, 1001 + 33));
    assert_eq!((stats.writes, stats.deletes, stats.filtered), (1033, 34, 0));
}

#[test]
fn rows_keep_their_own_errors() {
    let (simulator, client) = start(SimConfig::default());
    client
        .put(&write_policy(LONG_MS), &key(1), &[as_bin!("s", "text")])
        .unwrap();
    let write = |id: i64, ops: Vec<aerospike::operations::Operation>| {
        BatchOperation::write(&BatchWritePolicy::default(), key(id), ops)
    };
    let mut rows = vec![
        write(1, vec![operations::add(&as_bin!("s", 1))]),
        write(2, vec![operations::put(&as_bin!("abcdefghijklmnop", 1))]),
        write(3, vec![operations::put(&Bin::new("x".to_owned(), Value::Nil))]),
        write(4, vec![operations::put(&as_bin!("x", 1)), operations::touch()]),
        write(
            5,
            vec![operations::put(&as_bin!("x", 1)), operations::add(&as_bin!("x", 2))],
        ),
        BatchOperation::delete(&BatchDeletePolicy::default(), key(6)),
    ];
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    use ResultCode::{BinNameTooLong, BinTypeError, KeyNotFoundError, Ok as Done};
    let expected = [
        BinTypeError,
        BinNameTooLong,
        KeyNotFoundError,
        KeyNotFoundError,
        Done,
        KeyNotFoundError,
    ];
    assert_eq!(codes(&rows), expected.map(Some));
    assert_eq!(
        simulator.records("test", "s").len(),
        2,
        "what is refused leaves nothing"
    );
    assert_eq!(simulator.get("test", "s", 5).unwrap().int("x"), Some(3));
}

#[test]
fn lists_maps_and_guards_work_in_one_row() {
    let (simulator, client) = start(SimConfig::default());
    let send = |offset: i64| {
        let policy = BatchWritePolicy {
            filter_expression: Some(guard("~g", offset)),
            ..BatchWritePolicy::default()
        };
        let list = lists::ListPolicy::default();
        let map = maps::MapPolicy::default();
        let ops = vec![
            operations::add(&as_bin!("n", 1)),
            lists::append(&list, "l", Value::Int(offset)),
            lists::trim("l", -2, 2),
            maps::increment_value(&map, "m", Value::from("k"), Value::Int(offset)),
            operations::put(&as_bin!("~g", offset)),
        ];
        // Two rows: a row alone on its node would go as a single message.
        let mut rows = vec![BatchOperation::write(&policy, key("guarded"), ops), put_row(offset, 0)];
        client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
        rows[0].result_code()
    };
    let outcomes: Vec<_> = [5, 6, 6, 4, 9].into_iter().map(send).collect();
    use ResultCode::{FilteredOut, Ok as Done};
    assert_eq!(outcomes, [Done, Done, FilteredOut, FilteredOut, Done].map(Some));
    let record = simulator.get("test", "s", "guarded").unwrap();
    assert_eq!((record.int("n"), record.int("~g")), (Some(3), Some(9)));
    assert_eq!(
        record.bin("l"),
        Some(&SimValue::List(vec![SimValue::Int(6), SimValue::Int(9)]))
    );
    assert_eq!(
        record.bin("m"),
        Some(&SimValue::Map(vec![(SimValue::from("k"), SimValue::Int(20))]))
    );
}

#[test]
fn an_unknown_namespace_is_refused() {
    let (_simulator, client) = start(SimConfig::default());
    let key = as_key!("nowhere", "s", 1);
    let error = client
        .put(&write_policy(LONG_MS), &key, &[as_bin!("x", 1)])
        .unwrap_err();
    assert_eq!(
        error.result_code(),
        i32::from(u8::from(ResultCode::InvalidNamespace)),
        "{error}"
    );
}

/// Two writes to one key in one batch, again and again; how often the second was the last.
fn second_write_wins(config: SimConfig) -> (usize, usize, u64) {
    let (simulator, client) = start(config);
    let (mut wins, mut busy) = (0, 0);
    for round in 0..100 {
        let mut rows = vec![put_row(round, 1), put_row(-1, 0), put_row(round, 2)];
        client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
        wins += usize::from(
            simulator
                .get("test", "s", round)
                .is_some_and(|record| record.int("v") == Some(2)),
        );
        busy += count(&codes(&rows), ResultCode::KeyBusy);
    }
    (wins, busy, simulator.stats().duplicate_rows)
}

#[test]
fn two_writes_to_one_key_in_one_batch_race_unless_inline() {
    assert_eq!(second_write_wins(inline()), (100, 0, 100));
    let (wins, busy, duplicates) = second_write_wins(SimConfig::default());
    assert!((20..80).contains(&wins), "{wins} of 100 in order");
    assert!((1..50).contains(&busy), "{busy} rows found the key busy");
    assert_eq!(duplicates, 100);
}

#[test]
fn a_batch_over_the_limit_is_refused_with_one_header() {
    let (simulator, client) = start(SimConfig {
        batch_rows_max: 3,
        ..SimConfig::default()
    });
    let mut rows: Vec<BatchOperation> = (0..4).map(|id| put_row(id, 1)).collect();
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    assert_eq!(
        codes(&rows),
        [Some(ResultCode::BatchMaxRequestsExceeded), None, None, None]
    );
    assert!(simulator.records("test", "s").is_empty());
}

#[test]
fn a_preflight_reads_what_it_needs_of_a_namespace() {
    let (simulator, client) = start(SimConfig::default());
    client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("x", 1)]).unwrap();
    simulator.faults().stop_writes(true);
    let ask = |name: &str| {
        let answer = client.info(&AdminPolicy::default(), &[name]);
        answer.unwrap().get(name).cloned().unwrap_or_default()
    };
    let namespace = ask("namespace/test");
    let fields: HashMap<&str, &str> = namespace.split(';').filter_map(|field| field.split_once('=')).collect();
    let expected = [
        ("stop_writes", "true"),
        ("clock_skew_stop_writes", "false"),
        ("nsup-period", "120"),
        ("default-ttl", "0"),
        ("max-record-size", "1048576"),
        ("allow-ttl-without-nsup", "false"),
        ("storage-engine", "memory"),
        ("effective_replication_factor", "1"),
        ("ns_cluster_size", "1"),
        ("objects", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(fields.get(name), Some(&value), "{name}");
    }
    assert!(ask("sets/test").starts_with("ns=test:set=s:objects=1:"));
    assert_eq!(ask("no-such-thing"), "ERROR:4:unrecognized command");
    assert_eq!(ask("service-clear-std"), simulator.addr().to_string());
    let refusal = client.put(&write_policy(LONG_MS), &key(2), &[as_bin!("x", 1)]);
    assert_eq!(refused(refusal), Some(ResultCode::ServerMemError));
}

#[test]
fn sets_are_told_while_new_ones_are_written_to() {
    const SETS: usize = 2000;
    let (_simulator, client) = start(SimConfig::default());
    let told = || {
        client.info(&AdminPolicy::default(), &["sets/test"]).unwrap()["sets/test"]
            .matches("set=")
            .count()
    };
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..SETS {
                let key = as_key!("test", &format!("s{n}"), 1);
                client.put(&write_policy(LONG_MS), &key, &[as_bin!("x", 1)]).unwrap();
            }
        });
        while !writer.is_finished() {
            assert!(told() <= SETS);
        }
    });
    assert_eq!(told(), SETS);
}

#[test]
fn a_login_is_asked_for_and_a_wrong_password_refused() {
    let login = Some(("writer".to_owned(), "secret".to_owned()));
    let simulator = Simulator::start(SimConfig {
        login,
        ..SimConfig::default()
    })
    .unwrap();
    let internal = |user: &str, password: &str| AuthMode::Internal(user.to_owned(), password.to_owned());
    let client = connect(simulator.addr(), internal("writer", "secret")).unwrap();
    client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("x", 1)]).unwrap();
    assert_eq!(simulator.get("test", "s", 1).unwrap().int("x"), Some(1));

    for (auth, code) in [(internal("writer", "wrong"), 65), (internal("stranger", "secret"), 60)] {
        // The client keeps the code in the text alone.
        let error = connect(simulator.addr(), auth).err().unwrap();
        assert!(
            error.to_string().contains(&format!("Error {code},")),
            "{code} is not in {error}"
        );
    }
    assert!(connect(simulator.addr(), AuthMode::None).is_err(), "without a login");

    let open = Simulator::start(SimConfig::default()).unwrap();
    let error = connect(open.addr(), internal("writer", "secret")).err().unwrap();
    assert!(error.to_string().contains("Error 51,"), "{error}");
}

#[test]
fn a_changed_password_is_asked_of_new_connections_alone_and_of_each_node_by_itself() {
    let simulator = Simulator::start(SimConfig {
        nodes: 2,
        login: Some(("writer".to_owned(), "old".to_owned())),
        ..SimConfig::default()
    })
    .unwrap();
    let login = |password: &str| AuthMode::Internal("writer".to_owned(), password.to_owned());
    let client = connect(simulator.addr(), login("old")).unwrap();
    let write = |record: i64| client.put(&write_policy(LONG_MS), &key(record), &[as_bin!("x", 1)]);
    (0..20).for_each(|record| write(record).unwrap());
    let before = simulator.stats();
    assert_eq!(before.logins_refused, 0);

    simulator.node(0).set_password("writer", "new").unwrap();
    (0..20).for_each(|record| write(record).unwrap());
    // The first node alone has it: the other one is reached with the earlier password.
    assert!(connect(simulator.addrs()[0], login("old")).is_err());
    assert!(connect(simulator.addrs()[1], login("old")).is_ok());
    simulator.node(1).set_password("writer", "new").unwrap();
    for addr in simulator.addrs() {
        assert!(connect(addr, login("old")).is_err());
        connect(addr, login("new")).unwrap();
    }
    (0..20).for_each(|record| write(record).unwrap());
    let after = simulator.stats();
    assert!(
        after.logins_refused >= 3 && after.logins > after.logins_refused,
        "{after:?}"
    );
}

#[test]
fn a_delay_holds_each_message_back() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    faults.delay(Duration::from_millis(200));
    let before = Instant::now();
    client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("x", 1)]).unwrap();
    assert!(before.elapsed() >= Duration::from_millis(200));
    // Longer than the client waits: it gives up, the write is applied all the same.
    faults.delay(Duration::from_secs(600));
    client
        .put(&write_policy(SHORT_MS), &key(2), &[as_bin!("x", 1)])
        .unwrap_err();
    faults.delay(Duration::ZERO);
    wait_for("the late write", || simulator.get("test", "s", 2).is_some());
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited 20 s for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_stall_answers_nobody_until_it_is_lifted() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    for (stalled, is_applied) in [(Stalled::Dropped, false), (Stalled::Applied, true)] {
        faults.stall(stalled);
        client
            .put(&write_policy(SHORT_MS), &key(1), &[as_bin!("x", 1)])
            .unwrap_err();
        let mut rows = vec![put_row(2, 1), put_row(3, 1)];
        let _ = client.batch(&batch_policy(SHORT_MS), &mut rows);
        assert_eq!(count(&codes(&rows), ResultCode::Ok), 0);
        let applied = [1, 2, 3].map(|id| simulator.get("test", "s", id).is_some());
        assert_eq!(applied, [is_applied; 3], "{stalled:?}");
        faults.unstall();
        wait_for("answers again", || {
            client.put(&write_policy(SHORT_MS), &key(4), &[as_bin!("x", 1)]).is_ok()
        });
    }
}

#[test]
fn a_refusing_server_closes_what_is_open_and_what_comes() {
    let (simulator, client) = start(SimConfig::default());
    client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("x", 1)]).unwrap();
    simulator.faults().refuse(true);
    client
        .put(&write_policy(SHORT_MS), &key(2), &[as_bin!("x", 1)])
        .unwrap_err();
    assert!(connect(simulator.addr(), AuthMode::None).is_err());
    assert_eq!(simulator.get("test", "s", 2), None);
    simulator.faults().refuse(false);
    wait_for("a way back", || {
        client.put(&write_policy(SHORT_MS), &key(3), &[as_bin!("x", 1)]).is_ok()
    });
    assert!(simulator.get("test", "s", 1).is_some(), "the data stay");
}

#[test]
fn a_reset_comes_after_the_write_was_applied() {
    let (simulator, client) = start(SimConfig::default());
    simulator.faults().reset_next(1);
    let mut rows = vec![put_row(1, 1), put_row(2, 1)];
    let _ = client.batch(&batch_policy(LONG_MS), &mut rows);
    assert!(count(&codes(&rows), ResultCode::Ok) < 2, "{:?}", codes(&rows));
    assert_eq!(simulator.records("test", "s").len(), 2);
    simulator.faults().silence_next(1);
    client
        .put(&write_policy(SHORT_MS), &key(3), &[as_bin!("x", 1)])
        .unwrap_err();
    assert!(simulator.get("test", "s", 3).is_some());
    client.put(&write_policy(LONG_MS), &key(4), &[as_bin!("x", 1)]).unwrap();
}

#[test]
fn a_share_of_rows_and_whole_batches_are_refused() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    faults.fail_rows(18, Share::Fraction(0.2));
    let mut rows: Vec<BatchOperation> = (0..500).map(|id| put_row(id, 1)).collect();
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    let overloaded = count(&codes(&rows), ResultCode::DeviceOverload);
    assert!((60..140).contains(&overloaded), "{overloaded} of 500");
    assert_eq!(simulator.records("test", "s").len(), 500 - overloaded);
    for (id, row) in (0i64..).zip(&rows) {
        assert_eq!(
            simulator.get("test", "s", id).is_some(),
            row.result_code() == Some(ResultCode::Ok)
        );
    }

    faults.clear();
    faults.fail_batches(150, Share::Next(1));
    let mut rows = vec![put_row(1000, 1), put_row(1001, 1)];
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    assert_eq!(codes(&rows), [Some(ResultCode::BatchDisabled), None]);
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    assert_eq!(simulator.stats().batches_refused, 1);
    assert!(simulator.get("test", "s", 1001).is_some());

    faults.fail_reads(9, Share::Next(1));
    let mut once = ReadPolicy::default();
    once.base_policy.max_retries = 0;
    client.get(&once, &key(1000), Bins::All).unwrap_err();
    client.get(&once, &key(1000), Bins::All).unwrap();
}

#[test]
fn a_restart_forgets_the_records_and_nothing_else() {
    let (simulator, client) = start(SimConfig::default());
    client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("x", 1)]).unwrap();
    simulator.restart_empty();
    assert!(simulator.records("test", "s").is_empty());
    wait_for("a connection", || {
        client.put(&write_policy(SHORT_MS), &key(1), &[as_bin!("x", 1)]).is_ok()
    });
    assert_eq!(simulator.records("test", "s").len(), 1);
}

#[test]
fn a_dropped_simulator_is_gone_at_once() {
    let (simulator, client) = start(SimConfig::default());
    let addr = simulator.addr();
    simulator.faults().delay(Duration::from_secs(600));
    std::thread::scope(|scope| {
        // A message that waits out a delay must not hold the end back.
        scope.spawn(|| client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("x", 1)]));
        wait_for("the message", || simulator.stats().connections >= 2);
        let before = Instant::now();
        drop(simulator);
        assert!(before.elapsed() < Duration::from_secs(5));
    });
    assert!(std::net::TcpStream::connect(addr).is_err());
    Simulator::start(SimConfig {
        listen: addr,
        ..SimConfig::default()
    })
    .unwrap();
}

/// The program; killed when a test ends before its time.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, and what its first line says behind "listening on".
fn start_program(command: &mut Command) -> (Program, String) {
    let mut program = Program(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let rest = line.trim().strip_prefix("penstock-sim: listening on ").unwrap();
    (program, rest.to_owned())
}

#[test]
fn the_program_serves_obeys_its_control_port_and_ends_with_0_on_sigterm() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock-sim"));
    command
        .args(["--listen", "127.0.0.1:0", "--namespaces", "test,other"])
        .stdout(Stdio::piped());
    let (mut program, line) = start_program(&mut command);
    let (addr, control) = line.split_once(" control=").unwrap();
    let (addr, control): (SocketAddr, SocketAddr) = (addr.parse().unwrap(), control.parse().unwrap());

    let client = connect(addr, AuthMode::None).unwrap();
    client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("x", 1)]).unwrap();
    assert_eq!(control_command(control, "count test s").unwrap(), "1");
    assert_eq!(
        control_command(control, "rows 18 next 5").unwrap().split(':').next(),
        Some("error")
    );
    assert_eq!(control_command(control, "rows 8 1").unwrap(), "ok");
    assert_eq!(
        refused(client.put(&write_policy(LONG_MS), &key(2), &[as_bin!("x", 1)])),
        Some(ResultCode::ServerMemError)
    );
    client.put(&write_policy(LONG_MS), &key(2), &[as_bin!("x", 1)]).unwrap();

    let ctl = |words: &[&str]| {
        let control = control.to_string();
        Command::new(env!("CARGO_BIN_EXE_penstock-sim"))
            .args(["ctl", &control])
            .args(words)
            .output()
            .unwrap()
    };
    let stats = ctl(&["stats"]);
    assert!(stats.status.success());
    assert!(
        String::from_utf8_lossy(&stats.stdout).contains("singles=3"),
        "{stats:?}"
    );
    assert!(!ctl(&["nonsense"]).status.success());

    let told = |words: &[&str], code: i32| {
        let output = ctl(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let one = "record test.s 1 generation=1 ttl=never\n  x 1\n";
    assert_eq!(told(&["get", "test", "s", "1"], 0), one);
    // Another record: its key is a string.
    client
        .put(&write_policy(LONG_MS), &key("1"), &[as_bin!("x", "a b")])
        .unwrap();
    let both = format!("record test.s \"1\" generation=1 ttl=never\n  x \"a b\"\n{one}");
    assert_eq!(told(&["get", "test", "s", "1"], 0), both);
    let spaces = Key::new("test", "", "a  b".into()).unwrap();
    client.put(&write_policy(LONG_MS), &spaces, &[as_bin!("x", 1)]).unwrap();
    assert_eq!(
        told(&["get", "test", "-", "a  b"], 0),
        "record test \"a  b\" generation=1 ttl=never\n  x 1\n"
    );
    assert_eq!(
        told(&["get", "test", "s", "none"], 1),
        "error: no such record: test.s \"none\"\n"
    );
    assert!(told(&["get", "nowhere", "s", "1"], 1).contains("no namespace"));
    assert!(told(&["get", "test", "s"], 1).starts_with("error:"));

    assert!(ctl(&["stall"]).status.success());
    client
        .put(&write_policy(SHORT_MS), &key(3), &[as_bin!("x", 1)])
        .unwrap_err();
    assert!(ctl(&["clear"]).status.success());

    // The shell's own: a small machine has no program of that name.
    let killed = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", program.0.id())])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(program.0.wait().unwrap().code(), Some(0));
}
