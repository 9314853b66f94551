//! No text makes the reader panic: random texts, wrongly combined pieces, truncated files.

use penstock::config;
use proptest::prelude::*;

use super::{DESIGN, Nothing};

/// Pieces of a configuration, which the tests combine wrongly.
fn piece() -> impl Strategy<Value = String> {
    let pieces: Vec<&'static str> = vec![
        "[run]",
        "[kafka]",
        "[kafka.properties]",
        "[aerospike]",
        "[[route]]",
        "[[route.write]]",
        "[route.write.bins]",
        "\n",
        "\n",
        "\n",
        " = ",
        " = ",
        "=",
        ".",
        ",",
        "[",
        "]",
        "{",
        "}",
        "{ ",
        " }",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "#",
        "memory",
        "topics",
        "brokers",
        "key",
        "bins",
        "each",
        "ttl",
        "set",
        "path",
        "as",
        "default",
        "value",
        "object",
        "except",
        "rename",
        "once",
        "add",
        "map_put",
        "keep_last",
        "remove",
        "touch",
        "newer",
        "mode",
        "tombstone",
        "\"delete\"",
        "\"*\"",
        "\"a.*\"",
        "\"user.id\"",
        "\"@item.x\"",
        "\"@header.\"",
        "\"{a}:{b:%Y}\"",
        "\"{a:%\"",
        "\"${env:TOPIC}\"",
        "\"${file:x}\"",
        "\"$${\"",
        "\"10s\"",
        "\"512MiB\"",
        "\"99999999999999999999d\"",
        "5",
        "-1",
        "1e999",
        "nan",
        "0x",
        "true",
        "1979-05-27",
        "\u{feff}",
        "\r\n",
        "\0",
        "ö",
        "\\u0000",
        "a.b.c",
    ];
    prop_oneof![8 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = config::parse_with(&text, "x", &Nothing);
    }

    #[test]
    fn no_mixture_of_pieces_panics(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        if let Err(faults) = config::parse_with(&text, "x", &Nothing) {
            let lines = text.matches('\n').count() + 1;
            prop_assert!(!faults.faults.is_empty());
            for fault in &faults.faults {
                prop_assert!((1..=lines).contains(&fault.line), "{}", faults);
                prop_assert!(!fault.problem.is_empty() && !fault.cure.is_empty(), "{}", faults);
            }
            prop_assert!(faults.faults.is_sorted_by_key(|fault| fault.line));
        }
    }

    /// With any text as a value, the reader returns a configuration or faults. It does not panic.
    #[test]
    fn no_value_panics(value in "[ -~ö\\n\\t]{0,40}", key in "(key|bins|set|ttl|each|namespace|once|add|append|map_put|map_add|keep_last|remove|newer|mode|tombstone)") {
        let quoted = format!("{value:?}").replace("\\'", "'");
        let text = format!("{DESIGN}\n[[route]]\n[[route.write]]\n{key} = {quoted}\n");
        let _ = config::parse_with(&text, "x", &Nothing);
    }

    /// A good file that is cut anywhere gives faults, never a panic or an endless loop.
    #[test]
    fn no_torn_file_panics(at in 0..DESIGN.len()) {
        let _ = config::parse_with(&DESIGN[..at], "x", &Nothing);
    }
}
