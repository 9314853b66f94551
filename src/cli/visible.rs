//! Text of others (names in messages, names of files) on a terminal or in a comment: on one line, and as what it is.

/// Whether a character is seen as itself. Not so: control characters, marks that turn the direction of the text, and
/// everything that has no width.
pub(super) fn is_visible(c: char) -> bool {
    let is_hidden = c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    !is_hidden
}

/// The text with escapes in place of what is not visible. A terminal obeys none of it.
pub(super) fn visible(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        if is_visible(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
    }
    safe
}
