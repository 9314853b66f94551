//! Messages that do not come from Kafka but from lines of a file or from fixtures, and how a message is written.
//!
//! The format of an envelope is public: `docs/reference/try-and-test.md` describes it, and users' fixtures contain it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::object;
use super::visible::visible;
use crate::config::model::{Config, Format};
use crate::message::Message;

/// A name and an optional value.
type Header = (String, Option<Vec<u8>>);

/// A message that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnedMessage {
    /// One of `kafka.topics`.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// The raw bytes of the key.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<Header>,
}

/// The values for what a message leaves out.
#[derive(Debug, Clone)]
pub(super) struct Defaults {
    /// `None`: the message must name its topic.
    pub topic: Option<String>,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub format: Format,
}

impl Defaults {
    pub fn new(config: &Config, topic: Option<&str>, timestamp_ms: i64) -> Defaults {
        let only = match config.kafka.topics.as_slice() {
            [only] => Some(only.as_str()),
            _ => None,
        };
        Defaults {
            topic: topic.or(only).map(str::to_owned),
            offset: 0,
            timestamp_ms,
            format: config.kafka.format,
        }
    }

    fn topic(&self) -> Result<String, String> {
        let told = self.topic.clone();
        told.ok_or_else(|| "the configuration has several topics: say which one this is of".to_owned())
    }

    /// Turns a JSON text into the payload that producers of this format send. For a schema registry it adds a prefix;
    /// nobody here reads the schema.
    fn payload(&self, text: &[u8]) -> Vec<u8> {
        match self.format {
            Format::JsonSchemaRegistry if text.first() != Some(&0) => [&[0; 5], text].concat(),
            _ => text.to_vec(),
        }
    }
}

type Members = BTreeMap<String, Box<RawValue>>;

impl OwnedMessage {
    /// A message that has only a payload.
    pub(super) fn bare(payload: &[u8], defaults: &Defaults) -> Result<OwnedMessage, String> {
        Ok(OwnedMessage {
            topic: defaults.topic()?,
            partition: 0,
            offset: defaults.offset,
            timestamp_ms: Some(defaults.timestamp_ms),
            key: None,
            payload: Some(defaults.payload(payload)),
            headers: Vec::new(),
        })
    }

    /// Reads a message from its envelope: `{"topic": …, "key": …, "payload": …}`.
    pub(super) fn from_envelope(text: &str, defaults: &Defaults) -> Result<OwnedMessage, String> {
        let members: Members =
            serde_json::from_str(text).map_err(|error| format!("a message is a JSON object: {error}"))?;
        let mut message = OwnedMessage {
            topic: String::new(),
            partition: 0,
            offset: defaults.offset,
            timestamp_ms: Some(defaults.timestamp_ms),
            key: None,
            payload: None,
            headers: Vec::new(),
        };
        let mut topic = None;
        for (name, value) in &members {
            let value = value.get();
            match name.as_str() {
                "topic" => topic = Some(string(name, value)?),
                "partition" => {
                    message.partition =
                        i32::try_from(integer(name, value)?).map_err(|_| format!("\"{name}\" is too great"))?;
                }
                "offset" => message.offset = integer(name, value)?,
                "timestamp" => message.timestamp_ms = instant(name, value)?,
                "key" => message.key = plain(value),
                "key_base64" => message.key = Some(base64(name, value)?),
                "payload" if value == "null" => message.payload = None,
                "payload" => message.payload = Some(defaults.payload(value.as_bytes())),
                "payload_text" => message.payload = Some(string(name, value)?.into_bytes()),
                "payload_base64" => message.payload = Some(base64(name, value)?),
                "headers" => message.headers = headers(value)?,
                _ => {
                    return Err(format!(
                        "a message has no \"{}\"; it has topic, partition, offset, timestamp, key, key_base64, headers, \
                         payload, payload_text and payload_base64",
                        visible(name)
                    ));
                }
            }
        }
        let payloads = ["payload", "payload_text", "payload_base64"];
        for alternatives in [["key", "key_base64"].as_slice(), &payloads] {
            if alternatives.iter().filter(|name| members.contains_key(**name)).count() > 1 {
                return Err(format!("a message has one of {}", alternatives.join(", ")));
            }
        }
        message.topic = match topic {
            Some(topic) => topic,
            None => defaults.topic()?,
        };
        Ok(message)
    }

    /// Copies a borrowed message.
    pub(super) fn of(message: &Message<'_>) -> OwnedMessage {
        OwnedMessage {
            topic: message.topic.to_owned(),
            partition: message.partition,
            offset: message.offset,
            timestamp_ms: message.timestamp_ms,
            key: message.key.map(<[u8]>::to_vec),
            payload: message.payload.map(<[u8]>::to_vec),
            headers: message
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    /// The message as the rules see it.
    pub(super) fn view(&self) -> Message<'_> {
        Message {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref()))
                .collect(),
        }
    }

    /// The envelope of the message, on one line.
    pub(super) fn envelope(&self, format: Format) -> String {
        let mut members = vec![
            ("topic", Value::from(self.topic.as_str()).to_string()),
            ("partition", self.partition.to_string()),
            ("offset", self.offset.to_string()),
        ];
        // Left out, it would be read as the time of the reading.
        let timestamp = self.timestamp_ms.map_or("null".to_owned(), |at| at.to_string());
        members.push(("timestamp", timestamp));
        members.extend(self.key.as_deref().map(|key| match std::str::from_utf8(key) {
            Ok(text) => ("key", Value::from(text).to_string()),
            Err(_) => ("key_base64", Value::from(STANDARD.encode(key)).to_string()),
        }));
        if !self.headers.is_empty() {
            let headers = self
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref()));
            members.push(("headers", headers_json(headers).to_string()));
        }
        members.push(payload(self.payload.as_deref(), format));
        object(&members)
    }

    /// An envelope that leaves nothing out: what is read from it is this message, byte for byte, whatever the defaults
    /// are. (The other one leaves out the white space around a payload, the prefix of a schema registry and the order of
    /// headers.)
    pub(super) fn exact_envelope(&self, format: Format) -> String {
        let text = |bytes: &[u8], name: &'static str, encoded: &'static str| match std::str::from_utf8(bytes) {
            Ok(text) => (name, Value::from(text).to_string()),
            Err(_) => (encoded, Value::from(STANDARD.encode(bytes)).to_string()),
        };
        let mut members = vec![
            ("topic", Value::from(self.topic.as_str()).to_string()),
            ("partition", self.partition.to_string()),
            ("offset", self.offset.to_string()),
            ("timestamp", Value::from(self.timestamp_ms).to_string()),
        ];
        members.extend(self.key.as_deref().map(|key| text(key, "key", "key_base64")));
        if !self.headers.is_empty() {
            let pairs = self.headers.iter().map(|(name, value)| {
                let value = match value.as_deref().map(|bytes| (std::str::from_utf8(bytes), bytes)) {
                    None => Value::Null,
                    Some((Ok(text), _)) => Value::from(text),
                    Some((Err(_), bytes)) => bytes_json(bytes),
                };
                Value::from(vec![Value::from(name.as_str()), value])
            });
            members.push(("headers", Value::Array(pairs.collect()).to_string()));
        }
        members.push(match (&self.payload, payload(self.payload.as_deref(), Format::Json)) {
            (None, null) => null,
            // Where payloads have the prefix of a schema registry, what is read as JSON would get another one.
            (Some(bytes), (name, json)) if format == Format::Json && name == "payload" && json.len() == bytes.len() => {
                (name, json)
            }
            (Some(bytes), _) => text(bytes, "payload_text", "payload_base64"),
        });
        object(&members)
    }
}

/// Reads a message from an envelope or from a line of `--json`.
pub(super) fn enveloped(line: &[u8], defaults: &Defaults) -> Result<OwnedMessage, String> {
    let text = std::str::from_utf8(line).map_err(|_| "an envelope is UTF-8".to_owned())?;
    // A file may begin with a byte order mark, like a payload.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let members: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(text).ok();
    match members.as_ref().and_then(|members| members.get("message")) {
        Some(message) => OwnedMessage::from_envelope(message.get(), defaults),
        None => OwnedMessage::from_envelope(text, defaults),
    }
}

/// The name of the member that holds a payload, and its value.
fn payload(payload: Option<&[u8]>, format: Format) -> (&'static str, String) {
    let Some(payload) = payload else {
        return ("payload", "null".to_owned());
    };
    let text = match (format, payload) {
        (Format::JsonSchemaRegistry, [0, _, _, _, _, text @ ..]) => text,
        _ => payload,
    };
    // Uses the exact bytes if they are one JSON text on one line, except null, which would be read as "no payload".
    let one_line = std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.contains(['\n', '\r']));
    if let Some(text) = one_line
        && let Ok(raw) = serde_json::from_str::<&RawValue>(text)
        && raw.get() != "null"
    {
        return ("payload", raw.get().to_owned());
    }
    match std::str::from_utf8(payload) {
        Ok(text) => ("payload_text", Value::from(text).to_string()),
        Err(_) => ("payload_base64", Value::from(STANDARD.encode(payload)).to_string()),
    }
}

/// Headers as an object, or as pairs if a name occurs twice. A value that is not text becomes `{"base64": …}`.
pub(super) fn headers_json<'h>(headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>) -> Value {
    let headers: Vec<(&str, Value)> = headers
        .map(|(name, value)| {
            let value = match value.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
                None => Value::Null,
                Some((Ok(text), _)) => Value::from(text),
                Some((Err(_), bytes)) => bytes_json(bytes),
            };
            (name, value)
        })
        .collect();
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() == headers.len() {
        Value::Object(
            headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    } else {
        let pairs = headers
            .into_iter()
            .map(|(name, value)| Value::from(vec![Value::from(name), value]));
        Value::Array(pairs.collect())
    }
}

/// Bytes that are not text.
pub(super) fn bytes_json(bytes: &[u8]) -> Value {
    serde_json::json!({ "base64": STANDARD.encode(bytes) })
}

fn parsed(name: &str, value: &str) -> Result<Value, String> {
    serde_json::from_str(value).map_err(|error| format!("\"{name}\": {error}"))
}

fn string(name: &str, value: &str) -> Result<String, String> {
    match parsed(name, value)? {
        Value::String(text) => Ok(text),
        _ => Err(format!("\"{name}\" is a string")),
    }
}

fn integer(name: &str, value: &str) -> Result<i64, String> {
    parsed(name, value)?
        .as_i64()
        .ok_or_else(|| format!("\"{name}\" is an integer"))
}

fn base64(name: &str, value: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(string(name, value)?)
        .map_err(|error| format!("\"{name}\" is base64: {error}"))
}

/// Milliseconds since the epoch, or RFC 3339. null gives `None`.
pub(super) fn instant(name: &str, value: &str) -> Result<Option<i64>, String> {
    let refused = || format!("\"{name}\" is milliseconds since 1970, or RFC 3339");
    match parsed(name, value)? {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_i64().map(Some).ok_or_else(refused),
        Value::String(text) => text
            .parse::<jiff::Timestamp>()
            .map(|at| Some(at.as_millisecond()))
            .map_err(|_| refused()),
        _ => Err(refused()),
    }
}

/// A string gives its text, null gives nothing, and any other value gives its JSON text.
fn plain(value: &str) -> Option<Vec<u8>> {
    match serde_json::from_str(value) {
        Ok(Value::Null) => None,
        Ok(Value::String(text)) => Some(text.into_bytes()),
        _ => Some(value.as_bytes().to_vec()),
    }
}

/// Reads `{"name": "value"}`, or `[["name", "value"]]` if a name occurs twice.
fn headers(value: &str) -> Result<Vec<Header>, String> {
    let refused = "\"headers\" is {\"name\": \"value\"}, or [[\"name\", \"value\"]] where a name stands twice";
    let pairs: Vec<(String, Value)> = match parsed("headers", value)? {
        Value::Object(members) => members.into_iter().collect(),
        Value::Array(pairs) => {
            let pair = |pair: Value| match pair.as_array().map(Vec::as_slice) {
                Some([Value::String(name), value]) => Ok((name.clone(), value.clone())),
                _ => Err(refused.to_owned()),
            };
            pairs.into_iter().map(pair).collect::<Result<_, String>>()?
        }
        _ => return Err(refused.to_owned()),
    };
    let bytes = |(name, value): (String, Value)| {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text.into_bytes()),
            Value::Object(members) => match members.get("base64") {
                Some(text) if members.len() == 1 => Some(base64("base64", &text.to_string())?),
                _ => return Err(refused.to_owned()),
            },
            _ => return Err(refused.to_owned()),
        };
        Ok((name, value))
    };
    pairs.into_iter().map(bytes).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn defaults(format: Format) -> Defaults {
        Defaults {
            topic: Some("events".to_owned()),
            offset: 7,
            timestamp_ms: 1000,
            format,
        }
    }

    #[test]
    fn a_message_is_written_as_it_is_read() {
        for envelope in [
            r#"{"topic":"events","partition":3,"offset":12,"timestamp":5,"key":"k","headers":{"a":"b","n":null},"payload":{"z":1.0,"a":[1e3, "\u00e9"]}}"#,
            r#"{"topic":"events","partition":0,"offset":7,"timestamp":1000,"payload":null}"#,
            r#"{"topic":"events","partition":0,"offset":7,"timestamp":1000,"key":"7","payload_text":"not json"}"#,
            r#"{"topic":"events","partition":0,"offset":7,"timestamp":1000,"payload_text":"null"}"#,
            r#"{"topic":"events","partition":0,"offset":7,"timestamp":1000,"payload_text":"{\n}"}"#,
            r#"{"topic":"events","partition":0,"offset":7,"timestamp":1000,"key_base64":"/w==","payload_base64":"/w=="}"#,
            r#"{"topic":"events","partition":0,"offset":7,"timestamp":1000,"headers":[["a","b"],["a",{"base64":"/w=="}]],"payload":"text"}"#,
            r#"{"topic":"events","partition":0,"offset":7,"timestamp":null,"payload":1}"#,
        ] {
            let message = OwnedMessage::from_envelope(envelope, &defaults(Format::Json)).unwrap();
            assert_eq!(message.envelope(Format::Json), envelope);
        }
    }

    #[test]
    fn a_payload_of_a_schema_registry_is_told_without_its_prefix() {
        let format = Format::JsonSchemaRegistry;
        let text = r#"{"topic":"events","partition":0,"offset":7,"timestamp":1000,"payload":{"a":1}}"#;
        let message = OwnedMessage::from_envelope(text, &defaults(format)).unwrap();
        assert_eq!(message.payload.as_deref(), Some(b"\0\0\0\0\0{\"a\":1}".as_slice()));
        assert_eq!(message.envelope(format), text);
        let bare = OwnedMessage::bare(b"{}", &defaults(format)).unwrap();
        assert_eq!(bare.payload.as_deref(), Some(b"\0\0\0\0\0{}".as_slice()));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for (text, problem) in [
            ("[]", "a JSON object"),
            ("{", "a JSON object"),
            (r#"{"paylaod":1}"#, "has no \"paylaod\""),
            (r#"{"\u001b[31mX\u0007":1}"#, "has no \"\\u{1b}[31mX\\u{7}\""),
            (r#"{"offset":"1"}"#, "\"offset\" is an integer"),
            (r#"{"partition":9999999999}"#, "\"partition\""),
            (r#"{"timestamp":"yesterday"}"#, "RFC 3339"),
            (r#"{"payload":1,"payload_text":"a"}"#, "one of payload,"),
            (r#"{"payload_base64":"*"}"#, "is base64"),
            (r#"{"headers":[1]}"#, "\"headers\" is"),
        ] {
            let refused = OwnedMessage::from_envelope(text, &defaults(Format::Json)).unwrap_err();
            assert!(refused.contains(problem), "{text}: {refused}");
        }
        let nameless = Defaults {
            topic: None,
            ..defaults(Format::Json)
        };
        assert!(OwnedMessage::bare(b"1", &nameless).is_err());
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<Vec<u8>>(),
            "\\PC*".prop_map(String::into_bytes),
            r#"\{"[a-z]": (-?[0-9]\.[0-9]|null|"[a-z]*"|\[1, 2\])\}\n?"#.prop_map(String::into_bytes),
            Just(b"null".to_vec()),
            Just(b" 1 ".to_vec()),
            Just(Vec::new()),
        ]
    }

    /// A message of the topic `events`, at this partition and offset, with this timestamp.
    fn made(
        (partition, offset, timestamp_ms): (i32, i64, Option<i64>),
        (key, payload): (Option<Vec<u8>>, Option<Vec<u8>>),
        headers: Vec<Header>,
    ) -> OwnedMessage {
        OwnedMessage {
            topic: "events".to_owned(),
            partition,
            offset,
            timestamp_ms,
            key,
            payload,
            headers,
        }
    }

    proptest! {
        #[test]
        fn any_message_is_written_so_that_it_is_read_again(
            place in (0..100i32, any::<i64>(), any::<Option<i64>>()),
            (key, payload) in (option::of(bytes()), option::of(bytes())),
            headers in vec(("[a-c]", option::of(bytes())), 0..4),
        ) {
            let mut message = made(place, (key, payload), headers);
            let envelope = message.envelope(Format::Json);
            prop_assert!(!envelope.contains('\n'));
            let mut read = OwnedMessage::from_envelope(&envelope, &defaults(Format::Json)).unwrap();
            // The order of headers with the same name is kept.
            let of_name = |header: &Header| header.0.clone();
            message.headers.sort_by_key(of_name);
            read.headers.sort_by_key(of_name);
            // White space around a JSON text does not belong to it.
            let trimmed = |payload: &mut Option<Vec<u8>>| {
                if let Some(bytes) = payload
                    && serde_json::from_slice::<Value>(bytes).is_ok()
                {
                    *bytes = bytes.trim_ascii().to_vec();
                }
            };
            trimmed(&mut message.payload);
            trimmed(&mut read.payload);
            prop_assert_eq!(read, message);
        }

        #[test]
        fn an_exact_envelope_is_the_message_byte_for_byte(
            place in (0..100i32, any::<i64>(), any::<Option<i64>>()),
            (key, payload) in (option::of(bytes()), option::of(prop_oneof![bytes(), Just(b" {\"a\": 1}\n".to_vec()),
                Just(b"null".to_vec()), Just(b"\0\0\0\0\x01{\"a\":1}".to_vec())])),
            headers in vec(("[a-c]", option::of(bytes())), 0..4),
            format in prop_oneof![Just(Format::Json), Just(Format::JsonSchemaRegistry)],
        ) {
            let message = made(place, (key, payload), headers);
            let envelope = message.exact_envelope(format);
            prop_assert!(!envelope.contains('\n'));
            let read = OwnedMessage::from_envelope(&envelope, &defaults(format)).unwrap();
            prop_assert_eq!(read, message);
        }

        #[test]
        fn no_text_panics(text in prop_oneof!["\\PC*", r#"\{"(key|payload|headers|timestamp|offset)": ?[\[\{"1-9nul,:\}\]]*\}"#]) {
            let _ = OwnedMessage::from_envelope(&text, &defaults(Format::Json));
        }
    }
}
