//! Splits a log line into its words and its fields: the `key=value` pairs at its end.
//!
//! A line has words, and then pairs with a space between them: `kafka: joining group=g topics=a,b`. A value that
//! contains a space is in quotes: `reason="timed out" rows=3`. Quotes inside quotes are escaped, as `{:?}` does. But
//! many values are foreign texts (errors of clients), and are not escaped. So a quote ends a value only if the line
//! ends there, or another pair follows. Pairs with words after them belong to the words.

use std::borrow::Cow;
use std::fmt;

/// A field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<'l> {
    pub key: &'l str,
    pub value: Value<'l>,
}

/// A value without its quotes, and whether it was in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'l> {
    Bare(&'l str),
    Quoted(Cow<'l, str>),
}

/// The words of a line, and the pairs after them.
pub fn split(line: &str) -> (&str, Vec<Pair<'_>>) {
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    let mut words_end = 0;
    let mut at = 0;
    // From this position on, no quote ends a value. It is searched for only once, so the time is linear in the length
    // of the line.
    let mut unclosed = line.len();
    while at < line.len() {
        let rest = &line[at..];
        if let Some((pair, length)) = pair(rest, at, &mut unclosed) {
            pairs.push(pair);
            at += length;
        } else {
            pairs.clear();
            at += rest.find(' ').unwrap_or(rest.len());
            words_end = at;
        }
        at += usize::from(at < line.len());
    }
    (line[..words_end].trim_end(), pairs)
}

/// The pair at the beginning of `text`, which begins at `at` in its line, and its length.
fn pair<'l>(text: &'l str, at: usize, unclosed: &mut usize) -> Option<(Pair<'l>, usize)> {
    let word = text.split(' ').next().unwrap_or_default();
    let (key, _) = word.split_once('=')?;
    if !is_key(key) {
        return None;
    }
    let value_at = key.len() + 1;
    let value = &text[value_at..];
    if !value.starts_with('"') {
        let value = &word[value_at..];
        let pair = Pair {
            key,
            value: Value::Bare(value),
        };
        return Some((pair, value_at + value.len()));
    }
    if at + value_at >= *unclosed {
        return None;
    }
    let Some(end) = closing_quote(value) else {
        *unclosed = (*unclosed).min(at + value_at);
        return None;
    };
    let pair = Pair {
        key,
        value: Value::Quoted(unescaped(&value[1..end])),
    };
    Some((pair, value_at + end + 1))
}

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_./".contains(&b))
}

/// Where the quoted value at the beginning of `text` ends: at a quote that is followed by nothing or by another pair.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(at, byte)| {
        if is_escaped {
            is_escaped = false;
            return None;
        }
        is_escaped = byte == b'\\';
        (byte == b'"' && ends_here(&text[at + 1..])).then_some(at)
    })
}

fn ends_here(behind: &str) -> bool {
    match behind.strip_prefix(' ') {
        None => behind.is_empty(),
        Some(behind) => {
            let end = behind.find([' ', '=', '"']).unwrap_or(behind.len());
            behind[end..].starts_with('=') && is_key(&behind[..end])
        }
    }
}

/// The text without the escapes of `{:?}`. A backslash before anything else is kept, because the text is foreign.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (c, length) = escape(rest).unwrap_or(('\\', 0));
        plain.push(c);
        rest = &rest[length..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The character that the text after a backslash stands for, and the length of that text.
fn escape(text: &str) -> Option<(char, usize)> {
    let c = match text.bytes().next()? {
        b'"' => '"',
        b'\'' => '\'',
        b'\\' => '\\',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'0' => '\0',
        b'u' => {
            let (digits, _) = text.strip_prefix("u{")?.split_once('}')?;
            let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
            return Some((c, digits.len() + 3));
        }
        _ => return None,
    };
    Some((c, 1))
}

/// A text as a value, in quotes if it needs them.
#[derive(Debug, Clone, Copy)]
pub struct Text<'t>(pub &'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = !self.0.starts_with('"') && !self.0.contains(|c: char| c.is_whitespace() || c.is_control());
        if is_plain {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bare<'l>(key: &'l str, value: &'l str) -> Pair<'l> {
        Pair {
            key,
            value: Value::Bare(value),
        }
    }

    fn quoted<'l>(key: &'l str, value: &'l str) -> Pair<'l> {
        Pair {
            key,
            value: Value::Quoted(value.into()),
        }
    }

    #[test]
    fn every_shape_of_a_line_is_told_apart() {
        for (line, words, pairs) in [
            ("", "", vec![]),
            ("watchdog: goes on again", "watchdog: goes on again", vec![]),
            ("a=1", "", vec![bare("a", "1")]),
            (
                "kafka: joining group=g topics=a,b",
                "kafka: joining",
                vec![bare("group", "g"), bare("topics", "a,b")],
            ),
            (
                "progress messages/s=85 lag=- pressure=limited:16rows rss=61MiB/298MiB state=waiting-for-topic topic=t since=3s",
                "progress",
                vec![
                    bare("messages/s", "85"),
                    bare("lag", "-"),
                    bare("pressure", "limited:16rows"),
                    bare("rss", "61MiB/298MiB"),
                    bare("state", "waiting-for-topic"),
                    bare("topic", "t"),
                    bare("since", "3s"),
                ],
            ),
            (
                r#"x: y reason="timed out, it says" rows=3"#,
                "x: y",
                vec![quoted("reason", "timed out, it says"), bare("rows", "3")],
            ),
            // Escaped, as `{:?}` does.
            (
                r#"x detail="a \"b\" \\ \n\t\u{1f} \'" offset=7"#,
                "x",
                vec![quoted("detail", "a \"b\" \\ \n\t\u{1f} '"), bare("offset", "7")],
            ),
            // A foreign text, not escaped.
            (
                r#"x error="of "some" kind: a=b \d C:\" cure="wait""#,
                "x",
                vec![quoted("error", r#"of "some" kind: a=b \d C:" cure="wait"#)],
            ),
            (
                r#"x error="the "topic" is gone" topic=t"#,
                "x",
                vec![quoted("error", r#"the "topic" is gone"#), bare("topic", "t")],
            ),
            (r#"x error="""#, "x", vec![quoted("error", "")]),
            (r#"x user= group="""#, "x", vec![bare("user", ""), quoted("group", "")]),
            // Words after pairs.
            (
                "stop: signal=SIGTERM, finishing",
                "stop: signal=SIGTERM, finishing",
                vec![],
            ),
            ("a=1 words b=2", "a=1 words", vec![bare("b", "2")]),
            // Not a key.
            (
                "kafka.start = \"latest\" (x=1) --to-offset=3 A=1 é=2 n=1",
                "kafka.start = \"latest\" (x=1) --to-offset=3 A=1 é=2",
                vec![bare("n", "1")],
            ),
            // A quote that is never closed.
            ("x a=\"b c=1 d", "x a=\"b c=1 d", vec![]),
            ("x a=\"b c=1", "x a=\"b", vec![bare("c", "1")]),
            ("x  a=1  b=2 ", "x  a=1", vec![bare("b", "2")]),
        ] {
            assert_eq!(split(line), (words, pairs), "{line}");
        }
    }

    #[test]
    fn a_text_is_quoted_where_it_must_be() {
        for (text, written) in [
            ("k:9092,l:9092", "k:9092,l:9092"),
            ("a b", "\"a b\""),
            ("a\nb", "\"a\\nb\""),
            ("\"", "\"\\\"\""),
        ] {
            assert_eq!(Text(text).to_string(), written);
        }
    }

    #[test]
    fn a_long_line_of_quotes_takes_no_time_to_speak_of() {
        let line = "a=\"b ".repeat(100_000);
        let (words, pairs) = split(&line);
        assert_eq!((words.len(), pairs.len()), (line.len() - 1, 0));
    }

    proptest! {
        #[test]
        fn what_is_written_as_pairs_is_read_as_it_was(
            words in "([A-Za-z:;,.]{1,8} ){0,4}[A-Za-z:;,.]{1,8}",
            values in prop::collection::vec(("[a-z][a-z0-9_/.]{0,9}", any::<String>()), 0..6),
        ) {
            let mut line = words.clone();
            for (key, value) in &values {
                line.push_str(&format!(" {key}={value:?}"));
            }
            let (read_words, pairs) = split(&line);
            prop_assert_eq!(read_words, words);
            let read: Vec<(String, String)> = pairs
                .into_iter()
                .map(|pair| {
                    let value = match pair.value {
                        Value::Bare(value) => value.to_owned(),
                        Value::Quoted(value) => value.into_owned(),
                    };
                    (pair.key.to_owned(), value)
                })
                .collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn any_line_can_be_split(line in any::<String>()) {
            let (words, _) = split(&line);
            prop_assert!(line.starts_with(words));
        }

        #[test]
        fn a_text_as_a_value_is_read_as_it_was(text in any::<String>()) {
            let line = format!("x key={}", Text(&text));
            let (words, pairs) = split(&line);
            prop_assert_eq!(words, "x");
            let value = match &pairs[0].value {
                Value::Bare(value) => (*value).to_owned(),
                Value::Quoted(value) => value.clone().into_owned(),
            };
            prop_assert_eq!(value, text);
        }
    }
}
