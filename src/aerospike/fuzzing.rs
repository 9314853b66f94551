//! What the fuzz targets call (`crates/penstock-fuzz`): the readers of what nodes send, which are private otherwise.

use std::io::{Read, Write};

use super::ask::{Answers, Login, converse, error_code};
use super::members::{cluster_size, holes, parse_peers};
use super::refusal::in_text;
use super::wire::partitions::Part;

/// Asks questions on a connection, with a login in front or without.
///
/// # Errors
/// Why there is no answer, in words.
pub fn ask(
    stream: &mut (impl Read + Write),
    login: Option<(&str, &str)>,
    names: &[&str],
) -> Result<Vec<String>, String> {
    let login = login.map(|(user, credential)| Login::hashed(user, credential));
    let answers = converse(stream, login.as_ref(), names).map_err(|silence| silence.to_string())?;
    Ok(names.iter().map(|name| answers.get(name).to_owned()).collect())
}

/// The names and addresses of peers.
pub fn peers(text: &str) -> Vec<(String, Vec<String>)> {
    let peers = parse_peers(text).into_iter();
    peers
        .map(|(name, places)| (name, places.into_iter().map(|place| place.address).collect()))
        .collect()
}

/// Reads one text as each of the answers whose readers return little. Returns the number of partitions without a node,
/// if the text is an answer to `replicas`.
pub fn texts(text: &str) -> Option<usize> {
    let _ = (cluster_size(text), error_code(text), in_text(text));
    let namespaces: Vec<String> = text
        .split(';')
        .filter_map(|entry| Some(entry.split_once(':')?.0.to_owned()))
        .collect();
    let holes = holes(&[Answers::of(&[("replicas", text)])], &namespaces);
    Part::parse(text).ok()?;
    Some(holes.iter().map(|(_, count)| count).sum())
}
