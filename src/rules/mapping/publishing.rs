//! Applies a compiled publish to one message: makes key, headers and payload of the produced message.

use std::borrow::Cow;

use super::compile::{CompiledPublish, MissingRule, TypedRule};
use super::eval::{Context, rejection, unheld_operand};
use super::{Reason, Rejection};
use crate::output::Output;
use crate::output::publication::Publication;
use crate::output::value::{Unheld, Value};

type Bytes<'m> = Cow<'m, [u8]>;

impl<'m> Context<'_, 'm> {
    /// Adds the message that one publish makes, if any.
    pub fn publication(&self, publish: &'m CompiledPublish, output: &mut Output<'m>) -> Result<(), Rejection> {
        self.readable(&publish.texts, None)?;
        let message = self.message;
        let key = match &publish.key {
            None => message.key.map(Cow::Borrowed),
            Some(rule) => match self.published_key(rule)? {
                None => return Ok(()),
                key => key,
            },
        };
        let payload = match (&publish.payload, message.payload) {
            // A tombstone stays a tombstone, even if the rule defines a payload.
            (_, None) => None,
            (None, Some(payload)) => Some(Cow::Borrowed(payload)),
            (Some(rule), Some(_)) => match self.published_payload(rule)? {
                None => return Ok(()),
                payload => payload,
            },
        };
        let mut headers = Vec::new();
        if publish.forward_headers {
            headers.reserve(message.headers.len() + publish.headers.len());
            let own = message.headers.iter();
            headers.extend(own.map(|(name, value)| (Cow::Borrowed(*name), value.map(Cow::Borrowed))));
        }
        for (name, rule) in &publish.headers {
            match self.typed(rule, None)? {
                None if matches!(rule.missing, MissingRule::Reject) => {
                    return Err(self.missing(Reason::FieldMissing, rule, "missing", None));
                }
                None => {}
                Some(Value::Null) => headers.push((Cow::Borrowed(name.as_str()), None)),
                Some(value) => headers.push((Cow::Borrowed(name.as_str()), Some(text(value, rule)?))),
            }
        }
        output.publish(Publication {
            message: output.message(),
            topic: &publish.topic,
            key,
            payload,
            headers,
            timestamp_ms: message.timestamp_ms,
        });
        Ok(())
    }

    /// `None`: produce nothing (`missing = "skip"`).
    fn published_key(&self, rule: &'m TypedRule) -> Result<Option<Bytes<'m>>, Rejection> {
        match self.operand_or_unheld(rule, None)? {
            None => Ok(None),
            Some(value) => text(value, rule).map(Some),
        }
    }

    /// `None`: produce nothing (`missing = "skip"`).
    fn published_payload(&self, rule: &'m TypedRule) -> Result<Option<Bytes<'m>>, Rejection> {
        let value = match (self.typed(rule, None)?, &rule.missing) {
            (None, MissingRule::Skip) => return Ok(None),
            (None, _) => return Err(self.missing(Reason::FieldMissing, rule, "missing", None)),
            (Some(value), _) => value,
        };
        let mut json = Vec::new();
        write_json(&value, &mut json);
        Ok(Some(Cow::Owned(json)))
    }
}

/// The bytes of a key or header: a string unchanged, a number or boolean as in JSON, bytes unchanged.
fn text<'m>(value: Value<'m>, rule: &TypedRule) -> Result<Bytes<'m>, Rejection> {
    Ok(match value {
        Value::Str(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        Value::Str(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        Value::Bytes(bytes) => bytes,
        Value::Unheld {
            what: Unheld::Integer | Unheld::Float,
            text: Cow::Borrowed(text),
        } => Cow::Borrowed(text.as_bytes()),
        Value::Unheld {
            what: Unheld::Integer | Unheld::Float,
            text: Cow::Owned(text),
        } => Cow::Owned(text.into_bytes()),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
            let mut json = Vec::new();
            write_json(&value, &mut json);
            Cow::Owned(json)
        }
        Value::Unheld { what, .. } => return Err(unheld_operand(rule, what)),
        Value::Null | Value::List(_) | Value::Map(_) => {
            let why = format!("of type {}, which can be neither key nor header", value.type_name());
            return Err(rejection(Reason::FieldType, rule, &why));
        }
    })
}

/// Writes a value as JSON. Bytes become base64, as `as = "base64"` reads them.
fn write_json(value: &Value<'_>, json: &mut Vec<u8>) {
    use std::io::Write as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    // Writing to a Vec cannot fail.
    match value {
        Value::Null => json.extend_from_slice(b"null"),
        Value::Bool(true) => json.extend_from_slice(b"true"),
        Value::Bool(false) => json.extend_from_slice(b"false"),
        Value::Int(n) => {
            let _ = write!(json, "{n}");
        }
        // Half of a surrogate pair never comes here: `keep` refuses it.
        Value::Unheld { text, .. } => json.extend_from_slice(text.as_bytes()),
        Value::Float(n) => {
            // Never infinite or NaN: JSON has neither, and no cast creates one.
            let _ = serde_json::to_writer(json, n);
        }
        Value::Str(text) => {
            let _ = serde_json::to_writer(json, text.as_ref());
        }
        Value::Bytes(bytes) => {
            let _ = write!(json, "\"{}\"", STANDARD.encode(bytes));
        }
        Value::List(items) => {
            json.push(b'[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    json.push(b',');
                }
                write_json(item, json);
            }
            json.push(b']');
        }
        Value::Map(members) => {
            json.push(b'{');
            for (number, (name, member)) in members.iter().enumerate() {
                if number > 0 {
                    json.push(b',');
                }
                let _ = serde_json::to_writer(&mut *json, name.as_ref());
                json.push(b':');
                write_json(member, json);
            }
            json.push(b'}');
        }
    }
}
