//! Strings of value expressions as users write them, and the faults of wrong ones.

use super::*;
use crate::config::model::{Constant, Segment};

fn names(path: &[&str]) -> Path {
    path.iter().map(|name| Segment::Name((*name).to_owned())).collect()
}

const AT_TOP: Scope<'static> = Scope {
    root: &[],
    each: true,
    strings: &[],
};

#[test]
fn paths_are_names_and_indexes() {
    let name = |text: &str| Segment::Name(text.to_owned());
    let cases = [
        ("id", Some(vec![name("id")])),
        ("user.id", Some(vec![name("user"), name("id")])),
        (
            "items[0].sku",
            Some(vec![name("items"), Segment::Index(0), name("sku")]),
        ),
        ("a[0][12]", Some(vec![name("a"), Segment::Index(0), Segment::Index(12)])),
        ("[3].a", Some(vec![Segment::Index(3), name("a")])),
        (r#"a."odd.name""#, Some(vec![name("a"), name("odd.name")])),
        (r#""a \"b\" \\ c".d"#, Some(vec![name(r#"a "b" \ c"#), name("d")])),
        (r#""""#, Some(vec![name("")])),
        ("größe.$ref-1_x", Some(vec![name("größe"), name("$ref-1_x")])),
        ("0.1", Some(vec![name("0"), name("1")])),
        ("", None),
        (".", None),
        ("a.", None),
        (".a", None),
        ("a..b", None),
        ("a[", None),
        ("a[]", None),
        ("a[1", None),
        ("a[1]b", None),
        ("a[+1]", None),
        ("a]", None),
        ("a b", None),
        ("a:b", None),
        (r#""a"#, None),
        (r#""a\n""#, None),
        (r#""a"b"#, None),
        (r#"a"b""#, None),
        ("@key", None),
        ("a@b", None),
    ];
    for (text, expected) in cases {
        assert_eq!(path(text).ok(), expected, "{text}");
    }
}

#[test]
fn metadata_begins_with_an_at_sign() {
    let cases = [
        ("@key", Some(Source::Key)),
        ("@key.id", Some(Source::KeyPath(names(&["id"])))),
        ("@key[0]", Some(Source::KeyPath(vec![Segment::Index(0)]))),
        ("@value", Some(Source::Value)),
        ("@topic", Some(Source::Topic)),
        ("@partition", Some(Source::Partition)),
        ("@offset", Some(Source::Offset)),
        ("@timestamp", Some(Source::Timestamp)),
        ("@header.ce-id", Some(Source::Header("ce-id".to_owned()))),
        ("@header.a.b", Some(Source::Header("a.b".to_owned()))),
        ("@header.\"a: b\"", Some(Source::Header("a: b".to_owned()))),
        ("@item", Some(Source::Item(Path::new()))),
        ("@item.a.b", Some(Source::Item(names(&["a", "b"])))),
        ("@index", Some(Source::Index)),
        ("@", None),
        ("@keys", None),
        ("@key.", None),
        ("@key id", None),
        ("@offset[0]", None),
        ("@header", None),
        ("@header.a b", None),
        ("@header.\"\"", None),
        ("@KEY", None),
    ];
    for (text, expected) in cases {
        let source = match value(text, AT_TOP) {
            Ok(Expr::Source(source)) => Some(source),
            _ => None,
        };
        assert_eq!(source, expected, "{text}");
    }
}

#[test]
fn the_root_goes_before_bare_paths_only() {
    let root = names(&["payload"]);
    let scope = Scope {
        root: &root,
        each: true,
        strings: &[],
    };
    let cases = [
        ("id", Source::Path(names(&["payload", "id"]))),
        ("@item.id", Source::Item(names(&["id"]))),
        ("@key.id", Source::KeyPath(names(&["id"]))),
    ];
    for (text, expected) in cases {
        assert!(
            matches!(value(text, scope), Ok(Expr::Source(source)) if source == expected),
            "{text}"
        );
    }
    let all = |text| all_fields(text, scope).and_then(Result::ok);
    assert_eq!(all("*"), Some(Source::Path(root.clone())));
    assert_eq!(all("after.*"), Some(Source::Path(names(&["payload", "after"]))));
    assert_eq!(all("@item.*"), Some(Source::Item(Path::new())));
    assert_eq!(all("@item.a.*"), Some(Source::Item(names(&["a"]))));
    for text in ["after", ".*", "**", "@key.*", "{a}.*", "a*"] {
        assert_eq!(all(text), None, "{text}");
    }
}

/// A template as a text that shows its parts.
fn parts(text: &str) -> Option<String> {
    let shown = |source: &Source| match source {
        Source::Path(path) | Source::Item(path) => {
            let names = path.iter().map(|segment| match segment {
                Segment::Name(name) => name.clone(),
                Segment::Index(index) => index.to_string(),
                Segment::Json => "(json)".to_owned(),
            });
            names.collect::<Vec<_>>().join("/")
        }
        other => format!("{other:?}"),
    };
    match value(text, AT_TOP) {
        Ok(Expr::Constant(Constant::String(text))) => Some(format!("constant {text}")),
        Ok(Expr::Template(parts)) => {
            let parts = parts.iter().map(|part| match part {
                Part::Literal(text) => format!("'{text}'"),
                Part::Source(source) => shown(source),
                Part::Time { source, unit, format } => {
                    let unit = unit.map(|unit| format!(" as {}", unit.word())).unwrap_or_default();
                    format!("{}{unit}@{format}", shown(source))
                }
            });
            Some(parts.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

#[test]
fn templates_are_text_and_fields() {
    let cases = [
        ("{a}", Some("a")),
        ("{tenant}:{user.id}", Some("tenant ':' user/id")),
        ("x {a[0].b} y", Some("'x ' a/0/b ' y'")),
        ("{dev}:{ts:%Y%m%d%H}", Some("dev ':' ts@%Y%m%d%H")),
        ("{@timestamp:%F}", Some("Timestamp@%F")),
        ("{ts:%H:%M}", Some("ts@%H:%M")),
        ("{@item.a}{@index}", Some("a Index")),
        (r#"{a."x}y:z"}"#, Some("a/x}y:z")),
        ("{ts as epoch_us:%Y%m%d}", Some("ts as epoch_us@%Y%m%d")),
        ("{@timestamp as epoch_ms:%F}", Some("Timestamp as epoch_ms@%F")),
        ("{@timestamp as epoch_s:%F}", None),
        ("{ts as epoch_s}", None),
        ("{ts as epoch:%F}", None),
        ("{ts as :%F}", None),
        ("{user.id:{ts:%Y%m%d}", None),
        ("{user.id:{ts:%Y%m%d}}", None),
        ("{user.id{ts}", None),
        ("{ts:%Y{{}", None),
        ("{@topic:%Y}", None),
        ("{@offset:%Y}", None),
        ("{ts:%E}", None),
        ("{ts:%5}", None),
        ("{ts:%00f}", None),
        ("{ts:%Y%}", None),
        // These formats use nothing of the time, in UTC.
        ("{ts:%%}", None),
        ("{ts:%Q}", None),
        ("{ts:%:Q}", None),
        ("{ts:%Z}", None),
        ("{ts:%z}", None),
        ("{ts:%:z}", None),
        ("{ts:%n%t}", None),
        ("{ts:a%%Y}", None),
        ("{ts:%%-%Z-%H}", Some("ts@%%-%Z-%H")),
        ("{{{a}}}", Some("'{' a '}'")),
        ("a {{b}} c", Some("constant a {b} c")),
        ("{{", Some("constant {")),
        ("}}", Some("constant }")),
        ("{", None),
        ("}", None),
        ("{}", None),
        ("{a", None),
        ("{a}}", None),
        ("{a}{", None),
        ("{ a}", None),
        ("{a }", None),
        ("{a b}", None),
        ("{ts:}", None),
        ("{ts:%}", None),
        ("{ts:%!}", None),
        ("{ts:%Y", None),
        ("{ts:hour}", None),
        ("{@nothing}", None),
        ("{:%Y}", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parts(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn every_conversion_of_a_time_takes_something_from_it() {
    for conversion in "aAbBcCdDeFfgGhHIjklmMNpPqrRsSTuUVwWxXyY".chars() {
        let template = format!("{{ts:%{conversion}}}");
        assert!(value(&template, AT_TOP).is_ok(), "{template}");
    }
    for format in ["%.f", "%.3f", "%3f", "%.9f", "%-d", "%^a", "%_H", "%05Y"] {
        let template = format!("{{ts:{format}}}");
        assert!(value(&template, AT_TOP).is_ok(), "{template}");
    }
}

#[test]
fn a_unit_in_a_time_format_is_no_unit() {
    for (template, cure) in [
        ("{ts:%Y as epoch_ms}", "write {ts as epoch_ms:%Y}"),
        ("{ts:%Y as epoch_s }", "write {ts as epoch_s:%Y }"),
        ("{ts:%H:%M:epoch_us}", "write {ts as epoch_us:%H:%M}"),
        ("{a.ts:as epoch_ns:%Y}", "write {a.ts as epoch_ns:%Y}"),
        ("{ts:epoch_s}", "write {ts as epoch_s:%Y%m%d}"),
        ("{ts as epoch_ms:%Y as epoch_ms}", "write {ts as epoch_ms:%Y}"),
        ("{ts:%Y as ms}", "write {ts as epoch_ms:%Y}"),
        ("{ts:%F as epoch}", "write {ts as epoch_s:%F}"),
        ("{ts:%F as string}", "write {ts as epoch_ms:%F}"),
        // The unit of `@timestamp` is known.
        ("{@timestamp:%Y as epoch_s}", "write {@timestamp:%Y}"),
        ("{@timestamp:as ms}", "write {@timestamp:%Y%m%d}"),
        // The remaining format would use nothing of the time.
        ("{ts:%Q as epoch_s}", "write {ts as epoch_s:%Y%m%d}"),
        ("{ts:%Y as epoch_s as epoch_ms}", "write {ts as epoch_s:%Y}"),
    ] {
        let said = value(template, AT_TOP).unwrap_err();
        assert!(
            said.problem.contains("stands in the time format"),
            "{template}: {said:?}"
        );
        assert_eq!(said.cure, cure, "{template}");
    }
    for template in ["{ts:%Y as %m}", "{ts:%Y has}", "{ts:as of %F}"] {
        assert!(value(template, AT_TOP).is_ok(), "{template}");
    }
}

#[test]
fn what_is_not_closed_or_has_spaces_is_told_with_the_right_form() {
    for (template, problem, cure) in [
        ("{user.id}:{ts:%Y%m%d", "`{ts` is not closed", "write `{ts:%Y%m%d}`"),
        (
            "{ts as epoch_ms:%Y",
            "`{ts` is not closed",
            "write `{ts as epoch_ms:%Y}`",
        ),
        ("{ts:%Y{id}", "`{ts` is not closed", "write `{ts:%Y}`"),
        ("{ts:%Y{{}", "a time format holds no brace", "write `{ts:%Y}`"),
        ("{ts:{id}}", "`{ts` is not closed", "write `{ts}:`, or"),
        ("{ts:day{id}", "`{ts` is not closed", "write `{ts}:day`, or"),
        ("{user.id:{ts:%Y%m%d}", "`{user.id` is not closed", "write `{user.id}:`"),
        ("{id:", "`{id` is not closed", "write `{id}`"),
        ("{id ", "`{id` is not closed", "write `{id}`"),
        ("{id", "`{id` is not closed", "write `{id}`"),
        ("{ id }", "spaces around a field", "remove the spaces: {id}"),
        ("{ id}", "spaces around a field", "remove the spaces: {id}"),
        ("{user.id }", "spaces around a field", "remove the spaces: {user.id}"),
        ("{ @key }", "spaces around a field", "remove the spaces: {@key}"),
        ("{ts :%Y}", "spaces around a field", "remove the spaces: {ts:%Y}"),
        (
            "{ts as epoch_ms :%Y}",
            "spaces around a field",
            "remove the spaces: {ts as epoch_ms:%Y}",
        ),
        ("{ ts : %Y }", "spaces around a field", "remove the spaces: {ts:%Y}"),
        ("{ }", "an empty `{}`", "{{"),
        ("{id}{", "last `{` is not closed", "remove it"),
        ("{", "last `{` is not closed", "remove it"),
    ] {
        let said = value(template, AT_TOP).unwrap_err();
        assert!(said.problem.contains(problem), "{template}: {said:?}");
        assert!(said.cure.contains(cure), "{template}: {said:?}");
    }
}

/// The template that a cure says to write, if it gives a whole one.
fn proposed(cure: &str) -> Option<String> {
    let cure = cure.replace("`{{`", "");
    let from = cure.find('{')?;
    let end = from + cure.get(from..)?.find('}')? + 1;
    cure.get(from..end).map(str::to_owned)
}

#[test]
fn what_is_proposed_for_a_time_is_accepted() {
    let fields = [
        "ts",
        "@timestamp",
        "@topic",
        "@offset",
        "@item.ts",
        r#"a."b c""#,
        "@header.ts",
    ];
    let rests = [
        ":%Y as epoch_s}",
        ":%Y as ms}",
        ":%Y as epoch_s as epoch_ms}",
        ":%Y%Q as epoch_s}",
        ":%Q as epoch_s}",
        ":%K as epoch_s}",
        ":as epoch_s}",
        ":epoch_s}",
        ":epoch_ms:%Y}",
        ":%Y,epoch_ms}",
        ":yyyy-MM-dd}",
        ":yyyy-MM-dd'T'HH:mm:ss.SSSZ}",
        ":YYYYMMDD}",
        ":hour}",
        ":%K}",
        ":}",
        " as epoch_s}",
        " as epoch_s:%Y}",
        " as epoch_s %Y}",
        " as epoch_s:%K}",
        " as epoch_s:yyyy}",
        " as epoch_s:%Y as epoch_s}",
        " as seconds:%Y}",
        " as day:%Y}",
        " as seconds}",
        " AS epoch_s:%Y}",
        " epoch_s:%Y}",
        ",epoch_s:%Y}",
        "|%Y}",
        " :%Y as epoch_s}",
        " : %Y }",
        ":%Y as epoch_s",
        " as epoch_s:%Y",
        ":%Y{id} as epoch_s}",
        ":%Y{{}",
    ];
    let mut refused = 0;
    for field in fields {
        for rest in rests {
            let template = format!("{{{field}{rest}");
            let Err(said) = value(&template, AT_TOP) else {
                continue;
            };
            refused += 1;
            if said.cure.starts_with("did you mean `") {
                let unit = said.cure.split('`').nth(1).unwrap();
                assert!(
                    value(&format!("{{{field} as {unit}:%Y}}"), AT_TOP).is_ok(),
                    "{template}: {said:?}"
                );
                continue;
            }
            let Some(proposed) = proposed(&said.cure) else {
                assert!(said.cure.starts_with("write one of: epoch_s"), "{template}: {said:?}");
                continue;
            };
            assert!(value(&proposed, AT_TOP).is_ok(), "{template}: {said:?}");
        }
    }
    assert!(refused > 150, "{refused}");
}

#[test]
fn a_time_format_of_another_language_is_told_in_ours() {
    for (template, cure) in [
        ("{ts:yyyy-MM-dd}", "write {ts:%Y-%m-%d}"),
        ("{ts:yyyy-MM-dd'T'HH:mm:ss.SSS}", "write {ts:%Y-%m-%dT%H:%M:%S.%3f}"),
        ("{ts as epoch_s:YYYYMMDD}", "write {ts as epoch_s:%Y%m%d}"),
        ("{ts:hour}", "write a strftime format, e.g. {ts:%Y%m%d%H}"),
        ("{ts epoch_s:%Y}", "write {ts as epoch_s:%Y}"),
        ("{ts AS epoch_s:%Y}", "write {ts as epoch_s:%Y}"),
        ("{ts|%Y}", "write {ts:%Y}"),
        ("{@timestamp as epoch_s:%Y}", "write {@timestamp:%Y}"),
        ("{@timestamp as seconds:%Y}", "write {@timestamp:%Y}"),
        (
            "{@topic as epoch_s}",
            "write {@topic}, or name a time, e.g. {@timestamp:%Y%m%d}",
        ),
        ("{@timestamp :%Y as epoch_s}", "write {@timestamp:%Y}"),
    ] {
        let said = value(template, AT_TOP).unwrap_err();
        assert_eq!(said.cure, cure, "{template}");
    }
}

#[test]
fn a_path_of_another_language_is_told_in_ours() {
    for (text, meant) in [
        ("/user/name", "user.name"),
        ("user->name", "user.name"),
        (".user.name", "user.name"),
        ("@header.", ""),
        ("a b", ""),
    ] {
        let said = value(text, AT_TOP).unwrap_err();
        assert_eq!(
            said.cure == format!("write \"{meant}\""),
            !meant.is_empty(),
            "{text}: {said:?}"
        );
    }
    for (text, meant) in [
        ("{items}", "items"),
        ("{{ items }}", "items"),
        ("${items}", "items"),
        ("<items>", ""),
        ("{@key}", ""),
    ] {
        let said = path(text).unwrap_err();
        assert_eq!(
            said.cure == format!("write \"{meant}\""),
            !meant.is_empty(),
            "{text}: {said:?}"
        );
    }
    for (text, meant) in [("{after}.*", "after.*"), ("{a}{b}.*", "")] {
        let said = all_fields(text, AT_TOP).unwrap().unwrap_err();
        assert_eq!(
            said.cure == format!("write \"{meant}\""),
            !meant.is_empty(),
            "{text}: {said:?}"
        );
    }
}

#[test]
fn items_need_an_each() {
    let scope = Scope {
        root: &[],
        each: false,
        strings: &[],
    };
    for text in ["@item", "@item.a", "@index", "{@index}", "{a}{@item.b}"] {
        assert!(value(text, scope).is_err(), "{text}");
    }
}
