//! What a node answers to questions and to a login, and the readers of its texts: peers, partition maps, error codes.

use std::io::{self, Read, Write};

use penstock::aerospike::fuzzing::{ask, peers, texts};
use penstock::aerospike::wire::partitions::{Claim, Map, NodeAddress, PARTITIONS, Part, partition};

/// All that is asked anywhere.
const NAMES: [&str; 6] = [
    "node",
    "partition-generation",
    "replicas",
    "peers-clear-std",
    "service-clear-std",
    "statistics",
];

/// A connection to a node that says what it says, whatever is asked.
struct Node<'b>(&'b [u8], usize);

impl Read for Node<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

impl Write for Node<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The first byte says what the others are: a stream with a login or without, or a text.
pub fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind % 3 {
        0 => {
            let step = usize::from(kind / 3).max(1);
            let asked = ask(&mut Node(rest, step), None, &NAMES);
            let at_once = ask(&mut Node(rest, usize::MAX), None, &NAMES);
            assert_eq!(asked, at_once, "in pieces of {step}");
            if let Ok(answers) = asked {
                answers.iter().for_each(|answer| text(answer));
            }
        }
        1 => {
            if let Ok(answers) = ask(&mut Node(rest, usize::MAX), Some(("user", "$2a$10$hash")), &NAMES) {
                answers.iter().for_each(|answer| text(answer));
            }
        }
        _ => text(&String::from_utf8_lossy(rest)),
    }
}

fn text(text: &str) {
    for (_, addresses) in peers(text) {
        // Each has a port, its own or the default.
        assert!(addresses.iter().all(|address| address.contains(':')), "{addresses:?}");
    }
    texts(text);
    let Ok(part) = Part::parse(text) else {
        return;
    };
    // Another node that tells the same, later: it has everything, and the first one's answer is old.
    let nodes = ["A", "B"].map(|name| NodeAddress {
        name: name.to_owned(),
        address: "127.0.0.1:3000".to_owned(),
    });
    let claims: Vec<Claim<'_>> = (0..)
        .zip(&nodes)
        .map(|(order, address)| Claim {
            address,
            part: Some(&part),
            order,
        })
        .collect();
    let (map, _) = Map::merge(1, &claims, &Map::default());
    let (again, _) = Map::merge(1, &claims[1..], &map);
    assert!(again.holes() <= map.holes(), "a partition was lost");
    let digest = [0xab; 20];
    assert!(partition(&digest) < PARTITIONS);
    let _ = map.owner("test", &digest);
}
