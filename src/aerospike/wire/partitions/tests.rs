//! Tests of the partition map: answers that were recorded, made up, and malformed.

use aerospike::Key;

use super::*;

/// A bitmap as the server sends it.
fn bitmap(partitions: impl IntoIterator<Item = usize>) -> String {
    let mut bytes = [0u8; BITMAP_BYTES];
    for partition in partitions {
        bytes[partition / 8] |= 0x80 >> (partition % 8);
    }
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn part(entries: &[(&str, u32, std::ops::Range<usize>)]) -> Part {
    let entries: Vec<String> = entries
        .iter()
        .map(|(namespace, regime, partitions)| {
            format!("{namespace}:{regime},2,{},{}", bitmap(partitions.clone()), bitmap([]))
        })
        .collect();
    Part::parse(&entries.join(";")).unwrap()
}

fn addresses(count: usize) -> Vec<NodeAddress> {
    let address = |number| NodeAddress {
        name: format!("A{number}"),
        address: format!("10.0.0.{number}:3000"),
    };
    (0..count).map(address).collect()
}

/// The map after these nodes answered in this order.
fn merge(parts: &[Option<&Part>], before: &Map) -> (Map, Vec<usize>) {
    let addresses = addresses(parts.len());
    let claims: Vec<Claim<'_>> = addresses
        .iter()
        .zip(parts)
        .zip(1..)
        .map(|((address, part), order)| Claim {
            address,
            part: *part,
            order,
        })
        .collect();
    Map::merge(0, &claims, before)
}

fn owner(map: &Map, namespace: &str, partition: usize) -> Owner {
    let mut digest = [0xa5; 20];
    digest[..2].copy_from_slice(&u16::try_from(partition).unwrap().to_le_bytes());
    // The bits above a partition's number count for nothing.
    digest[1] |= 0xf0;
    map.owner(namespace, &digest)
}

/// How many partitions of `test` each node has, and how many nobody.
fn counts(map: &Map) -> (Vec<usize>, usize) {
    let mut counts = vec![0; map.nodes().len()];
    let mut nobody = 0;
    for partition in 0..PARTITIONS {
        match owner(map, "test", partition) {
            Owner::Node(place) => counts[place] += 1,
            Owner::NoNode => nobody += 1,
            Owner::NoNamespace => panic!("no namespace"),
        }
    }
    (counts, nobody)
}

#[test]
fn the_recorded_answer_of_a_server_is_read() {
    // `replicas\ttest:0,1,/*6828=;disk:0,1,/*6828=` of Aerospike 8.1.2.0; `/*682` stands for 682 slashes.
    let full = format!("{}8=", "/".repeat(682));
    assert_eq!(full, bitmap(0..PARTITIONS));
    let answer = format!("test:0,1,{full};disk:0,1,{full}");
    let part = Part::parse(&answer).unwrap();
    assert_eq!(
        Part::parse(&format!("{answer};\n")).unwrap(),
        part,
        "a separator at the end"
    );
    let (map, stale) = merge(&[Some(&part)], &Map::default());
    assert!(stale.is_empty());
    for namespace in ["test", "disk"] {
        for partition in 0..PARTITIONS {
            assert_eq!(owner(&map, namespace, partition), Owner::Node(0), "{partition}");
        }
    }
    assert_eq!(owner(&map, "other", 0), Owner::NoNamespace);
    assert_eq!(map.holes(), 0);
}

#[test]
fn nodes_share_the_partitions_of_each_namespace() {
    let one = part(&[("test", 0, 0..1000), ("a-b_c.$9 ,=é", 7, 0..4096)]);
    let two = part(&[("test", 0, 1000..3000), ("a-b_c.$9 ,=é", 7, 0..0)]);
    let three = part(&[("test", 0, 3000..4096), ("only", 0, 5..6)]);
    let (map, stale) = merge(&[Some(&one), Some(&two), Some(&three)], &Map::default());
    assert_eq!(counts(&map), (vec![1000, 2000, 1096], 0));
    assert!(stale.is_empty());
    for (partition, node) in [(0, 0), (999, 0), (1000, 1), (2999, 1), (3000, 2), (4095, 2)] {
        assert_eq!(owner(&map, "test", partition), Owner::Node(node), "{partition}");
    }
    assert_eq!(owner(&map, "a-b_c.$9 ,=é", 4095), Owner::Node(0));
    assert_eq!(owner(&map, "only", 5), Owner::Node(2));
    assert_eq!(owner(&map, "only", 6), Owner::NoNode);
    assert_eq!(map.holes(), PARTITIONS - 1);
    let names: Vec<&str> = map.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["A0", "A1", "A2"]);
}

#[test]
fn of_two_that_claim_a_partition_the_higher_regime_has_it_and_else_the_later_answer() {
    for (first, second, node) in [(0, 0, 1), (5, 4, 0), (4, 5, 1), (5, 5, 1), (5, 0, 0)] {
        let one = part(&[("test", first, 0..4096)]);
        let two = part(&[("test", second, 100..200)]);
        let (map, stale) = merge(&[Some(&one), Some(&two)], &Map::default());
        for (partition, expected) in [(99, 0), (100, node), (199, node), (200, 0)] {
            assert_eq!(
                owner(&map, "test", partition),
                Owner::Node(expected),
                "{first}, {second}"
            );
        }
        // The one that answered earlier is asked again.
        let expected: &[usize] = if node == 1 { &[0] } else { &[] };
        assert_eq!(stale, expected, "{first}, {second}");
    }
}

#[test]
fn a_partition_that_moved_goes_to_its_new_node() {
    let before = [part(&[("test", 0, 0..2048)]), part(&[("test", 0, 2048..4096)])];
    let (map, _) = merge(&[Some(&before[0]), Some(&before[1])], &Map::default());
    // The old owner has answered; the new one has not yet. The old one passes rows on.
    let given = part(&[("test", 0, 0..1024)]);
    let (map, _) = merge(&[Some(&given), Some(&before[1])], &map);
    assert_eq!(owner(&map, "test", 1024), Owner::Node(0));
    let taken = part(&[("test", 0, 1024..4096)]);
    let (map, stale) = merge(&[Some(&given), Some(&taken)], &map);
    assert_eq!(counts(&map), (vec![1024, 3072], 0));
    assert!(stale.is_empty());
    // The new one answers first.
    let (map, stale) = merge(&[Some(&before[0]), Some(&taken)], &map);
    assert_eq!(counts(&map), (vec![1024, 3072], 0));
    assert_eq!(stale, [0]);
}

#[test]
fn what_a_node_had_that_is_gone_has_nobody_until_another_claims_it() {
    let parts = [part(&[("test", 0, 0..2048)]), part(&[("test", 0, 2048..4096)])];
    let (map, _) = merge(&[Some(&parts[0]), Some(&parts[1])], &Map::default());
    let (map, _) = merge(&[Some(&parts[0])], &map);
    assert_eq!(counts(&map), (vec![2048], 2048));
    assert_eq!(owner(&map, "test", 4095), Owner::NoNode);
    let (map, _) = merge(&[Some(&part(&[("test", 0, 0..4096)]))], &map);
    assert_eq!(counts(&map), (vec![4096], 0));
}

#[test]
fn a_node_that_moves_in_the_list_keeps_its_partitions() {
    let parts = [part(&[("test", 0, 0..2048)]), part(&[("test", 0, 2048..4096)])];
    let (before, _) = merge(&[Some(&parts[0]), Some(&parts[1])], &Map::default());
    let addresses = addresses(2);
    let nothing = part(&[("test", 0, 0..0)]);
    let claims: Vec<Claim<'_>> = [1, 0]
        .into_iter()
        .map(|number: usize| Claim {
            address: &addresses[number],
            part: Some(&nothing),
            order: number as u64,
        })
        .collect();
    let (map, _) = Map::merge(3, &claims, &before);
    assert_eq!(map.epoch(), 3);
    assert_eq!(map.nodes()[0].name, "A1");
    assert_eq!(owner(&map, "test", 0), Owner::Node(1));
    assert_eq!(owner(&map, "test", 4095), Owner::Node(0));
}

#[test]
fn a_map_of_nothing_knows_no_node_rather_than_no_namespace() {
    assert_eq!(owner(&Map::default(), "test", 0), Owner::NoNode);
    let (map, _) = merge(&[None, None], &Map::default());
    assert_eq!(owner(&map, "test", 0), Owner::NoNode);
    assert_eq!(map.nodes().len(), 2);
    // A node that has just started.
    let (map, _) = merge(&[Some(&Part::parse("test:0,0").unwrap())], &Map::default());
    assert_eq!(owner(&map, "test", 0), Owner::NoNode);
    assert_eq!(owner(&map, "other", 0), Owner::NoNamespace);
}

#[test]
fn an_answer_of_another_form_is_refused_whole() {
    let good = format!("test:0,1,{}", bitmap(0..4096));
    assert!(Part::parse(&good).is_ok());
    let short = base64::engine::general_purpose::STANDARD.encode([0xff; BITMAP_BYTES - 1]);
    let long = base64::engine::general_purpose::STANDARD.encode([0xff; BITMAP_BYTES + 1]);
    let masters = bitmap(0..4096);
    for (bad, words) in [
        ("", "no namespace"),
        ("\n", "no namespace"),
        (";;", "no namespace"),
        ("garbage", "no namespace"),
        ("ERROR:4:unrecognized command", "no regime"),
        (":0,1,x", "is empty"),
        ("test:", "no regime"),
        ("test:0", "no number of copies"),
        ("test:-1,1,x", "no regime"),
        ("test:4294967296,1,x", "no regime"),
        ("test:0,x,y", "no number of copies"),
        ("test:0,1", "0 bitmaps for 1 copies"),
        ("test:0,4294967295,x", "1 bitmaps for 4294967295 copies"),
        ("test:0,1,", "0 bytes"),
        ("test:0,1,!!!!", "not base64"),
        (&format!("test:0,1,{short}"), "511 bytes"),
        (&format!("test:0,1,{long}"), "513 bytes"),
        (&format!("test:0,2,{masters}"), "1 bitmaps for 2 copies"),
        (&format!("test:0,1,{masters},{masters}"), "2 bitmaps for 1 copies"),
        (&format!("{good};{good}"), "told twice"),
        (&format!("{good};disk"), "no namespace"),
        (&format!("{good};disk:0,1,{short}"), "\"disk\""),
        (&good[..good.len() - 1], "not base64"),
    ] {
        let error = Part::parse(bad).unwrap_err().to_string();
        assert!(error.contains(words), "{bad:.40}: {error}");
    }
}

#[test]
fn a_record_is_in_the_partition_in_which_the_client_looks_for_it() {
    let mut random = fastrand::Rng::with_seed(19);
    for _ in 0..10_000 {
        let mut digest = [0; 20];
        random.fill(&mut digest);
        let key = Key::with_digest("test", "", None, digest);
        assert_eq!(partition(&digest), key.partition_id(), "{digest:?}");
    }
}
