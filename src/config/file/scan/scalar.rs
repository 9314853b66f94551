//! Numbers, booleans, dates, and text whose quotes are missing.

use crate::config::addresses::{address_may_hold_login, may_hold_login};
use crate::config::file::scan::cursor::{INVISIBLE, Reach, Scan, Stop, Within};
use crate::config::file::scan::known::{is_secret, kind, names_secret};
use crate::config::file::scan::statement::starts_key;
use crate::config::file::scan::unquoted::{Text, in_quotes, is_scalar, unquoted};
use crate::config::keys::Kind;

impl Scan<'_> {
    /// A number, a boolean or a date. Text whose quotes are missing is noted and skipped.
    pub(super) fn scalar(&mut self, key: &str, written: &str, within: Within) -> Result<(), Stop> {
        let start = self.at;
        let mut token = self.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#'));
        // `100; group = "g"`
        if let Some((before, _)) = token.split_once(';')
            && is_scalar(before)
        {
            token = before;
            self.at = start + before.len();
        }
        // `1,000`, `1 000`, `512 MiB`: a number, followed by more of the same value.
        let more = self.text.get(self.at..self.line_end()).unwrap_or_default();
        let more = more.split(" #").next().unwrap_or_default();
        let goes_on = within == Within::Line
            && (more
                .strip_prefix(',')
                .is_some_and(|more| !more.trim().is_empty() && starts_key(more.trim()).is_none())
                || is_thousands(more)
                || (more.trim_start().starts_with(|c: char| c.is_ascii_alphabetic()) && !more.contains('=')));
        if is_scalar(token) && !goes_on {
            // There may be a space between a date and its time.
            let rest = self.rest();
            let is_time = rest.get(..4).is_some_and(|text| {
                let text = text.as_bytes();
                text[0] == b' ' && text[1].is_ascii_digit() && text[2].is_ascii_digit() && text[3] == b':'
            });
            if !(token.len() == 10 && is_time) {
                return Ok(());
            }
            self.bump();
            let time = self.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '#'));
            if is_scalar(&format!("{token} {time}")) {
                return Ok(());
            }
        }
        self.at = start;
        let first = self.peek().unwrap_or(' ');
        if let Some((_, name)) = INVISIBLE.iter().find(|(each, _)| *each == first) {
            let problem = format!("{name} stands here, which cannot be seen and is no white space in TOML");
            return Err(self.slip(start, key, problem, "write a plain space", Reach::Section));
        }
        if first == '=' {
            let cure = format!("write {written} = …");
            return Err(self.slip(start, key, "`=` stands twice", cure, Reach::Section));
        }
        if first == '\\'
            && self
                .text
                .get(start + 1..self.line_end())
                .is_some_and(|rest| rest.trim().is_empty())
        {
            let cure = format!("write the value on the line of its key: {written} = …");
            return Err(self.slip(start, key, "a line does not go on behind `\\`", cure, Reach::Rest));
        }
        if first == ':' || token.starts_with("//") {
            let cure = format!("write {written} = …");
            return Err(self.slip(start, key, "a value is missing", cure, Reach::Section));
        }
        if let Some(name) = self.begins_key() {
            let (problem, cure) = match within {
                Within::Array => (
                    "`=` inside `[ … ]`, which holds values".to_owned(),
                    "write [ … ] around values, and { key = value } around keys".to_owned(),
                ),
                Within::Line | Within::Inline if is_secret(key) => (
                    "`=` stands in a value without quotes".to_owned(),
                    "put it in quotes".to_owned(),
                ),
                Within::Line | Within::Inline => (
                    format!("a `{{` is missing before `{name}`"),
                    format!("write {written} = {{ {name} = … }}"),
                ),
            };
            return Err(self.slip(start, key, problem, cure, Reach::Section));
        }
        let line = self.text.get(start..self.line_end()).unwrap_or_default();
        let raw = match within {
            Within::Line => [" #", " //", " ;", " --"]
                .iter()
                .fold(line, |line, opens| line.split(opens).next().unwrap_or_default()),
            Within::Array | Within::Inline => line.split([',', ']', '}', '#']).next().unwrap_or_default(),
        }
        .trim_end();
        let is_secret = is_secret(key);
        // A password may contain characters that end a value here.
        let has_login = match key {
            "kafka.brokers" | "aerospike.hosts" => address_may_hold_login(line),
            _ => may_hold_login(line.trim()) || names_secret(line),
        };
        let name = key.rsplit('.').next().unwrap_or_default();
        if let (Within::Line, Some(second)) = (within, second_key(raw))
            && !is_secret
            && !has_login
            && !matches!(name, "when" | "expr")
        {
            let cure = format!("write each on a line of its own, and text in quotes: {second} = … on the next");
            return Err(self.slip(start, key, "two keys stand on one line", cure, Reach::Section));
        }
        self.at = match within {
            Within::Line => self.line_end(),
            Within::Array | Within::Inline => start + raw.len(),
        };
        let (problem, text) = unquoted(raw);
        let (problem, text) = match (kind(key), text) {
            (Some(Kind::Number { min, max }), Text::InQuotes(_)) => (
                "this is no whole number".to_owned(),
                Text::OneOf(format!("a whole number, {min} to {max}")),
            ),
            (Some(Kind::Number { min, max }), Text::Word(word)) if word.parse::<i64>().is_err() => (
                "this is no whole number".to_owned(),
                Text::OneOf(format!("a whole number, {min} to {max}")),
            ),
            (Some(Kind::Flag), Text::InQuotes(_)) => (
                "this is neither true nor false".to_owned(),
                Text::OneOf("true or false".to_owned()),
            ),
            (_, text) => (problem, text),
        };
        let at_value = match within {
            Within::Line | Within::Inline => format!("{written} = "),
            Within::Array => String::new(),
        };
        let is_address = matches!(key, "kafka.brokers" | "aerospike.hosts");
        let cure = match text {
            Text::Word(_) | Text::InQuotes(_) if is_secret || (has_login && !is_address) => {
                "put it in quotes".to_owned()
            }
            Text::Word(word) => format!("write {at_value}{word}"),
            Text::OneOf(words) => format!("write {words}"),
            Text::Remove => format!("remove `{written}`"),
            Text::InQuotes(_) if has_login && key == "kafka.brokers" => {
                "put host:port in quotes, and the login into sasl.username and sasl.password below [kafka.properties]"
                    .to_owned()
            }
            Text::InQuotes(_) if has_login && key == "aerospike.hosts" => {
                "put host:port in quotes, and the login into aerospike.user and aerospike.password".to_owned()
            }
            Text::InQuotes(text) => format!("put it in quotes: {at_value}{}", in_quotes(&text)),
        };
        let mut slip = self.slip(start, key, problem, cure, Reach::Line);
        slip.found = (!is_secret && !has_login).then(|| raw.chars().take(80).collect());
        // In brackets, the parser takes the quote in this text for the start of a string, and misses the closing
        // bracket.
        if within != Within::Line && raw.contains(['"', '\'', '[', '{', '(', '=']) {
            slip.reach = Reach::Rest;
            return Err(slip);
        }
        // More of the secret may follow: the lines of a private key look like keys of the file.
        if is_secret {
            slip.reach = Reach::Section;
            return Err(slip);
        }
        // One mistake per line is enough.
        let line = self.line_of(start);
        if self.scanned.slips.iter().all(|before| self.line_of(before.at) != line) {
            self.scanned.slips.push(*slip);
        }
        Ok(())
    }
}

/// The key that follows a value without quotes, on the same line.
fn second_key(raw: &str) -> Option<&str> {
    let places = raw.match_indices([' ', '\t', ',', ';']).map(|(at, _)| at + 1);
    places.filter_map(|at| raw.get(at..)).find_map(starts_key)
}

/// Whether a text is groups of thousands, such as ` 000 000`, behind the first digits of a number.
fn is_thousands(text: &str) -> bool {
    let text = text.trim_end();
    let groups = text.strip_prefix(' ').unwrap_or_default();
    !groups.is_empty()
        && groups
            .split(' ')
            .all(|group| group.len() == 3 && group.bytes().all(|c| c.is_ascii_digit()))
}
