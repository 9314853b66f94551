//! What a client sends to the simulator: it answers whole frames, takes memory for what has come, and never panics.

use std::sync::LazyLock;

use penstock_sim::{Offline, SimConfig};

/// Without and with a login.
static NODES: LazyLock<[Offline; 2]> = LazyLock::new(|| {
    let offline = |config| Offline::new(config).unwrap_or_else(|error| panic!("{error}"));
    [
        offline(SimConfig::default()),
        offline(SimConfig {
            login: Some(("user".to_owned(), "password".to_owned())),
            ..SimConfig::default()
        }),
    ]
});

/// The first byte chooses the node.
pub fn run(input: &[u8]) {
    let Some((by, sent)) = input.split_first() else {
        return;
    };
    let node = NODES[usize::from(by % 2)].node();
    // Twice: the second time there are records.
    framed(&node.converse(sent));
    framed(&node.converse(sent));
}

/// An answer is whole frames of the protocol.
fn framed(mut answer: &[u8]) {
    while let Some((head, rest)) = answer.split_first_chunk::<8>() {
        let [version, kind, size @ ..] = *head;
        let bytes = size.iter().fold(0, |bytes, byte| bytes << 8 | usize::from(*byte));
        assert_eq!(version, 2);
        assert!((1..=3).contains(&kind), "a frame of type {kind}");
        assert!(bytes <= rest.len(), "a frame of {bytes} bytes in {}", rest.len());
        answer = &rest[bytes..];
    }
    assert!(answer.is_empty(), "{} bytes behind the frames", answer.len());
}
