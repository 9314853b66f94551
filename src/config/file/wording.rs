//! How a fault shows names and values: in quotes, cut to a readable length. And the known name that is nearest to a
//! misspelt one.

/// Longer values are cut in faults.
const SHOWN_CHARS_MAX: usize = 80;

/// A cure that names the nearest known name, or all of them.
pub fn did_you_mean(name: &str, known: &[&str], all: &str) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("{all}: {}", known.join(", ")),
    }
}

/// The known name that is meant by this misspelt one.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let distance = |each: &&str| strsim::damerau_levenshtein(&name, each);
    let nearest = known.iter().copied().min_by_key(distance)?;
    (distance(&nearest) <= (name.chars().count() / 3).clamp(1, 3)).then_some(nearest)
}

/// `text` in quotes, escaped, cut to a readable length.
pub fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

/// The parts of a list that is written as one string, each in quotes. The whole text if it is not a list of names.
pub fn listed(text: &str) -> String {
    let is_name = |part: &&str| {
        part.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let parts: Vec<&str> = text.split([',', ';', ' ']).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || text.chars().count() > SHOWN_CHARS_MAX || !parts.iter().all(is_name) {
        return quoted(text);
    }
    parts.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

pub fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// `parent.name`; the name is in quotes if it is not a bare key.
pub fn joined(parent: &str, name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let name = if bare { name.to_owned() } else { quoted(name) };
    if parent.is_empty() {
        name
    } else {
        format!("{parent}.{name}")
    }
}
