//! What one record's operations do, as a row of a batch and as a command of their own: order, modes, filters, times to
//! live, limits.

use super::bench::*;
use super::*;
use aerospike::expressions::Expression;
use aerospike::operations::Operation;
use aerospike::operations::exp::{ExpWriteFlags, write_exp};
use std::collections::BTreeMap;

#[test]
fn operations_of_a_row_run_in_order_and_all_or_nothing() {
    both_ways(|bench| {
        let int = SimValue::Int;
        let on_missing: Vec<(&str, Vec<Operation>, u8, Option<BTreeMap<_, _>>)> = vec![
            ("put", vec![put("a", 1)], 0, bins(&[("a", int(1))])),
            ("put, add", vec![put("a", 1), add("a", 2)], 0, bins(&[("a", int(3))])),
            ("add, put", vec![add("a", 2), put("a", 1)], 0, bins(&[("a", int(1))])),
            ("put, touch", vec![put("a", 1), operations::touch()], 2, None),
            ("touch, put", vec![operations::touch(), put("a", 1)], 2, None),
            ("touch", vec![operations::touch()], 2, None),
            ("put, delete", vec![put("a", 1), operations::delete()], 2, None),
            ("delete", vec![operations::delete()], 2, None),
            (
                "delete, put",
                vec![operations::delete(), put("a", 1)],
                0,
                bins(&[("a", int(1))]),
            ),
            ("null", vec![put_null("a")], 2, None),
            ("nulls", vec![put_null("a"), put_null("b")], 2, None),
            ("null, put", vec![put_null("a"), put("b", 1)], 0, bins(&[("b", int(1))])),
            ("put, null", vec![put("a", 1), put_null("a")], 2, None),
            (
                "put, put, mismatch",
                vec![put("a", 1), put("b", "x"), add("b", 1)],
                TYPE,
                None,
            ),
        ];
        for (id, (name, ops, expected, left)) in (0..).zip(on_missing) {
            assert_eq!(bench.plain(id, ops), expected, "{name}");
            assert_eq!(bench.bins(id), left, "{name}");
        }

        let seeds = [("a", int(1)), ("s", SimValue::from("m"))];
        let on_record: Vec<(&str, Vec<Operation>, u8, Option<BTreeMap<_, _>>)> = vec![
            ("touch", vec![operations::touch()], 0, bins(&seeds)),
            (
                "put, touch",
                vec![put("a", 2), operations::touch()],
                0,
                bins(&[("a", int(2)), seeds[1].clone()]),
            ),
            ("null of one", vec![put_null("s")], 0, bins(&seeds[..1])),
            ("null of none", vec![put_null("z")], 0, bins(&seeds)),
            ("null of all", vec![put_null("s"), put_null("a")], 0, None),
            ("delete", vec![operations::delete()], 0, None),
            ("put, delete", vec![put("b", 1), operations::delete()], 0, None),
            (
                "delete, put",
                vec![operations::delete(), put("b", 1)],
                0,
                bins(&[("b", int(1))]),
            ),
            (
                "delete, add",
                vec![operations::delete(), add("a", 5)],
                0,
                bins(&[("a", int(5))]),
            ),
            ("put, mismatch", vec![put("a", 9), add("s", 1)], TYPE, bins(&seeds)),
            (
                "append, prepend",
                vec![
                    operations::append(&as_bin!("s", "n")),
                    operations::prepend(&as_bin!("s", "l")),
                ],
                0,
                bins(&[seeds[0].clone(), ("s", SimValue::from("lmn"))]),
            ),
        ];
        for (id, (name, ops, expected, left)) in (100..).zip(on_record) {
            bench.seed(id, &seeds);
            assert_eq!(bench.plain(id, ops), expected, "{name}");
            assert_eq!(bench.bins(id), left, "{name}");
            let generation = bench.simulator.get("test", "s", id).map(|record| record.generation);
            let written = u32::from(expected == 0);
            assert!(generation.is_none_or(|generation| generation == 1 + written), "{name}");
        }
    });
}

#[test]
fn adds_appends_and_prepends_keep_to_their_types() {
    both_ways(|bench| {
        let blob = |bytes: &[u8]| SimValue::from(bytes);
        let cases: Vec<(&str, SimValue, Operation, Result<SimValue, u8>)> = vec![
            ("add", 2.into(), add("x", -5), Ok((-3).into())),
            ("add wraps", i64::MAX.into(), add("x", 2), Ok((i64::MIN + 1).into())),
            ("add below", i64::MIN.into(), add("x", -1), Ok(i64::MAX.into())),
            ("add float", 0.5.into(), add("x", 0.25), Ok(0.75.into())),
            ("float on int", 1.into(), add("x", 0.5), Err(TYPE)),
            ("int on float", 0.5.into(), add("x", 1), Err(TYPE)),
            ("add on string", "a".into(), add("x", 1), Err(TYPE)),
            ("add on list", vec![].into(), add("x", 1), Err(TYPE)),
            ("add on bool", true.into(), add("x", 1), Err(TYPE)),
            (
                "append",
                "a".into(),
                operations::append(&as_bin!("x", "b")),
                Ok("ab".into()),
            ),
            (
                "prepend",
                "a".into(),
                operations::prepend(&as_bin!("x", "b")),
                Ok("ba".into()),
            ),
            (
                "append bytes",
                blob(&[1]),
                operations::append(&as_bin!("x", vec![2u8, 3])),
                Ok(blob(&[1, 2, 3])),
            ),
            (
                "prepend bytes",
                blob(&[1]),
                operations::prepend(&as_bin!("x", vec![2u8, 3])),
                Ok(blob(&[2, 3, 1])),
            ),
            (
                "bytes on string",
                "a".into(),
                operations::append(&as_bin!("x", vec![1u8])),
                Err(TYPE),
            ),
            (
                "string on bytes",
                blob(&[1]),
                operations::prepend(&as_bin!("x", "a")),
                Err(TYPE),
            ),
            (
                "string on int",
                1.into(),
                operations::append(&as_bin!("x", "a")),
                Err(TYPE),
            ),
        ];
        for (id, (name, before, operation, expected)) in (0..).zip(cases) {
            bench.seed(id, &[("x", before.clone())]);
            let found = match bench.plain(id, vec![operation]) {
                0 => Ok(bench.bin(id, "x").unwrap()),
                code => {
                    assert_eq!(bench.bin(id, "x"), Some(before), "{name}");
                    Err(code)
                }
            };
            assert_eq!(found, expected, "{name}");
        }
        let creating = vec![
            add("i", 1),
            add("f", 0.5),
            operations::append(&as_bin!("s", "a")),
            operations::prepend(&as_bin!("b", vec![1u8])),
        ];
        assert_eq!(bench.plain(1000, creating), 0);
        assert_eq!(bench.bins(1000).unwrap().len(), 4);
    });
}

#[test]
fn modes_decide_before_anything_is_applied() {
    use RecordExistsAction::{CreateOnly, Replace, ReplaceOnly, Update, UpdateOnly};
    both_ways(|bench| {
        let old = [("old", SimValue::Int(1))];
        let both = [("new", SimValue::Int(2)), old[0].clone()];
        let new = &both[..1];
        let cases = [
            (Update, 0, bins(new), 0, bins(&both)),
            (UpdateOnly, 2, None, 0, bins(&both)),
            (CreateOnly, 0, bins(new), 5, bins(&old)),
            (Replace, 0, bins(new), 0, bins(new)),
            (ReplaceOnly, 2, None, 0, bins(new)),
        ];
        for (id, (mode, missing_code, missing, existing_code, existing)) in (0..).zip(cases) {
            let rule = Rule::mode(mode);
            bench.seed(100 + id, &old);
            assert_eq!(bench.send(&rule, id, vec![put("new", 2)]), missing_code, "{mode:?}");
            assert_eq!(bench.bins(id), missing, "{mode:?}");
            assert_eq!(
                bench.send(&rule, 100 + id, vec![put("new", 2)]),
                existing_code,
                "{mode:?}"
            );
            assert_eq!(bench.bins(100 + id), existing, "{mode:?}");
        }
        let list = lists::ListPolicy::default();
        let refused = [
            add("a", 1),
            operations::append(&as_bin!("a", "x")),
            operations::prepend(&as_bin!("a", "x")),
            lists::append(&list, "l", 1.into()),
            maps::put(&maps::MapPolicy::default(), "m", 1.into(), 1.into()),
            put_null("a"),
            operations::touch(),
            operations::delete(),
        ];
        bench.seed(200, &old);
        for operation in refused {
            for id in [200, 201] {
                let ops = vec![put("b", 1), operation.clone()];
                assert_eq!(bench.send(&Rule::mode(Replace), id, ops), PARAMETER, "{operation:?}");
            }
        }
        assert_eq!((bench.bins(200), bench.bins(201)), (bins(&old), None));
        let computed = write_exp("c", expressions::int_val(7), ExpWriteFlags::DEFAULT);
        assert_eq!(bench.send(&Rule::mode(Replace), 200, vec![computed]), 0);
        assert_eq!(bench.bins(200), bins(&[("c", SimValue::Int(7))]));
    });
}

#[test]
fn a_row_has_at_most_32768_operations() {
    both_ways(|bench| {
        let adds = |count: usize| vec![add("n", 1); count];
        assert_eq!(bench.plain(1, adds(32_768)), 0);
        assert_eq!(bench.bin(1, "n"), Some(SimValue::Int(32_768)));
        assert_eq!(bench.plain(1, adds(32_769)), PARAMETER);
        assert_eq!(bench.bin(1, "n"), Some(SimValue::Int(32_768)));
    });
}

#[test]
fn a_filter_is_looked_at_on_a_record_that_is_there_after_the_mode_and_the_generation() {
    both_ways(|bench| {
        let no = || guard("~g", 5);
        let yes = || guard("~g", 6);
        let seed = [("~g", SimValue::Int(5)), ("t", SimValue::from("x"))];
        bench.seed(1, &seed);
        let at_most = |bin: &str, value: i64| {
            expressions::or(vec![
                expressions::ne(expressions::bin_type(bin), expressions::int_val(1)),
                expressions::le(expressions::int_bin(bin), expressions::int_val(value)),
            ])
        };
        let cases = [
            ("lt, not", no(), FILTERED),
            ("lt", yes(), 0),
            ("le, not", at_most("~g", 4), FILTERED),
            ("le", at_most("~g", 5), 0),
            ("absent", guard("~h", 1), 0),
            ("another type", guard("t", 1), 0),
            ("and", expressions::and(vec![yes(), guard("~h", 1)]), 0),
            ("and, first not", expressions::and(vec![no(), guard("~h", 1)]), FILTERED),
            (
                "and, second not",
                expressions::and(vec![at_most("~g", 5), no()]),
                FILTERED,
            ),
            // Without the first half, an absent bin is unknown, and unknown is no.
            (
                "unknown",
                expressions::lt(expressions::int_bin("~h"), expressions::int_val(1)),
                FILTERED,
            ),
        ];
        for (name, filter, expected) in cases {
            let before = bench.bins(1);
            let written = bench.send(&Rule::filter(filter.clone()), 1, vec![add("n", 1)]);
            assert_eq!(written, expected, "{name}");
            assert_eq!(bench.bins(1) == before, expected != 0, "{name}");
            bench.seed(2, &seed);
            assert_eq!(bench.delete(Some(filter), 2), expected, "delete, {name}");
            assert_eq!(bench.bins(2).is_some(), expected != 0, "delete, {name}");
        }
        // On a missing record it is not even read.
        assert_eq!(bench.send(&Rule::filter(no()), 3, vec![put("x", 1)]), 0);
        let malformed = expressions::eq(expressions::int_bin("x"), expressions::string_val("1"));
        assert_eq!(bench.send(&Rule::filter(malformed.clone()), 4, vec![put("x", 1)]), 0);
        assert_eq!(bench.send(&Rule::filter(malformed), 4, vec![put("x", 1)]), PARAMETER);
        assert_eq!(bench.delete(Some(no()), 5), KEY_NOT_FOUND);

        let rule = |mode: RecordExistsAction, generation: Option<u32>| Rule {
            mode,
            generation,
            ..Rule::filter(no())
        };
        use RecordExistsAction::{CreateOnly, Replace, Update, UpdateOnly};
        let one = || vec![put("x", 1)];
        bench.seed(6, &seed);
        assert_eq!(bench.send(&rule(CreateOnly, None), 6, one()), EXISTS);
        assert_eq!(bench.send(&rule(UpdateOnly, None), 7, one()), KEY_NOT_FOUND);
        assert_eq!(bench.send(&rule(UpdateOnly, None), 6, one()), FILTERED);
        assert_eq!(bench.send(&rule(Replace, None), 6, one()), FILTERED);
        assert_eq!(bench.send(&rule(Update, Some(9)), 6, one()), 3, "the generation");
        assert_eq!(bench.send(&rule(Update, Some(1)), 6, one()), FILTERED);
        assert_eq!(bench.bins(6), bins(&seed));
    });
}

#[test]
fn an_expression_writes_a_bin_only_where_it_is_absent() {
    let once = |name: &str, value: Expression| {
        let flags = ExpWriteFlags::CREATE_ONLY | ExpWriteFlags::POLICY_NO_FAIL;
        write_exp(name, value, flags)
    };
    both_ways(|bench| {
        let list = vec![Value::Int(1), Value::from("a"), Value::List(vec![Value::Nil])];
        let map = HashMap::from([(Value::from("k"), Value::Int(1)), (Value::from("j"), Value::from(0.5))]);
        let long = "x".repeat(300);
        let cases: Vec<(Expression, SimValue)> = vec![
            (expressions::int_val(-7), SimValue::Int(-7)),
            (expressions::int_val(i64::MIN), SimValue::Int(i64::MIN)),
            (expressions::int_val(i64::MAX), SimValue::Int(i64::MAX)),
            (expressions::float_val(0.5), SimValue::Float(0.5)),
            (expressions::string_val("text"), SimValue::from("text")),
            (expressions::string_val(long.as_str()), SimValue::from(long.as_str())),
            (expressions::string_val(""), SimValue::from("")),
            (expressions::blob_val(vec![0, 255]), SimValue::from(&[0, 255][..])),
            (expressions::bool_val(true), SimValue::Bool(true)),
            (expressions::bool_val(false), SimValue::Bool(false)),
            (
                expressions::list_val(list),
                SimValue::List(vec![
                    SimValue::Int(1),
                    SimValue::from("a"),
                    SimValue::List(vec![SimValue::Nil]),
                ]),
            ),
            (expressions::list_val(vec![]), SimValue::List(vec![])),
            (
                expressions::map_val(map),
                SimValue::Map(vec![
                    (SimValue::from("j"), SimValue::Float(0.5)),
                    (SimValue::from("k"), SimValue::Int(1)),
                ]),
            ),
            (expressions::map_val(HashMap::new()), SimValue::Map(vec![])),
        ];
        for (id, (expression, expected)) in (0..).zip(cases) {
            let first = vec![once("x", expression.clone()), add("n", 1)];
            assert_eq!(bench.plain(id, first), 0, "{expected:?}");
            assert_eq!(bench.bin(id, "x"), Some(expected.clone()), "on a missing record");
            let again = vec![once("x", expressions::int_val(99)), add("n", 1)];
            assert_eq!(bench.plain(id, again), 0, "{expected:?}");
            assert_eq!(
                bench.bins(id),
                bins(&[("x", expected.clone()), ("n", SimValue::Int(2))])
            );
            bench.seed(100 + id, &[("y", SimValue::Int(1))]);
            assert_eq!(bench.plain(100 + id, vec![once("x", expression)]), 0);
            assert_eq!(bench.bin(100 + id, "x"), Some(expected), "on a record without the bin");
        }
        let only = |flags: ExpWriteFlags| vec![write_exp("x", expressions::int_val(1), flags)];
        bench.seed(200, &[("x", SimValue::from("there"))]);
        assert_eq!(bench.plain(200, only(ExpWriteFlags::CREATE_ONLY)), 6, "bin exists");
        assert_eq!(bench.plain(201, only(ExpWriteFlags::UPDATE_ONLY)), 17, "bin not found");
        assert_eq!(bench.plain(200, only(ExpWriteFlags::UPDATE_ONLY)), 0);
        // Nothing written and nothing there: no record comes of it.
        let quiet = ExpWriteFlags::UPDATE_ONLY | ExpWriteFlags::POLICY_NO_FAIL;
        assert_eq!(bench.plain(201, only(quiet)), KEY_NOT_FOUND);
        assert_eq!(bench.bins(201), None);
    });
}

#[test]
fn times_to_live_go_with_the_mode_and_survive_where_they_are_kept() {
    use RecordExistsAction::{Replace, UpdateOnly};
    let namespace = NamespaceConfig {
        default_ttl: 60,
        ..NamespaceConfig::new("test")
    };
    let config = SimConfig {
        namespaces: vec![namespace],
        ..SimConfig::default()
    };
    both_ways_with(config, |bench| {
        let ttl = |id: i64| bench.simulator.get("test", "s", id).unwrap().ttl;
        let near = |seconds: u32| move |ttl: Option<u32>| ttl.is_some_and(|ttl| ttl <= seconds && ttl + 20 > seconds);
        let one = || vec![put("x", 1)];
        assert_eq!(bench.send(&Rule::ttl(Expiration::DontUpdate), 1, one()), 0);
        assert!(near(60)(ttl(1)), "kept on a new record: the default");
        assert_eq!(bench.send(&Rule::ttl(Expiration::Seconds(1000)), 1, one()), 0);
        assert!(near(1000)(ttl(1)));
        assert_eq!(bench.send(&Rule::ttl(Expiration::DontUpdate), 1, one()), 0);
        assert!(near(1000)(ttl(1)), "kept");
        let anew = vec![operations::delete(), put("y", 1)];
        assert_eq!(bench.send(&Rule::ttl(Expiration::DontUpdate), 1, anew), 0);
        assert!(near(1000)(ttl(1)), "kept over a delete in the same row");
        let replaced = Rule {
            ttl: Expiration::DontUpdate,
            ..Rule::mode(Replace)
        };
        assert_eq!(bench.send(&replaced, 1, one()), 0);
        assert!(near(1000)(ttl(1)), "kept over a replace");
        assert_eq!(bench.send(&Rule::ttl(Expiration::NamespaceDefault), 1, one()), 0);
        assert!(near(60)(ttl(1)), "the default");
        assert_eq!(bench.send(&Rule::ttl(Expiration::Seconds(0)), 1, one()), 0);
        assert!(near(60)(ttl(1)), "zero seconds are the default, too");
        assert_eq!(bench.send(&Rule::ttl(Expiration::Never), 1, one()), 0);
        assert_eq!(ttl(1), None);
        assert_eq!(bench.send(&Rule::ttl(Expiration::DontUpdate), 1, one()), 0);
        assert_eq!(ttl(1), None, "never is kept");
        let touched = Rule {
            ttl: Expiration::Seconds(500),
            ..Rule::mode(UpdateOnly)
        };
        assert_eq!(bench.send(&touched, 1, vec![operations::touch()]), 0);
        assert!(near(500)(ttl(1)));
        // What is refused keeps its time.
        let filtered = Rule {
            ttl: Expiration::Never,
            ..Rule::filter(expressions::eq(expressions::int_bin("x"), expressions::int_val(2)))
        };
        assert_eq!(bench.send(&filtered, 1, one()), FILTERED);
        assert!(near(500)(ttl(1)));
        // An expired record is none: created anew, and no filter is looked at.
        bench.simulator.advance_clock(501);
        assert_eq!(bench.send(&touched, 1, one()), KEY_NOT_FOUND);
        assert_eq!(bench.send(&filtered, 1, vec![put("z", 1)]), 0);
        assert_eq!(bench.bins(1), bins(&[("z", SimValue::Int(1))]));
    });
}

#[test]
fn limits_of_a_namespace_refuse_what_is_over_them() {
    both_ways(|bench| {
        let ask = |name: &str| {
            let answer = bench.client.info(&AdminPolicy::default(), &["namespace/test"]).unwrap();
            let fields = answer["namespace/test"].clone();
            let field = fields
                .split(';')
                .find_map(|field| field.strip_prefix(&format!("{name}=")));
            field.unwrap().to_owned()
        };
        let configure = |change: &dyn Fn(&mut NamespaceConfig)| bench.simulator.configure("test", change).unwrap();
        let blob = |bytes: usize| vec![put("b", vec![7u8; bytes])];
        configure(&|config| config.max_record_bytes = 200);
        assert_eq!(ask("max-record-size"), "200");
        // 39 of the record, 2 of the set "s", 1 of the number of bins, 2 of the bin's name, 5 of the blob.
        assert_eq!(bench.plain(1, blob(151)), 0);
        assert_eq!(bench.plain(1, blob(152)), 13);
        assert_eq!(bench.plain(2, blob(152)), 13);
        assert_eq!(bench.plain(1, vec![operations::append(&as_bin!("b", vec![1u8]))]), 13);
        assert_eq!(bench.bin(1, "b"), Some(SimValue::from(&[7; 151][..])));
        assert_eq!(bench.bins(2), None);

        configure(&|config| (config.stop_writes, config.max_record_bytes) = (true, 1 << 20));
        assert_eq!(ask("stop_writes"), "true");
        for ops in [blob(1), vec![operations::touch()], vec![operations::delete()]] {
            assert_eq!(bench.plain(1, ops), 8);
        }
        assert_eq!(bench.delete(None, 1), 0, "a delete of its own still works");
        assert_eq!(bench.bins(1), None);
        configure(&|config| config.stop_writes = false);

        configure(&|config| config.nsup_period = 0);
        assert_eq!(ask("nsup-period"), "0");
        let ttl = Rule::ttl(Expiration::Seconds(5));
        assert_eq!(bench.send(&ttl, 4, blob(1)), 22);
        assert_eq!(bench.send(&Rule::ttl(Expiration::Never), 4, blob(1)), 0);
        assert_eq!(bench.send(&Rule::ttl(Expiration::DontUpdate), 4, blob(1)), 0);
        configure(&|config| config.default_ttl = 9);
        assert_eq!(bench.plain(4, blob(1)), 22, "the default is a ttl, too");
        configure(&|config| config.allow_ttl_without_nsup = true);
        assert_eq!(ask("allow-ttl-without-nsup"), "true");
        assert_eq!(bench.send(&ttl, 4, blob(1)), 0);
        assert!(bench.simulator.configure("nowhere", |_| ()).is_err());
    });
}

#[test]
fn limits_can_be_set_by_control_command_and_over_the_info_protocol() {
    let (simulator, client) = start(SimConfig {
        control: Some("127.0.0.1:0".parse().unwrap()),
        ..SimConfig::default()
    });
    let control = simulator.control_addr().unwrap();
    let ctl = |command: &str| control_command(control, command).unwrap();
    assert_eq!(ctl("namespace test max-record-size 100"), "ok");
    assert!(ctl("namespace test max-record-size 1").starts_with("error: "));
    assert!(ctl("namespace nowhere default-ttl 1").starts_with("error: "));
    assert!(ctl("namespace test replication-factor 1").starts_with("error: "));
    let put = |ttl: Expiration, bytes: usize| {
        let policy = WritePolicy {
            expiration: ttl,
            ..write_policy(LONG_MS)
        };
        code(client.put(&policy, &key(1), &[as_bin!("b", vec![1u8; bytes])]))
    };
    assert_eq!(put(Expiration::Never, 100), 13);
    let set = |params: &str| {
        let name = format!("set-config:{params}");
        client.info(&AdminPolicy::default(), &[&name]).unwrap()[&name].clone()
    };
    assert_eq!(set("context=namespace;id=test;max-record-size=1000"), "ok");
    assert_eq!(put(Expiration::Never, 100), 0);
    assert_eq!(set("context=namespace;id=test;nsup-period=0"), "ok");
    assert_eq!(put(Expiration::Seconds(9), 100), 22);
    assert_eq!(set("context=namespace;id=test;allow-ttl-without-nsup=true"), "ok");
    assert_eq!(put(Expiration::Seconds(9), 100), 0);
    assert_eq!(
        set("context=namespace;id=test;no-such-thing=1"),
        "ERROR:4:bad parameter"
    );
    assert_eq!(
        set("context=namespace;id=nowhere;nsup-period=0"),
        "ERROR:4:bad parameter"
    );
    assert_eq!(ctl("namespace test stop-writes true"), "ok");
    assert_eq!(put(Expiration::Never, 1), 8);
}

#[test]
fn a_record_can_be_put_and_removed_behind_the_clients_back() {
    let (simulator, client) = start(SimConfig::default());
    simulator
        .put(
            "test",
            "s",
            1,
            &[("~g", SimValue::from("no integer")), ("x", SimValue::Int(1))],
        )
        .unwrap();
    let record = client.get(&ReadPolicy::default(), &key(1), Bins::All).unwrap();
    assert_eq!((record.bins.len(), record.generation), (2, 1));
    simulator.put("test", "s", 1, &[("x", SimValue::Int(2))]).unwrap();
    let record = simulator.get("test", "s", 1).unwrap();
    assert_eq!((record.bins.len(), record.generation), (1, 2));
    assert!(simulator.remove("test", "s", 1));
    assert!(!simulator.remove("test", "s", 1));
    assert!(!client.exists(&ReadPolicy::default(), &key(1)).unwrap());
    for (namespace, bins) in [
        ("nowhere", vec![("x", SimValue::Int(1))]),
        ("test", vec![("sixteen_bytes_xx", SimValue::Int(1))]),
        ("test", vec![("x", SimValue::Nil)]),
    ] {
        simulator.put(namespace, "s", 2, &bins).unwrap_err();
    }
}
