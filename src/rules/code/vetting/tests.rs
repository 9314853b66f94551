//! A table of everything that code can ask for and that cannot be done.

use std::borrow::Cow;
use std::sync::Arc;

use crate::output::RowParts;
use crate::output::publication::Publication;
use crate::output::row::{RowRules, Target};
use crate::output::value::Unheld;
use crate::rules::code::vetting::*;

/// A row of a test, based on one that can be done.
struct Asked {
    rules: RowRules,
    target: Target,
    key: RecordKey<'static>,
    action: RowAction<'static>,
    ttl: RowTtl,
    newer: Option<i64>,
}

fn put(bin: &'static str, value: Value<'static>) -> Op<'static> {
    Op::Put {
        bin: Cow::Borrowed(bin),
        value,
    }
}

impl Default for Asked {
    fn default() -> Self {
        Asked {
            rules: RowRules::UPDATE,
            target: Target::new("test", "users"),
            key: RecordKey::Integer(0),
            action: RowAction::Write(vec![put("n", Value::Int(1))]),
            ttl: RowTtl::NamespaceDefault,
            newer: None,
        }
    }
}

impl Asked {
    fn ops(ops: Vec<Op<'static>>) -> Asked {
        Asked {
            action: RowAction::Write(ops),
            ..Asked::default()
        }
    }

    fn op(op: Op<'static>) -> Asked {
        Asked::ops(vec![op])
    }

    fn rules(self, rules: RowRules) -> Asked {
        Asked { rules, ..self }
    }

    /// The text of the rejection; empty if the row can be done.
    fn told(self) -> String {
        let rules = self.rules;
        let target = Arc::new(self.target);
        let mut output = Output::default();
        output.begin(0);
        let parts = RowParts {
            target: &target,
            key: self.key,
            action: self.action,
            ttl: self.ttl,
            newer: self.newer,
        };
        output.write(&rules, parts).unwrap();
        let told = vet(promised(true), Verdict::Kept, &output);
        discard(&mut output);
        told.map_or_else(|rejection| rejection.to_string(), |()| String::new())
    }
}

const NAMESPACES: &[&str] = &["test"];

fn promised(is_guarded: bool) -> Promised<'static> {
    // Leaked, so that it lives as long as the test.
    let owned = |names: &[&str]| -> &'static [String] {
        names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().leak()
    };
    Promised {
        namespaces: owned(NAMESPACES),
        produced_topics: owned(&["out"]),
        is_guarded,
    }
}

fn nested(depth: usize) -> Value<'static> {
    (0..depth).fold(Value::Int(1), |inner, _| Value::List(vec![inner]))
}

/// All requests of a row that cannot be done, each with a part of its rejection text.
#[test]
fn what_cannot_be_done_is_named() {
    let mode = |mode| RowRules {
        mode,
        repeatable: false,
        ..RowRules::UPDATE
    };
    let newer = |bin: &str| RowRules {
        newer_bin: Some(bin.to_owned()),
        ..RowRules::UPDATE
    };
    let target = |namespace: &str, set: &str| Asked {
        target: Target::new(namespace, set),
        ..Asked::default()
    };
    let key = |key| Asked {
        key,
        ..Asked::default()
    };
    let ttl = |ttl| Asked {
        ttl,
        ..Asked::default()
    };
    let touch = || Asked {
        action: RowAction::Touch,
        ..Asked::default()
    };
    let add = |by| Op::Add { bin: "n", by };
    let on_create = RowRules {
        ttl_on_create: true,
        ..RowRules::UPDATE
    };
    let huge = || "x".repeat(ROW_BYTES_MAX);
    let map = |names: &[&'static str]| Value::Map(names.iter().map(|name| ((*name).into(), Value::Null)).collect());
    for (asked, said) in [
        (
            target("", "users"),
            "its namespace is not among those that namespaces() names",
        ),
        (target("elsewhere", "users"), "its namespace is not among"),
        (
            target("test", &"s".repeat(64)),
            "set name is 64 bytes, Aerospike allows 63",
        ),
        (target("test", "a:b"), "`:` is not allowed in a set name"),
        (
            target("test", "a\0b"),
            "a control character is not allowed in a set name",
        ),
        (key(RecordKey::String(Cow::Borrowed(""))), "its key is empty"),
        (key(RecordKey::Bytes(Cow::Borrowed(b""))), "its key is empty"),
        (key(RecordKey::String(Cow::Owned(huge() + "x"))), "it weighs"),
        (ttl(RowTtl::Seconds(0)), "a ttl of 0 seconds"),
        // -1 and -2 as unsigned numbers. Aerospike has other meanings for them.
        (ttl(RowTtl::Seconds(u32::MAX)), "a ttl of 4294967295 seconds"),
        (ttl(RowTtl::Seconds(u32::MAX - 1)), "a ttl of 4294967294 seconds"),
        (ttl(RowTtl::Seconds(TTL_SECONDS_MAX + 1)), "a ttl of 315360001 seconds"),
        (Asked::ops(vec![]), "it has no operations"),
        (
            Asked::ops(vec![put("n", Value::Int(1)); OPERATIONS_MAX + 1]),
            "32767 operations, 32766 are allowed",
        ),
        (
            Asked::op(put("", Value::Int(1))),
            "Put of bin \"\": a bin name is empty",
        ),
        (
            Asked::op(put("sixteen_bytes_xx", Value::Int(1))),
            "Put of bin \"sixteen_bytes_xx\": bin name is 16 bytes, Aerospike allows 15",
        ),
        (
            Asked::op(put("a\0b", Value::Int(1))),
            "a bin name holds a NUL character",
        ),
        (
            Asked::op(put("~GovjZ0RuTKcRts", Value::Int(1))),
            "are the name of a guard",
        ),
        (
            Asked::op(add(Number::Int(1))),
            "its rules say repeatable, and done twice it shows",
        ),
        (
            Asked::op(add(Number::Float(f64::NAN))).rules(RowRules::guarded()),
            "Add of bin \"n\": a number that is not finite",
        ),
        (
            Asked::op(put("n", Value::Float(f64::NAN))),
            "a number that is not finite",
        ),
        (
            Asked::op(put("m", Value::List(vec![map(&["b", "a", "b"])]))),
            "Put of bin \"m\": a map with the same name twice",
        ),
        (
            Asked::op(put("n", Value::Float(f64::INFINITY))),
            "a number that is not finite",
        ),
        (
            Asked::op(put("n", Value::List(vec![Value::Float(f64::NEG_INFINITY)]))),
            "a number that is not finite",
        ),
        (
            Asked::op(put(
                "n",
                Value::Unheld {
                    what: Unheld::Integer,
                    text: "18446744073709551616".into(),
                },
            )),
            "an integer outside of 64 bits",
        ),
        (
            Asked::op(put("n", nested(129))),
            "more than 128 lists and maps inside one another",
        ),
        // Deeper than any stack: it must be checked and dropped without recursion.
        (Asked::op(put("n", nested(1_000_000))), "more than 128 lists and maps"),
        (Asked::op(put("n", Value::Str(Cow::Owned(huge())))), "it weighs"),
        (
            Asked {
                key: RecordKey::String(Cow::Owned(huge())),
                action: RowAction::Delete,
                ..Asked::default()
            },
            "it weighs",
        ),
        (
            Asked {
                key: RecordKey::Bytes(Cow::Owned(huge().into_bytes())),
                ..touch()
            },
            "it weighs",
        ),
        (
            Asked::op(Op::Once {
                bin: "n",
                value: Value::Null,
            }),
            "it cannot be set once",
        ),
        (
            Asked::op(Op::Append {
                bin: "n",
                value: Value::Int(1),
            })
            .rules(RowRules::guarded()),
            "a string or bytes are needed, and it is integer",
        ),
        (
            Asked::op(Op::Prepend {
                bin: "n",
                value: Value::Null,
            })
            .rules(RowRules::guarded()),
            "a string or bytes are needed, and it is null",
        ),
        (
            Asked::op(Op::MapPut {
                bin: "n",
                key: Value::Null,
                value: Value::Int(1),
            }),
            "the key of an entry is a string or an integer, and it is null",
        ),
        (
            Asked::op(Op::MapAdd {
                bin: "n",
                key: Value::Float(1.0),
                by: Number::Int(1),
            })
            .rules(RowRules::guarded()),
            "the key of an entry is a string or an integer, and it is float",
        ),
        (
            Asked::op(Op::KeepLast {
                bin: "n",
                count: 0,
                map: false,
            }),
            "a count of 0",
        ),
        (
            Asked::op(add(Number::Int(1))).rules(mode(Mode::Replace)),
            "only Put of a value",
        ),
        (
            Asked::op(put("n", Value::Null)).rules(mode(Mode::Replace)),
            "only Put of a value",
        ),
        (
            Asked::op(put("n", Value::Null)).rules(mode(Mode::Create)),
            "has no bin to remove",
        ),
        (
            Asked::default().rules(RowRules {
                mode: Mode::Replace,
                ..RowRules::guarded()
            }),
            "takes the guard's bin along",
        ),
        (
            Asked::default().rules(RowRules {
                mode: Mode::Create,
                ..RowRules::UPDATE
            }),
            "a creation that is repeated finds itself",
        ),
        (
            Asked {
                newer: Some(1),
                ..Asked::default()
            }
            .rules(RowRules {
                mode: Mode::Create,
                ..newer("v")
            }),
            "holds no version",
        ),
        (Asked::default().rules(newer("v")), "and it has none (newer)"),
        (
            Asked {
                newer: Some(1),
                ..Asked::default()
            },
            "its rules name no bin for it",
        ),
        (
            Asked {
                newer: Some(1),
                ..Asked::default()
            }
            .rules(newer("n")),
            "the version (newer) is kept in this bin",
        ),
        (
            Asked {
                newer: Some(1),
                ..Asked::default()
            }
            .rules(newer("sixteen_bytes_xx")),
            "the bin of its version: bin name is 16 bytes",
        ),
        (
            Asked::default().rules(RowRules {
                mode: Mode::UpdateOnly,
                ..on_create.clone()
            }),
            "ttl_on_create with a mode other than Update",
        ),
        (
            touch().rules(RowRules::guarded()),
            "a touch stores nothing, and so no guard",
        ),
        (
            Asked {
                newer: Some(1),
                ..touch()
            }
            .rules(newer("v")),
            "and so no version",
        ),
        (
            touch().rules(mode(Mode::Create)),
            "a touch with a mode other than Update",
        ),
        (
            Asked {
                ttl: RowTtl::Keep,
                ..touch()
            },
            "begins the record's life anew",
        ),
        (touch().rules(on_create.clone()), "begins the record's life anew"),
        (
            Asked {
                action: RowAction::Delete,
                ..Asked::default()
            }
            .rules(on_create),
            "a deletion has no ttl",
        ),
    ] {
        let told = asked.told();
        assert!(told.starts_with("processor_output: row 0: "), "{said:?}: {told:?}");
        assert!(told.contains(said), "{said:?}: {told:?}");
    }
}

#[test]
fn what_can_be_done_is_let_through() {
    let versioned = RowRules {
        newer_bin: Some("v".to_owned()),
        ..RowRules::UPDATE
    };
    let add = || {
        Asked::op(Op::Add {
            bin: "n",
            by: Number::Int(i64::MIN),
        })
    };
    for asked in [
        Asked::default(),
        Asked {
            target: Target::new("test", ""),
            ..Asked::default()
        },
        Asked {
            ttl: RowTtl::Seconds(TTL_SECONDS_MAX),
            ..Asked::default()
        },
        Asked::ops(vec![put("n", Value::Int(1)); OPERATIONS_MAX]),
        Asked::op(put("fifteen_bytes_x", nested(128))),
        Asked::op(put("n", Value::Null)),
        add().rules(RowRules::guarded()),
        add().rules(RowRules {
            repeatable: false,
            ..RowRules::UPDATE
        }),
        Asked {
            newer: Some(i64::MIN),
            ..add()
        }
        .rules(versioned),
        Asked::default().rules(RowRules {
            mode: Mode::Replace,
            ..RowRules::UPDATE
        }),
        Asked {
            action: RowAction::Delete,
            ..Asked::default()
        }
        .rules(RowRules::guarded()),
        Asked {
            action: RowAction::Touch,
            ..Asked::default()
        },
        Asked::op(Op::MapPut {
            bin: "m",
            key: Value::Int(1),
            value: Value::Null,
        }),
        // A repeat finds its own record and counts as done.
        Asked::default().rules(RowRules {
            mode: Mode::Create,
            on_conflict: OnConflict::Ignore,
            ..RowRules::UPDATE
        }),
    ] {
        assert_eq!(asked.told(), "");
    }
}

#[test]
fn each_operation_that_shows_when_it_is_repeated_is_not_called_repeatable() {
    let value = || Value::Str(Cow::Borrowed("x"));
    let by = Number::Int(1);
    for op in [
        Op::Add { bin: "b", by },
        Op::Append {
            bin: "b",
            value: value(),
        },
        Op::Prepend {
            bin: "b",
            value: value(),
        },
        Op::ListAppend {
            bin: "b",
            value: value(),
        },
        Op::MapAdd {
            bin: "b",
            key: value(),
            by,
        },
    ] {
        let told = Asked::op(op.clone()).told();
        assert!(told.contains("done twice it shows"), "{op:?}: {told:?}");
        let once = RowRules {
            repeatable: false,
            ..RowRules::UPDATE
        };
        assert_eq!(Asked::op(op).rules(once).told(), "");
    }
}

#[test]
fn a_guarded_row_of_one_that_promises_none_rejects_its_message() {
    let target = Arc::new(Target::new("test", "users"));
    let rules = RowRules::guarded();
    let mut output = Output::default();
    let parts = RowParts {
        target: &target,
        key: RecordKey::Integer(1),
        action: RowAction::Write(vec![put("n", Value::Int(1))]),
        ttl: RowTtl::NamespaceDefault,
        newer: None,
    };
    output.write(&rules, parts).unwrap();
    assert_eq!(vet(promised(true), Verdict::Kept, &output), Ok(()));
    let told = vet(promised(false), Verdict::Kept, &output).unwrap_err().to_string();
    assert!(told.contains("it is guarded, and is_guarded() says false"), "{told}");
    let told = vet(promised(true), Verdict::Filtered, &output).unwrap_err().to_string();
    assert!(
        told.contains("the verdict is Filtered, and there are 1 row(s)"),
        "{told}"
    );
}

#[test]
fn a_row_too_many_rejects_its_message_also_where_nobody_looks_at_the_error() {
    let target = Arc::new(Target::new("test", "users"));
    let mut output = Output::default();
    for number in 0..=ROWS_MAX as i64 {
        let parts = RowParts {
            target: &target,
            key: RecordKey::Integer(number),
            action: RowAction::Delete,
            ttl: RowTtl::NamespaceDefault,
            newer: None,
        };
        let _ = output.write(&RowRules::UPDATE, parts);
    }
    let told = vet(promised(true), Verdict::Kept, &output).unwrap_err();
    assert_eq!(told.reason, Reason::TooManyRows);
    output.rows.pop();
    let told = vet(promised(true), Verdict::Kept, &output).unwrap_err();
    assert_eq!(told.reason, Reason::TooManyRows, "it is forgotten that one was refused");
    output.take_back();
    for number in 0..ROWS_MAX as i64 {
        let parts = RowParts {
            target: &target,
            key: RecordKey::Integer(number),
            action: RowAction::Delete,
            ttl: RowTtl::NamespaceDefault,
            newer: None,
        };
        output.write(&RowRules::UPDATE, parts).unwrap();
    }
    assert_eq!(
        vet(promised(true), Verdict::Kept, &output),
        Ok(()),
        "as many as there can be"
    );
}

#[test]
fn a_publication_that_cannot_be_produced_is_named() {
    let publication = |topic: &'static str| Publication {
        message: 77,
        topic,
        key: None,
        payload: None,
        headers: Vec::new(),
        timestamp_ms: None,
    };
    let told = |publications: Vec<Publication<'static>>| {
        let mut output = Output::default();
        output.publications = publications;
        vet(promised(true), Verdict::Kept, &output).map_or_else(|rejection| rejection.to_string(), |()| String::new())
    };
    assert_eq!(told(vec![publication("out"); 3]), "");
    assert_eq!(told(vec![publication("out"); PUBLICATIONS_MAX]), "");
    let first = Publication {
        timestamp_ms: Some(0),
        ..publication("out")
    };
    assert_eq!(told(vec![first]), "", "a message can be of 1970");
    let mut output = Output::default();
    output.publications = vec![publication("out")];
    let filtered = vet(promised(true), Verdict::Filtered, &output).unwrap_err().to_string();
    assert!(filtered.contains("0 row(s) and 1 publication(s)"), "{filtered}");
    let header = Publication {
        headers: vec![(Cow::Borrowed("a\0b"), None)],
        ..publication("out")
    };
    let early = Publication {
        timestamp_ms: Some(-1),
        ..publication("out")
    };
    for (publications, said) in [
        (
            vec![publication("out"), publication("in")],
            "publication 1: the topic \"in\" is not among those",
        ),
        (
            vec![publication("")],
            "publication 0: the topic \"\" is not among those",
        ),
        (vec![header], "publication 0: the name of a header holds a NUL"),
        (vec![early], "publication 0: a timestamp of -1"),
        (
            vec![publication("out"); PUBLICATIONS_MAX + 1],
            "65537 publications, 65536 are allowed",
        ),
    ] {
        let told = told(publications);
        assert!(
            told.starts_with("processor_output: ") && told.contains(said),
            "{said:?}: {told:?}"
        );
    }
}

#[test]
fn a_rejection_in_code_is_told_as_a_word_and_a_short_detail() {
    let of = |reason, detail: &str| super::told(Rejection::new(reason, detail));
    let good = of(Reason::Processor("no_user"), "`user` is missing");
    assert_eq!(good.to_string(), "no_user: `user` is missing");
    let longest = "a_word_of_forty_bytes_and_no_one_more_xx";
    assert_eq!(
        of(Reason::Processor(longest), "why").to_string(),
        format!("{longest}: why")
    );
    let long = of(Reason::Processor("no_user"), &"ä".repeat(10_000));
    assert!(
        long.detail.len() < 1010 && long.detail.ends_with('…'),
        "{}",
        long.detail.len()
    );
    for reason in [
        "",
        "No User",
        "no\nuser",
        "reason=\"x\"",
        "a_word_of_forty_one_bytes_or_one_too_many",
    ] {
        let told = of(Reason::Processor(reason), "why");
        assert_eq!(told.reason, Reason::ProcessorOutput, "{reason:?}");
        assert!(told.detail.ends_with("its detail: why"), "{}", told.detail);
    }
    for reason in [
        Reason::Database(13),
        Reason::InDoubt,
        Reason::Conflict,
        Reason::Unsendable,
    ] {
        let told = of(reason, "why");
        assert_eq!(told.reason, Reason::ProcessorOutput);
        assert!(told.detail.contains("is the database's"), "{}", told.detail);
    }
}
