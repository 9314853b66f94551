//! What a correct configuration file is read as; and tests that no text makes the reader panic.

// These have their own files.
mod writes;
mod any_text;

use crate::support::schema;
use std::time::Duration;

use penstock::config::model::{
    Action, BigNumbers, Bin, ByteOrderMark, Cel, Expr, Format, LongNames, Missing, Name, Part, Path, RejectAction,
    Segment, Source, StallAction, Start, Ttl, Typed, What, Write, Writer,
};
use penstock::config::{self, Config, Outside};

struct Nothing;

impl Outside for Nothing {
    fn env(&self, name: &str) -> Result<String, String> {
        match name {
            "TOPIC" => Ok("events".to_owned()),
            "ROWS" => Ok("77".to_owned()),
            "YES" => Ok("true".to_owned()),
            "FIELD" => Ok("user.id".to_owned()),
            _ => Err("is not set".to_owned()),
        }
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("secret\n".to_owned())
    }
}

fn good(text: &str) -> Config {
    match config::parse_with(text, "penstock.toml", &Nothing) {
        Ok(config) => {
            schema::assert_accepts(text);
            config
        }
        Err(faults) => panic!("{faults}"),
    }
}

fn path(names: &[&str]) -> Path {
    names.iter().map(|name| Segment::Name((*name).to_owned())).collect()
}

/// A value as a short text.
fn told(value: &Typed) -> String {
    let mut told = match &value.expr {
        Expr::Constant(constant) => format!("{constant:?}"),
        Expr::Source(source) => told_source(source),
        Expr::Template(parts) => {
            let parts = parts.iter().map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Source(source) => format!("<{}>", told_source(source)),
                Part::Time { source, format, .. } => format!("<{}|{format}>", told_source(source)),
            });
            parts.collect()
        }
        Expr::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}={}", told(value)))
                .collect();
            format!("{{{}}}", fields.join(" "))
        }
        Expr::Cel(cel) => format!("({})", cel.written),
    };
    if let Some(cast) = value.cast {
        told.push_str(&format!(" as {cast:?}"));
    }
    if value.missing != Missing::AsPlace {
        told.push_str(&format!(" missing {:?}", value.missing));
    }
    told
}

fn told_source(source: &Source) -> String {
    let told = |prefix: &str, path: &Path| {
        let names = path.iter().map(|segment| match segment {
            Segment::Name(name) => name.clone(),
            Segment::Index(index) => index.to_string(),
            Segment::Json => "(json)".to_owned(),
        });
        format!("{prefix}{}", names.collect::<Vec<_>>().join("/"))
    };
    match source {
        Source::Path(path) => told("", path),
        Source::Item(path) => told("item:", path),
        Source::KeyPath(path) => told("key:", path),
        other => format!("{other:?}"),
    }
}

/// The bins of a write that is neither a touch nor a delete.
fn bins(write: &Write) -> &[Bin] {
    match &write.action {
        Action::Write { bins, .. } => bins,
        other => panic!("{other:?}"),
    }
}

fn fixed(name: &Name) -> &str {
    match name {
        Name::Fixed(name) => name,
        Name::FromMessage { .. } => panic!("{name:?}"),
    }
}

fn one_bins(bins: &[Bin]) -> Vec<(String, String)> {
    let one = |bin: &Bin| match bin {
        Bin::One { name, value } => (name.clone(), told(value)),
        Bin::All { .. } => panic!("all fields"),
    };
    bins.iter().map(one).collect()
}

const DESIGN: &str = r#"
[run]
memory = "512MiB"
partitions_max = 0
batch_rows_max = 200
batch_bytes_max = "1MiB"
commit_interval = "1s"
shutdown_grace = "8s"
start_timeout = "0"
write_timeout = "2s"
stall_after = "5m"
stall_action = "report"
rows_in_flight_max = 4000
rows_per_second_max = 0

[kafka]
brokers = "127.0.0.1:9092"
topics  = ["events"]
group   = "penstock"
start   = "earliest"
format  = "json"
[kafka.properties]
"security.protocol" = "SASL_SSL"
"sasl.password" = "${file:/etc/penstock/kafka.pw}"
"sasl.username" = "penstock"
"sasl.mechanism" = "SCRAM-SHA-512"

[aerospike]
hosts     = "127.0.0.1:3000"
namespace = "test"

[[route]]
root = ""

  [[route.write]]
  set  = "users"
  key  = "user.id"
  bins = { country = "user.country", seen = "ts", source = { value = "web" } }
  ttl  = "30d"

  [[route.write]]
  each = "items"
  set  = "lines"
  key  = "{order_id}:{@item.line}"
  bins = ["@item.sku", "@item.qty"]

[reject]
action = "hold"
"#;

#[test]
fn the_design_is_read() {
    let config = good(DESIGN);
    assert_eq!(config.run.memory_bytes, 512 << 20);
    assert_eq!(config.run.partitions_max, 0);
    assert_eq!(config.run.batch_rows_max, 200);
    assert_eq!(config.run.batch_bytes_max, 1 << 20);
    assert_eq!(config.run.commit_interval, Duration::from_secs(1));
    assert_eq!(config.run.shutdown_grace, Duration::from_secs(8));
    assert_eq!(config.run.start_timeout, None);
    assert_eq!(config.run.write_timeout, Duration::from_secs(2));
    assert_eq!(config.run.stall_after, Duration::from_secs(300));
    assert_eq!(config.run.stall_action, StallAction::Report);
    assert_eq!(config.run.rows_in_flight_max, 4000);
    assert_eq!(config.run.rows_per_second_max, None);

    assert_eq!(config.kafka.brokers, "127.0.0.1:9092");
    assert_eq!(config.kafka.topics, ["events"]);
    assert_eq!(config.kafka.group, "penstock");
    assert_eq!(config.kafka.start, Start::Earliest);
    assert_eq!(config.kafka.format, Format::Json);
    let passwords = config
        .kafka
        .consumer_properties
        .iter()
        .filter(|(name, _)| name == "sasl.password");
    assert_eq!(
        passwords.map(|(_, value)| value.0.as_str()).collect::<Vec<_>>(),
        ["secret"]
    );

    assert_eq!(config.aerospike.hosts, "127.0.0.1:3000");
    assert_eq!(config.aerospike.namespace, "test");
    assert_eq!(config.aerospike.credentials, None);
    assert_eq!(config.reject.action, RejectAction::Hold);

    let route = &config.routes[0];
    assert_eq!(
        (route.line, &route.topics, &route.root),
        (32, &vec!["events".to_owned()], &Path::new())
    );
    assert_eq!((config.run.guard_epoch, config.run.heartbeat_file), (0, None));
    let users = &route.writes[0];
    assert_eq!(
        (users.line, fixed(&users.set), fixed(&users.namespace)),
        (35, "users", "test")
    );
    assert_eq!((users.key.line, users.key.written.as_str()), (37, "user.id"));
    assert_eq!(told(&users.key), "user/id");
    assert_eq!(
        one_bins(bins(users)),
        [
            ("country", "user/country"),
            ("seen", "ts"),
            ("source", "String(\"web\")")
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(matches!(users.ttl, Ttl::Seconds(2_592_000)) && users.each.is_none() && !users.send_key);
    let lines = &route.writes[1];
    let each = lines.each.as_ref().unwrap();
    assert_eq!((&each.path, each.max), (&path(&["items"]), 1000));
    assert_eq!(told(&lines.key), "<order_id>:<item:line>");
    assert_eq!(
        one_bins(bins(lines)),
        [("sku", "item:sku"), ("qty", "item:qty")].map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(matches!(lines.ttl, Ttl::Default));
}
/// Leaves out everything that is optional. The defaults apply, as if they were written in the file.
#[test]
fn what_is_left_out_has_its_default() {
    let short = good(
        "[kafka]\nbrokers = \"127.0.0.1\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"127.0.0.1\"\n\
         namespace = \"test\"\n[[route]]\n[[route.write]]\nkey = \"a\"\nbins = \"*\"\n",
    );
    let mut long = good(DESIGN);
    // A default may be smaller than the written value, if the process is allowed less memory.
    assert!(long.run.memory_is_written && !short.run.memory_is_written);
    long.run.memory_is_written = false;
    assert_eq!(format!("{:?}", short.run), format!("{:?}", long.run));
    assert_eq!(short.kafka.brokers, long.kafka.brokers);
    assert_eq!(short.kafka.group, long.kafka.group);
    assert_eq!(short.kafka.start, long.kafka.start);
    assert_eq!(short.kafka.format, long.kafka.format);
    assert_eq!(short.aerospike.hosts, long.aerospike.hosts);
    assert_eq!(
        (short.aerospike.cluster_name, short.aerospike.use_services_alternate),
        (None, false)
    );
    let write = &short.routes[0].writes[0];
    assert_eq!((fixed(&write.set), write.send_key), ("", false));
    assert!(matches!(write.ttl, Ttl::Default));
}

#[test]
fn conditions_and_computed_values_are_taken_as_written() {
    let config = good(
        r#"
[kafka]
brokers = "b"
topics = ["events"]
[aerospike]
hosts = "h"
namespace = "n"
[[route]]
root = "p"
when = """type != 'x' &&
  msg.version > 1"""
when_error = "false"
require = ["amount >= 0", "meta.key != null"]
[[route.write]]
when = "item.q > index"
each = "items"
key = "id"
bins = { a = { expr = "price * qty", as = "string" } }
[[route.publish]]
when = "meta.topic == 'a'"
when_error = "reject"
topic = "out"
"#,
    );
    let route = &config.routes[0];
    let when = route.when.as_ref().unwrap();
    assert!(when.error_is_false && when.condition.line == 10);
    let reads = |cel: &Cel| {
        cel.program
            .reads
            .iter()
            .map(|read| read.what.clone())
            .collect::<Vec<_>>()
    };
    let field = |names: &[&str]| What::Value(Source::Path(path(names)));
    assert_eq!(reads(&when.condition), [field(&["p", "type"]), field(&["version"])]);
    assert_eq!(route.require.len(), 2);
    assert_eq!(reads(&route.require[1]), [What::Value(Source::Key)]);
    let write = &route.writes[0];
    let when = write.when.as_ref().unwrap();
    assert!(!when.error_is_false && when.condition.program.reads_element());
    assert_eq!(
        one_bins(bins(write)),
        [("a".to_owned(), "(price * qty) as String".to_owned())]
    );
    assert!(
        !route.publishes[0]
            .when
            .as_ref()
            .unwrap()
            .condition
            .program
            .reads_payload()
    );
}

#[test]
fn every_key_is_taken() {
    let config = good(
        r#"
[run]
memory = "1GiB"
partitions_max = 12
batch_rows_max = "${env:ROWS}"
batch_bytes_max = "64KiB"
commit_interval = "500ms"
shutdown_grace = "1m"
start_timeout = "5m"
write_timeout = "1s"
stall_after = "2s"
stall_action = "exit"
rows_in_flight_max = 1
rows_per_second_max = 100000000
guard_epoch = 4294967295
heartbeat_file = "run/heartbeat"
[kafka]
brokers = "a, b:1,[::1]"
topics = ["${env:TOPIC}", "other"]
group = "g"
start = "latest"
format = "json_sr"
byte_order_mark = "reject"
[kafka.producer]
"compression.type" = "zstd"
[aerospike]
hosts = "[2001:db8::1],b:4000"
namespace = "main"
user = "u"
password = "$${literal}"
cluster_name = "prod"
use_services_alternate = "${env:YES}"
writer = "native"
[[route]]
topics = ["events"]
root = "payload.after"
[[route.write]]
namespace = "cache"
key = { path = "id", as = "integer", missing = "skip" }
bins = { path = "data.*", except = ["a"], rename = { a_rather_long_name = "short" }, long_names = "skip", big_numbers = "string" }
ttl = { path = "expires_at", as = "epoch_ms", default = 1893456000000 }
send_key = true
[[route.write]]
each = "list[0].items"
each_max = 10
key = "@item.id"
bins = "@item.*"
ttl = "never"
[[route]]
topics = ["other"]
write = [{ key = "@key", bins = ["@value", "@header.type", "@key.a", "b.c"], ttl = "keep" }]
"#,
    );
    assert_eq!(config.run.batch_rows_max, 77);
    assert_eq!(config.run.start_timeout, Some(Duration::from_secs(300)));
    assert_eq!(config.run.guard_epoch, u32::MAX);
    assert_eq!(config.run.heartbeat_file, Some("run/heartbeat".into()));
    assert_eq!(config.run.stall_after, Duration::from_secs(2));
    assert_eq!(config.run.stall_action, StallAction::Exit);
    assert_eq!(config.run.rows_in_flight_max, 1);
    assert_eq!(config.run.rows_per_second_max, Some(100_000_000));
    assert_eq!(config.run.commit_interval, Duration::from_millis(500));
    assert_eq!(config.kafka.brokers, "a:9092,b:1,[::1]:9092");
    assert_eq!(config.kafka.topics, ["events", "other"]);
    assert_eq!(config.kafka.start, Start::Latest);
    assert_eq!(config.kafka.format, Format::JsonSchemaRegistry);
    assert_eq!(config.kafka.byte_order_mark, ByteOrderMark::Reject);
    assert!(config.kafka.consumer_properties.is_empty());
    assert_eq!(config.kafka.producer_properties.len(), 1);
    assert_eq!(config.aerospike.hosts, "[2001:db8::1]:3000,b:4000");
    let (user, password) = config.aerospike.credentials.unwrap();
    assert_eq!((user.as_str(), password.0.as_str()), ("u", "${literal}"));
    assert_eq!(config.aerospike.cluster_name.as_deref(), Some("prod"));
    assert!(config.aerospike.use_services_alternate);
    assert_eq!(config.aerospike.writer, Writer::Native);

    let first = &config.routes[0];
    assert_eq!(first.root, path(&["payload", "after"]));
    let write = &first.writes[0];
    assert_eq!(fixed(&write.namespace), "cache");
    assert_eq!(told(&write.key), "payload/after/id as Integer missing Skip");
    assert!(write.send_key);
    let Bin::All {
        source,
        json_members: _,
        except,
        rename,
        long_names,
        big_numbers,
        line,
        written,
    } = &bins(write)[0]
    else {
        panic!("one bin")
    };
    assert_eq!(*source, Source::Path(path(&["payload", "after", "data"])));
    assert_eq!(except, &["a"]);
    assert_eq!(rename, &[("a_rather_long_name".to_owned(), "short".to_owned())]);
    assert_eq!(*long_names, LongNames::Skip);
    assert_eq!(*big_numbers, BigNumbers::String);
    assert_eq!((*line, written.as_str()), (40, "data.*"));
    let Ttl::Field(ttl) = &write.ttl else {
        panic!("a fixed ttl")
    };
    assert_eq!(
        told(ttl),
        "payload/after/expires_at as EpochMs missing Default(Int(1893456000000))"
    );

    let second = &first.writes[1];
    let each = second.each.as_ref().unwrap();
    assert_eq!(each.max, 10);
    assert_eq!(each.path[..3], path(&["payload", "after", "list"]));
    assert!(matches!(&bins(second)[0], Bin::All { source: Source::Item(path), .. } if path.is_empty()));
    assert!(matches!(second.ttl, Ttl::Never));

    let third = &config.routes[1].writes[0];
    assert!(matches!(third.ttl, Ttl::Keep));
    assert_eq!(told(&third.key), "Key");
    assert_eq!(
        one_bins(bins(third)),
        [
            ("value", "Value"),
            ("type", "Header(\"type\")"),
            ("a", "key:a"),
            ("c", "b/c")
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn values_become_what_they_say() {
    let cases = [
        ("\"user.id\"", "user/id"),
        ("\"${env:FIELD}\"", "user/id"),
        ("'a.\"odd.name\"[0]'", "a/odd.name/0"),
        ("\"{a}-{ts:%Y}\"", "<a>-<ts|%Y>"),
        ("\"$${a}\"", "$<a>"),
        ("\"{{a}}\"", "String(\"{a}\")"),
        ("1_000", "Int(1000)"),
        ("-0x1f", ""),
        ("0xff", "Int(255)"),
        ("-5", "Int(-5)"),
        ("2.5e1", "Float(25.0)"),
        ("true", "Bool(true)"),
        ("{ value = \"user.id\" }", "String(\"user.id\")"),
        (
            "{ value = [1, \"a\", [true]] }",
            "List([Int(1), String(\"a\"), List([Bool(true)])])",
        ),
        (
            "{ value = { b = 1, a = {} } }",
            "Map([(\"b\", Int(1)), (\"a\", Map([]))])",
        ),
        (
            "{ object = { t = \"ts\", a = { object = { v = 1 } } } }",
            "{t=ts a={v=Int(1)}}",
        ),
        ("{ path = \"a\" }", "a"),
        ("{ path = \"@header.n\", as = \"integer\" }", "Header(\"n\") as Integer"),
        (
            "{ path = \"a\", as = \"float\", default = 1 }",
            "a as Float missing Default(Float(1.0))",
        ),
        (
            "{ path = \"a\", as = \"json\", default = { x = 1 } }",
            "a as Json missing Default(Map([(\"x\", Int(1))]))",
        ),
        (
            "{ path = \"a\", as = \"epoch_ms\", default = \"1970-01-01T00:00:01Z\" }",
            "a as EpochMs missing Default(Int(1000))",
        ),
        ("{ path = \"a\", default = [] }", "a missing Default(List([]))"),
        ("{ path = \"a\", missing = \"skip\" }", "a missing Skip"),
        ("{ path = \"a\", missing = \"reject\" }", "a missing Reject"),
        (
            "{ path = \"{a}{b}\", as = \"string\", missing = \"reject\" }",
            "<a><b> as String missing Reject",
        ),
    ];
    for (value, expected) in cases {
        let text = DESIGN.replace("{ value = \"web\" }", value);
        if expected.is_empty() {
            assert!(config::parse_with(&text, "x", &Nothing).is_err(), "{value}");
            continue;
        }
        let config = good(&text);
        assert_eq!(one_bins(bins(&config.routes[0].writes[0]))[2].1, expected, "{value}");
    }
    // A bin may be called `path`: only `*` and names that end in `.*` take all fields.
    let config = good(&DESIGN.replace("source = {", "path = {"));
    assert_eq!(bins(&config.routes[0].writes[0]).len(), 3);
    // A reference is shown as a reference, never as its value.
    let config = good(&DESIGN.replace("\"user.country\"", "\"${env:FIELD}\""));
    assert!(matches!(&bins(&config.routes[0].writes[0])[0], Bin::One { value, .. } if value.written == "${env:FIELD}"));
}

#[test]
fn a_file_is_loaded_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("penstock.toml");
    std::fs::write(folder.path().join("pw"), "secret\n").unwrap();
    std::fs::write(&file, DESIGN.replace("/etc/penstock/kafka.pw", "pw")).unwrap();
    assert!(config::load(&file).is_ok());

    std::fs::write(&file, b"[run]\nmemory = \"1GiB\"\n# \xff\n").unwrap();
    let faults = config::load(&file).unwrap_err();
    assert_eq!(
        (faults.faults[0].line, faults.faults[0].problem.as_str()),
        (3, "is not UTF-8")
    );
    std::fs::write(&file, " ".repeat(1024 * 1024 + 1)).unwrap();
    assert!(
        config::load(&file)
            .unwrap_err()
            .to_string()
            .contains("is larger than 1 MiB")
    );
    let missing = folder.path().join("none.toml");
    let said = config::load(&missing).unwrap_err().to_string();
    assert!(
        said.starts_with(&format!("{}: cannot be read: ", missing.display())),
        "{said}"
    );

    // A byte order mark at the beginning and Windows line ends are not faults.
    std::fs::write(
        &file,
        format!("\u{feff}{}", DESIGN.replace("kafka.pw", "x").replace('\n', "\r\n")),
    )
    .unwrap();
    let said = config::load(&file).unwrap_err().to_string();
    assert!(
        said.contains(":24: kafka.properties.\"sasl.password\": the file /etc/penstock/x cannot be read"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}
