//! Messages of Kafka Connect and Debezium through the recipes for them, and through the whole service.
//!
//! The forms follow these pages, mostly with values of our own. All are under Apache-2.0. Debezium's were compared with
//! its repository (debezium/debezium, `documentation/modules/ROOT/pages`) in its state of August 2026:
//! - `transformations/outbox-event-router.adoc`: the raw row of the table, and the routed message, whose payload is a
//!   JSON string; "Expanding escaped JSON String as JSON"; "Emitting additional fields".
//! - `connectors/mysql.adoc`, `postgresql.adoc`, `oracle.adoc`: change events, decimal types (`precise`), JSON columns,
//!   temporal types, toasted values.
//! - `connectors/mongodb.adoc`: change event keys and values, `json.serialization.mode`.
//! - `transformations/event-flattening.adoc`: rows without their envelope.
//! - Kafka, `org.apache.kafka.connect.json.JsonConverter`: `schemas.enable`; `connect.data.Decimal`.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::process::{call, penstock};
use crate::support::{Kafka, Service, Setup, sent, simulator};

const PAGES: [&str; 2] = [
    include_str!("../../docs/guide/recipes-connect.md"),
    include_str!("../../docs/guide/recipes-debezium.md"),
];

/// The configuration below this heading of the pages.
fn recipe(heading: &str) -> &'static str {
    let found = PAGES
        .iter()
        .find_map(|page| page.split_once(&format!("\n## {heading}\n")));
    let (_, rest) = found.unwrap_or_else(|| panic!("no recipe {heading}"));
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    rest.split("```").next().unwrap()
}

/// What `penstock try` says about these messages, each in its envelope.
fn tried(file: &str, messages: &[Value]) -> Vec<Value> {
    tried_and_told(file, messages).0
}

/// The same, with what it says on standard error.
fn tried_and_told(file: &str, messages: &[Value]) -> (Vec<Value>, String) {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
    let called = call(
        penstock().arg("try").arg(written.path()).args(["--envelope", "--json"]),
        lines.join("\n"),
    );
    let told: Vec<Value> = called
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(told.len() >= messages.len(), "{}", called.told());
    (told, called.err)
}

/// The keys and the bins of the records.
fn records(told: &Value) -> Vec<(Value, Value)> {
    assert_eq!(told["verdict"], "kept", "{told}");
    let records = told["records"].as_array().unwrap().iter();
    records
        .map(|record| (record["key"].clone(), record["bins"].clone()))
        .collect()
}

#[track_caller]
fn assert_rejected(told: &Value, reason: &str, detail: &str) {
    assert_eq!(
        (&told["verdict"], &told["reason"]),
        (&json!("rejected"), &json!(reason)),
        "{told}"
    );
    assert!(told["detail"].as_str().unwrap().contains(detail), "{told}");
}

/// A change event without its schema. `source` is cut short.
fn change(op: &str, after: Value) -> Value {
    json!({
        "before": null, "after": after, "op": op, "ts_ms": 1_767_225_600_000_i64,
        "source": { "version": "3.0.0.Final", "connector": "mysql", "name": "shop", "ts_ms": 1_767_225_599_000_i64,
                    "snapshot": "false", "db": "inventory", "table": "products", "server_id": 223_344,
                    "file": "mysql-bin.000003", "pos": 484, "row": 0 },
        "transaction": null
    })
}

#[test]
fn a_table_of_mysql_has_exact_decimals_and_reads_its_json_column() {
    let file = recipe("A table with decimals and JSON columns");
    let row = |price: Value, attributes: Value| {
        let after = json!({
            "id": 101, "name": "scooter", "price": price, "tax": { "scale": 3, "value": "BM4=" }, "attributes": attributes
        });
        json!({ "key": { "id": 101 }, "payload": change("c", after) })
    };
    // DECIMAL(10,2) 1999.00 is the integer 199900, in three bytes.
    let told = tried(
        file,
        &[
            row(json!("Awzc"), json!(r#"{"color": "red", "sizes": [1, 2]}"#)),
            row(json!("+zI="), json!(null)),
            row(json!("1999.00"), json!("{}")),
            row(json!(1999.5), json!("{}")),
            row(json!("Awzc"), json!("{\"color\": ")),
        ],
    );
    let attributes = json!({ "color": "red", "sizes": [1, 2] });
    assert_eq!(
        records(&told[0]),
        [(
            json!(101),
            json!({ "name": "scooter", "price": "1999.00", "cents": 199_900, "tax": "1.230", "color": "red", "attributes": attributes })
        )]
    );
    let (_, bins) = &records(&told[1])[0];
    assert_eq!((&bins["price"], &bins["cents"]), (&json!("-12.30"), &json!(-1230)));
    assert_rejected(
        &told[2],
        "field_type",
        "a string with a number in digits, no decimal in base64; cure: as = \"string\"",
    );
    assert_rejected(&told[3], "field_type", "a number already");
    assert_rejected(
        &told[4],
        "not_json",
        "the text in the string after.attributes is not JSON: unexpected end, at byte 10 of this text",
    );
}

#[test]
fn a_message_with_its_schema_has_its_root_in_the_payload() {
    let decimal = json!({
        "type": "bytes", "optional": false, "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
        "parameters": { "scale": "2", "connect.decimal.precision": "10" }, "field": "total"
    });
    let schema = json!({ "type": "struct", "name": "shop.public.orders.Envelope", "optional": false, "fields": [
        { "type": "struct", "optional": true, "field": "after", "name": "shop.public.orders.Value", "fields": [
            { "type": "int32", "optional": false, "field": "id" }, decimal,
            { "type": "string", "optional": false, "field": "state" } ] } ] });
    let mut payload = change("u", json!({ "id": 7, "total": "BM4=", "state": "paid" }));
    payload["source"] =
        json!({ "connector": "postgresql", "db": "shop", "schema": "public", "table": "orders", "lsn": 24_064_704 });
    let key = json!({
        "schema": { "type": "struct", "fields": [{ "type": "int32", "optional": false, "field": "id" }] },
        "payload": { "id": 7 }
    });
    let message = json!({ "key": key, "payload": { "schema": schema, "payload": payload } });
    let told = tried(recipe("The same with schemas"), &[message]);
    assert_eq!(
        records(&told[0]),
        [(json!(7), json!({ "total": "12.30", "state": "paid" }))]
    );
    assert_eq!(
        told[0]["records"][0]["newer"],
        json!({ "bin": "_lsn", "version": 24_064_704 })
    );
}

/// The order in an outbox, as the application wrote it into its column.
const ORDER: &str = r#"{"id": 1, "lineItems": [{"id": 1, "item": "A \"good\" book", "status": "ENTERED", "quantity": 2, "totalPrice": 39.98}, {"id": 2, "item": "Bücher 😀", "status": "ENTERED", "quantity": 1, "totalPrice": 29.99}], "orderDate": "2026-01-31T12:13:01", "customerId": 123}"#;

fn outbox_row(op: &str, aggregate: &str, payload: Value) -> Value {
    let after = json!({
        "id": "406c07f3-26f0-4eea-a50c-109940064b8f", "aggregateid": "1", "aggregatetype": aggregate,
        "payload": payload, "timestamp": 1_767_225_600_000_i64, "type": "OrderCreated"
    });
    json!({ "key": { "id": "406c07f3-26f0-4eea-a50c-109940064b8f" }, "payload": change(op, after) })
}

#[test]
fn an_outbox_table_is_read_through_its_escaped_payload() {
    let file = recipe("An outbox table");
    let object: Value = serde_json::from_str(ORDER).unwrap();
    let told = tried(
        file,
        &[
            outbox_row("c", "Order", json!(ORDER)),
            outbox_row("c", "Order", object),
            outbox_row("c", "Note", json!("no JSON")),
            outbox_row("d", "Order", json!("no JSON")),
            outbox_row("c", "Order", json!("no JSON")),
            outbox_row("c", "Order", json!(ORDER.replace("\"customerId\": 123}", ""))),
        ],
    );
    let expected = [
        (
            json!(1),
            json!({ "customer": 123, "date": "2026-01-31T12:13:01", "lines": 2 }),
        ),
        (json!("1:1"), json!({ "item": "A \"good\" book", "sum": 39.98 })),
        (json!("1:2"), json!({ "item": "Bücher 😀", "sum": 29.99 })),
    ];
    for told in &told[..2] {
        assert_eq!(records(told), expected);
        let payload = json!({ "customer": 123, "first": "A \"good\" book" });
        assert_eq!(
            (&told["publishes"][0]["key"], &told["publishes"][0]["payload"]),
            (&json!("1"), &payload)
        );
    }
    for told in &told[2..4] {
        assert_eq!(told["verdict"], "filtered", "{told}");
    }
    assert_rejected(
        &told[4],
        "not_json",
        "the text in the string after.payload is not JSON: a word other than true, false and null, at byte 1",
    );
    let at = ORDER.len() - "\"customerId\": 123}".len();
    assert_rejected(
        &told[5],
        "not_json",
        &format!("unexpected end, at byte {at} of this text"),
    );
}

#[test]
fn a_message_of_the_event_router_is_one_string_or_an_object() {
    let file = recipe("The outbox event router");
    let object: Value = serde_json::from_str(ORDER).unwrap();
    let message = |payload: Value| json!({ "key": "\"1\"", "headers": { "id": "4d47e190" }, "payload": payload });
    let told = tried(
        file,
        &[
            message(json!(ORDER)),
            message(object),
            message(json!("")),
            message(json!("x")),
        ],
    );
    for told in &told[..2] {
        assert_eq!(
            records(told),
            [(json!(1), json!({ "customer": 123, "event": "4d47e190" }))]
        );
    }
    assert_rejected(&told[2], "empty_payload", "the text of the payload is empty");
    assert_rejected(&told[3], "not_json", "at byte 0 of this text");
    // With the schema of a string around it.
    let file = file.replace("{ path = \"\", as", "{ path = \"payload\", as");
    let told = tried(
        &file,
        &[message(
            json!({ "schema": { "type": "string", "optional": false }, "payload": ORDER }),
        )],
    );
    assert_eq!(
        records(&told[0]),
        [(json!(1), json!({ "customer": 123, "event": "4d47e190" }))]
    );
}

#[test]
fn a_message_of_the_event_router_with_columns_in_its_envelope_has_its_payload_beside_them() {
    let root = "root = { path = \"payload\", as = \"json\" }\nwhen = \"msg.type == 'OrderCreated'\"\n#";
    let file = recipe("The outbox event router").replacen("root =", &format!("{root} root ="), 1);
    let message = |payload: Value| json!({ "key": "\"1\"", "headers": { "id": "4d47e190" }, "payload": payload });
    let object: Value = serde_json::from_str(ORDER).unwrap();
    let told = tried(
        &file,
        &[
            message(json!({ "payload": ORDER, "type": "OrderCreated" })),
            message(json!({ "payload": object, "type": "OrderCreated" })),
            message(json!({ "payload": "call first", "type": "NoteAdded" })),
            // `route.tombstone.on.empty.payload`
            message(json!(null)),
        ],
    );
    for told in &told[..2] {
        assert_eq!(
            records(told),
            [(json!(1), json!({ "customer": 123, "event": "4d47e190" }))]
        );
    }
    assert_eq!(told[2]["verdict"], "filtered", "{}", told[2]);
    assert_rejected(&told[3], "tombstone", "the message has no payload");
}

/// What a message does to its record: deleted or not, its bins, and the version.
fn done(told: &Value) -> (Value, Value, Value) {
    assert_eq!(told["verdict"], "kept", "{told}");
    let [record] = told["records"].as_array().unwrap().as_slice() else {
        panic!("not one record: {told}");
    };
    let part = |name: &str| record.get(name).cloned().unwrap_or_default();
    (part("delete"), part("bins"), part("newer"))
}

#[test]
fn rows_without_their_envelope_are_written_and_deleted() {
    let file = recipe("Rows without their envelope");
    let row = |deleted: &str, lsn: Value| {
        let row = json!({ "id": 7, "name": "Anne", "email": null, "__deleted": deleted, "__lsn": lsn });
        json!({ "key": { "id": 7 }, "payload": row })
    };
    let gone = json!({ "key": { "id": 7 }, "payload": null });
    let told = tried(
        file,
        &[
            row("false", json!(123_456_789)),
            // As the documentation shows it.
            row("false", json!("123456789")),
            row("true", json!(123_456_790)),
            gone.clone(),
        ],
    );
    let version = |lsn: i64| json!({ "bin": "_lsn", "version": lsn });
    for told in &told[..2] {
        assert_eq!(
            done(told),
            (json!(null), json!({ "name": "Anne" }), version(123_456_789))
        );
        assert_eq!(told["records"][0]["remove"], json!(["email"]));
    }
    assert_eq!(done(&told[2]), (json!(true), json!(null), version(123_456_790)));
    assert_eq!(done(&told[3]), (json!(true), json!(null), json!(null)));

    // In the mode `tombstone`: the first write alone.
    let (first, _) = file
        .split_once("\n  [[route.write]]\n  when = \"__deleted == 'true'\"")
        .unwrap();
    let alone = first
        .replace("  when = \"__deleted != 'true'\"\n", "")
        .replace("tombstone = \"ignore\"", "tombstone = \"delete\"");
    let plain = json!({ "key": { "id": 7 }, "payload": { "id": 7, "name": "Anne", "__lsn": 5 } });
    let told = tried(&alone, &[plain, gone]);
    assert_eq!(done(&told[0]), (json!(null), json!({ "name": "Anne" }), version(5)));
    assert_eq!(done(&told[1]), (json!(true), json!(null), json!(null)));
}

#[test]
fn a_large_column_that_postgresql_leaves_out_stays_as_it_is() {
    const LEFT_OUT: &str = "__debezium_unavailable_value";
    let row = |body: Value, details: Value| {
        let mut payload = change("u", json!({ "id": 7, "title": "T", "body": body, "details": details }));
        payload["source"] = json!({ "connector": "postgresql", "lsn": 24_064_704 });
        json!({ "key": { "id": 7 }, "payload": payload })
    };
    let told = tried(
        recipe("Columns that PostgreSQL leaves out"),
        &[
            row(json!(LEFT_OUT), json!(LEFT_OUT)),
            row(json!("text"), json!(LEFT_OUT)),
            row(json!(null), json!("{\"a\": 1}")),
        ],
    );
    let bins = |told: &Value| records(told).into_iter().map(|(_, bins)| bins).collect::<Vec<Value>>();
    let title = json!({ "title": "T" });
    assert_eq!(bins(&told[0]), std::slice::from_ref(&title));
    assert_eq!(bins(&told[1]), [title.clone(), json!({ "body": "text" })]);
    assert_eq!(bins(&told[2]), [title, json!(null), json!({ "details": { "a": 1 } })]);
    assert_eq!(told[2]["records"][1]["remove"], json!(["body"]));
}

#[test]
fn dates_and_times_become_what_the_page_says() {
    let file = recipe("Dates and times");
    let row = |day: Value, created: Value, changed: Value| {
        let after = json!({ "id": 7, "day": day, "created": created, "changed": changed });
        json!({ "key": { "id": 7 }, "payload": change("c", after) })
    };
    let told = tried(
        file,
        &[
            // The documentation's TIMESTAMP "2018-06-20 15:13:16.945104".
            row(
                json!(17_702),
                json!(1_529_507_596_945_104_i64),
                json!("2018-06-20T13:37:03.123456Z"),
            ),
            row(json!(null), json!(null), json!("2018-06-20T15:37:03.5+02:00")),
            row(json!(-1), json!(1_529_507_596_945_i64), json!("2018-06-20T13:37:03Z")),
            // PostgreSQL's infinity.
            row(
                json!(1),
                json!(9_223_372_036_825_200_000_i64),
                json!("2018-06-20T13:37:03Z"),
            ),
        ],
    );
    let expected = json!({
        "day": 17_702, "day_s": 1_529_452_800, "created": 1_529_507_596_945_104_i64, "changed_ms": 1_529_501_823_123_i64
    });
    assert_eq!(done(&told[0]).1, expected);
    assert_eq!(done(&told[1]).1, json!({ "changed_ms": 1_529_501_823_500_i64 }));
    assert_eq!(told[1]["records"][0]["remove"].as_array().unwrap().len(), 3);
    // Milliseconds where microseconds are expected: an instant in 1970, which nobody can tell from a wrong unit.
    assert_eq!(done(&told[2]).1["created"], json!(1_529_507_596_945_i64));
    assert_rejected(&told[3], "field_type", "after.created");
}

#[test]
fn a_document_of_mongodb_is_read_through_its_strings() {
    const ID: &str = r#"{"$oid": "596e275826f08b2730779e1f"}"#;
    let file = recipe("A MongoDB collection");
    let event = |id: &str, op: &str, more: Value| {
        let mut payload = json!({
            "op": op, "ts_ms": 1_465_491_461_815_i64, "transaction": null,
            "source": { "connector": "mongodb", "name": "fulfillment", "db": "inventory", "rs": "rs0",
                        "collection": "customers", "ord": 31, "h": null }
        });
        payload
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "key": { "id": id }, "payload": payload })
    };
    let numbers = r#""visits": {"$numberLong": "1004"},"balance": {"$numberDecimal": "12.30"}"#;
    let document = format!(r#"{{"_id": {ID},"first_name": "Anne",{numbers},"since": {{"$date": 1783101585729}}}}"#);
    let changed = json!({ "updateDescription": {
        "removedFields": null, "updatedFields": "{\"first_name\": \"Anne Marie\"}", "truncatedArrays": null
    } });
    let told = tried(
        file,
        &[
            event(ID, "c", json!({ "after": document })),
            event(ID, "u", json!({ "before": null, "after": document })),
            event(ID, "u", changed),
            event(ID, "d", json!({ "before": null })),
            json!({ "key": { "id": ID }, "payload": null }),
        ],
    );
    let key = json!("596e275826f08b2730779e1f");
    let bins = json!({ "name": "Anne", "visits": 1004, "balance": "12.30", "since": 1_783_101_585_729_i64 });
    for told in &told[..2] {
        assert_eq!(records(told), [(key.clone(), bins.clone())]);
    }
    assert!(records(&told[2]).is_empty(), "{}", told[2]);
    for told in &told[3..5] {
        assert_eq!((&told["records"][0]["key"], done(told).0), (&key, json!(true)));
    }
    // The other forms of `_id` in the key, and of values with `json.serialization.mode=extended` and `relaxed`.
    let ids = [
        (r#""1234""#, "\"@key.id\"", json!("1234")),
        ("1234", "{ path = \"@key.id\", as = \"integer\" }", json!(1234)),
    ];
    for (id, path, key) in ids {
        let told = tried(&file.replace("\"@key.id.$oid\"", path), &[event(id, "d", json!({}))]);
        assert_eq!(told[0]["records"][0]["key"], key, "{}", told[0]);
    }
    for (date, path) in [
        (
            r#"{"$date": {"$numberLong": "1783101585729"}}"#,
            "after.since.$date.$numberLong",
        ),
        (r#"{"$date": "2026-07-03T17:59:45.729Z"}"#, "after.since.$date"),
    ] {
        let file = file.replace("after.since.$date", path);
        let after = format!(r#"{{"since": {date}}}"#);
        let told = tried(&file, &[event(ID, "c", json!({ "after": after }))]);
        assert_eq!(done(&told[0]).1, json!({ "since": 1_783_101_585_729_i64 }));
    }
}

#[test]
fn a_hint_says_that_decimals_may_be_numbers_in_digits() {
    let file = recipe("A table with decimals and JSON columns");
    let row = |price: &str| json!({ "key": { "id": 101 }, "payload": change("c", json!({ "price": price })) });
    // `decimal.handling.mode=string`. Some of them are base64, too.
    let (told, errors) = tried_and_told(file, &[row("1999"), row("1999.50"), row("20000000")]);
    assert_eq!(
        (&told[0]["verdict"], &told[2]["verdict"]),
        (&json!("kept"), &json!("kept"))
    );
    assert_rejected(&told[1], "field_type", "cure: as = \"string\"");
    let price = "{ path = \"after.price\", as = \"decimal\", scale = 2 } (line 20) has read 2 string(s)";
    assert!(
        errors.contains(price) && errors.contains("decimal.handling.mode = string"),
        "{errors}"
    );
    assert_eq!(errors.matches("hint:").count(), 2, "price and cents: {errors}");
    // One of them is none.
    let (_, errors) = tried_and_told(file, &[row("1999"), row("Awzc")]);
    assert_eq!(errors, "");
}

#[test]
fn a_number_of_oracle_has_a_scale_of_its_own_also_as_a_key() {
    let file = recipe("A table with decimals and JSON columns")
        .replace(
            "{ path = \"@key.id\", as = \"integer\" }",
            "{ path = \"@key.ID\", as = \"decimal_integer\" }",
        )
        .replace("after.tax", "after.TAX");
    // 1230, with a scale that rounds to hundreds, and one whose digits are all behind the point.
    let row = |scale: i64| {
        let number = json!({ "value": "BM4=", "scale": scale });
        json!({ "key": { "ID": { "value": "BM4=", "scale": 0 } }, "payload": change("c", json!({ "TAX": number })) })
    };
    let told = tried(&file, &[row(0), row(-2), row(4), row(5)]);
    for (told, tax) in told.iter().zip(["1230", "123000", "0.1230", "0.01230"]) {
        assert_eq!(records(told), [(json!(1230), json!({ "tax": tax }))]);
    }
}

#[test]
fn each_element_has_its_own_string() {
    let file = recipe("A JSON string in each element");
    let positions = json!([
        { "kind": "good", "details": "{\"sku\": \"A\", \"tags\": [\"x\"]}" },
        { "kind": "note", "details": "call first" },
        { "kind": "good", "details": { "sku": "B" } }
    ]);
    let wrong = json!([{ "kind": "good", "details": "call first" }]);
    let told = tried(
        file,
        &[
            json!({ "payload": { "order": 5, "positions": positions } }),
            json!({ "payload": { "order": 6, "positions": wrong } }),
        ],
    );
    let expected = [
        (json!("5:0"), json!({ "sku": "A", "tags": ["x"] })),
        (json!("5:2"), json!({ "sku": "B" })),
    ];
    assert_eq!(records(&told[0]), expected);
    assert_rejected(
        &told[1],
        "not_json",
        "the text in the string positions[0].details is not JSON",
    );
}

#[test]
fn the_service_writes_what_stands_in_strings_and_sends_what_is_broken_to_the_dead_letters() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("outbox", 1);
    let dead = kafka.topic("dead", 1);
    let sim = simulator();
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let big = format!(
        r#"{{"id": 2, "customerId": "{}"}}"#,
        "\u{1}ä\""
            .repeat(20_000)
            .replace('\u{1}', "\\u0001")
            .replace('"', "\\\"")
    );
    let payloads: Vec<String> = [
        json!(ORDER),
        json!(big),
        json!(deep),
        json!("{\"id\": 3, \"customerId\": \"\\ud83d\"}"),
        json!({ "id": 4, "customerId": 9 }),
    ]
    .into_iter()
    .map(|payload| json!({ "doc": payload, "fee": "+zI=" }).to_string())
    .collect();
    // Half of a pair between the outer quotes, which serde_json does not write.
    let half = r#"{"doc": "{\"id\": 5, \"customerId\": \"\ud83d\"}", "fee": "AA=="}"#;
    let messages: Vec<_> = payloads
        .iter()
        .map(|payload| sent("k", payload))
        .chain([sent("k", half)])
        .collect();
    topic.produce(0, &messages);
    let routes = format!(
        "[[route]]\njson_strings = [\"doc\"]\n[[route.write]]\nset = \"s\"\nkey = {{ path = \"doc.id\", as = \"integer\" }}\n\
         bins = {{ customer = \"doc.customerId\", fee = {{ path = \"fee\", as = \"decimal\", scale = 2 }} }}\n\
         [reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
        dead.name
    );
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(&routes);
    let ended = Service::run_to_the_ends_of(&topic, &setup);
    assert_eq!(ended.counters.messages_written.get(), 3);
    assert_eq!(dead.ends(), [Some(3)]);
    let record = |id: i64| sim.get("test", "s", id);
    let first = record(1).unwrap();
    assert_eq!((first.int("customer"), first.str("fee")), (Some(123), Some("-12.30")));
    assert_eq!(record(2).unwrap().str("customer").unwrap().chars().count(), 60_000);
    assert_eq!(record(4).unwrap().int("customer"), Some(9));
    assert!(record(3).is_none() && record(5).is_none());
}
