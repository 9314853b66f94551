//! Lists and maps as the client changes them, as a row of a batch and as a command of their own: growing, counting, and
//! what keeps them at a length.

use super::bench::*;
use super::*;
use aerospike::operations::Operation;
use aerospike::operations::lists::{ListOrderType, ListPolicy, ListReturnType, ListWriteFlags};
use aerospike::operations::maps::{MapOrder, MapPolicy, MapReturnType, MapWriteFlags};

fn ints(values: impl IntoIterator<Item = i64>) -> SimValue {
    SimValue::List(values.into_iter().map(SimValue::Int).collect())
}

fn entries(keys: impl IntoIterator<Item = i64>) -> Vec<(SimValue, SimValue)> {
    keys.into_iter()
        .map(|key| (SimValue::Int(key), SimValue::Int(10 * key)))
        .collect()
}

const POLICIES: [(MapOrder, Option<u8>); 2] = [(MapOrder::Unordered, None), (MapOrder::KeyOrdered, Some(1))];

fn map(order: Option<u8>, entries: Vec<(SimValue, SimValue)>) -> SimValue {
    match order {
        Some(order) => SimValue::OrderedMap(order, entries),
        None => SimValue::Map(entries),
    }
}

#[test]
fn a_list_keeps_its_last_elements_whether_it_is_shorter_as_long_or_longer() {
    both_ways(|bench| {
        let keep = |n: i64| -> Vec<(&str, Operation)> {
            let inverted = ListReturnType::NONE.inverted();
            vec![
                ("trim", lists::trim("l", -n, n)),
                ("inverted", lists::remove_by_index_range_count("l", -n, n, inverted)),
                ("inverted, from", lists::remove_by_index_range("l", -n, inverted)),
            ]
        };
        let mut id = 0;
        for len in 0..6 {
            for n in [1, 3, 5, 1000] {
                for (name, operation) in keep(n) {
                    id += 1;
                    bench.seed(id, &[("l", ints(0..len)), ("x", SimValue::Int(1))]);
                    assert_eq!(bench.plain(id, vec![operation]), 0, "{name}, {n} of {len}");
                    let expected = ints((len - n).max(0)..len);
                    assert_eq!(bench.bin(id, "l"), Some(expected), "{name}, {n} of {len}");
                }
            }
        }
        for (name, operation) in keep(3) {
            // Without the bin there is nothing to trim, and without the record nothing is made.
            bench.seed(1000, &[("x", SimValue::Int(1))]);
            assert_eq!(bench.plain(1000, vec![operation.clone()]), 0, "{name}");
            assert_eq!(bench.bins(1000), bins(&[("x", SimValue::Int(1))]), "{name}");
            assert_eq!(bench.plain(1001, vec![operation.clone()]), KEY_NOT_FOUND, "{name}");
            bench.seed(1000, &[("l", SimValue::from("no list"))]);
            assert_eq!(bench.plain(1000, vec![operation]), TYPE, "{name}");
        }
        let push = |value: i64| {
            let append = lists::append(&ListPolicy::default(), "l", value.into());
            vec![append, lists::trim("l", -3, 3)]
        };
        for value in 0..7 {
            assert_eq!(bench.plain(2000, push(value)), 0);
            let expected = ints((value - 2).max(0)..=value);
            assert_eq!(bench.bin(2000, "l"), Some(expected));
        }
        assert_eq!(
            bench.plain(2000, vec![lists::trim("l", 0, -1)]),
            PARAMETER,
            "a negative count"
        );
        // A range with nothing in it keeps nothing, and leaves an empty list.
        assert_eq!(bench.plain(2000, vec![lists::trim("l", 9, 3)]), 0);
        assert_eq!(bench.bin(2000, "l"), Some(ints([])));
    });
}

#[test]
fn appends_make_the_list_that_is_not_there_and_keep_to_its_policy() {
    both_ways(|bench| {
        let append = |policy: &ListPolicy, value: i64| vec![lists::append(policy, "l", value.into())];
        let plain = ListPolicy::default();
        let ordered = ListPolicy::new(ListOrderType::Ordered, ListWriteFlags::DEFAULT);
        let unique = ListPolicy::new(ListOrderType::Unordered, ListWriteFlags::ADD_UNIQUE);
        let quiet = ListPolicy::new(
            ListOrderType::Unordered,
            ListWriteFlags::ADD_UNIQUE | ListWriteFlags::NO_FAIL,
        );
        for value in [3, 1, 2] {
            assert_eq!(bench.plain(1, append(&plain, value)), 0);
            assert_eq!(bench.plain(2, append(&ordered, value)), 0);
        }
        assert_eq!(bench.bin(1, "l"), Some(ints([3, 1, 2])));
        let sorted = [1, 2, 3].map(SimValue::Int).to_vec();
        assert_eq!(bench.bin(2, "l"), Some(SimValue::OrderedList(1, sorted)));
        assert_eq!(bench.plain(1, append(&unique, 3)), 24);
        assert_eq!(bench.plain(1, append(&quiet, 3)), 0);
        assert_eq!(bench.plain(1, append(&quiet, 4)), 0);
        assert_eq!(bench.bin(1, "l"), Some(ints([3, 1, 2, 4])));
        bench.seed(3, &[("l", SimValue::Int(1))]);
        assert_eq!(bench.plain(3, append(&plain, 1)), TYPE);
        let items = vec![Value::Int(1), Value::Nil, Value::List(vec![Value::from(0.5)])];
        assert_eq!(bench.plain(4, vec![lists::append_items(&plain, "l", items)]), 0);
        assert_eq!(
            bench.bin(4, "l"),
            Some(SimValue::List(vec![
                SimValue::Int(1),
                SimValue::Nil,
                SimValue::List(vec![SimValue::Float(0.5)]),
            ]))
        );
    });
}

#[test]
fn a_map_keeps_its_greatest_keys_whatever_its_order_attribute() {
    both_ways(|bench| {
        let keep = |n: i64| maps::remove_by_index_range("m", -n, n, MapReturnType::NONE.inverted());
        let mut id = 0;
        for (order, stored) in POLICIES {
            let policy = MapPolicy::new(order, MapWriteFlags::DEFAULT);
            for len in 0..6 {
                for n in [1, 3, 5, 1000] {
                    id += 1;
                    bench.seed(id, &[("m", map(stored, entries(0..len))), ("x", SimValue::Int(1))]);
                    assert_eq!(bench.plain(id, vec![keep(n)]), 0, "{n} of {len}, {order:?}");
                    let expected = map(stored, entries((len - n).max(0)..len));
                    assert_eq!(bench.bin(id, "m"), Some(expected), "{n} of {len}, {order:?}");
                }
            }
            id += 1;
            for key in [4, 2, 9, 1, 7] {
                let put = maps::put(&policy, "m", key.into(), (10 * key).into());
                assert_eq!(bench.plain(id, vec![put, keep(3)]), 0);
            }
            assert_eq!(bench.bin(id, "m"), Some(map(stored, entries([4, 7, 9]))));
        }
        bench.seed(1000, &[("x", SimValue::Int(1))]);
        assert_eq!(bench.plain(1000, vec![keep(3)]), 0);
        assert_eq!(bench.bins(1000), bins(&[("x", SimValue::Int(1))]));
        assert_eq!(bench.plain(1001, vec![keep(3)]), KEY_NOT_FOUND);
        bench.seed(1000, &[("m", ints([]))]);
        assert_eq!(bench.plain(1000, vec![keep(3)]), TYPE);
        // Inverted matters: without it, it is the greatest that go.
        bench.seed(1002, &[("m", map(None, entries(0..5)))]);
        let drop = maps::remove_by_index_range("m", -3, 3, MapReturnType::NONE);
        assert_eq!(bench.plain(1002, vec![drop]), 0);
        assert_eq!(bench.bin(1002, "m"), Some(map(None, entries(0..2))));
    });
}

#[test]
fn map_values_are_put_and_incremented() {
    both_ways(|bench| {
        let mut id = 0;
        for (order, stored) in POLICIES {
            let policy = MapPolicy::new(order, MapWriteFlags::DEFAULT);
            let increment = |key: &str, by: Value| vec![maps::increment_value(&policy, "m", Value::from(key), by)];
            let of = |key: &str, value: SimValue| map(stored, vec![(SimValue::from(key), value)]);
            id += 1;
            for expected in [2, 4] {
                assert_eq!(
                    bench.plain(id, increment("k", 2.into())),
                    0,
                    "a missing key, then an integer"
                );
                assert_eq!(bench.bin(id, "m"), Some(of("k", SimValue::Int(expected))));
            }
            let steps = [
                (SimValue::Int(4), Value::from(1.75), Ok(SimValue::Int(5))),
                (SimValue::Int(i64::MAX), 1.into(), Ok(SimValue::Int(i64::MIN))),
                (SimValue::Float(0.5), Value::from(0.25), Ok(SimValue::Float(0.75))),
                (SimValue::Float(0.5), 1.into(), Ok(SimValue::Float(1.5))),
                // An element that is no number is a parameter error, unlike a bin that is none.
                (SimValue::from("x"), 1.into(), Err(PARAMETER)),
                (SimValue::Nil, 1.into(), Err(PARAMETER)),
                (SimValue::Int(1), Value::from("x"), Err(PARAMETER)),
            ];
            for (before, by, expected) in steps {
                id += 1;
                bench.seed(id, &[("m", of("k", before.clone()))]);
                let found = match bench.plain(id, increment("k", by)) {
                    0 => Ok(()),
                    code => Err(code),
                };
                let after = expected.clone().unwrap_or(before);
                assert_eq!(
                    (found, bench.bin(id, "m")),
                    (expected.map(|_| ()), Some(of("k", after)))
                );
            }
            id += 1;
            assert_eq!(
                bench.plain(id, increment("k", Value::from(0.5))),
                0,
                "a float makes a float"
            );
            assert_eq!(bench.bin(id, "m"), Some(of("k", SimValue::Float(0.5))));
            bench.seed(id, &[("m", SimValue::Int(1))]);
            assert_eq!(bench.plain(id, increment("k", 1.into())), TYPE);

            let put = |policy: &MapPolicy, value: i64| vec![maps::put(policy, "m", "k".into(), value.into())];
            id += 1;
            assert_eq!(bench.plain(id, put(&policy, 1)), 0);
            assert_eq!(bench.plain(id, put(&policy, 2)), 0);
            let once = MapPolicy::new(order, MapWriteFlags::CREATE_ONLY);
            let quiet = MapPolicy::new(order, MapWriteFlags::CREATE_ONLY | MapWriteFlags::NO_FAIL);
            assert_eq!(bench.plain(id, put(&once, 3)), 24);
            assert_eq!(bench.plain(id, put(&quiet, 3)), 0);
            assert_eq!(bench.bin(id, "m"), Some(of("k", SimValue::Int(2))));
        }
    });
}
