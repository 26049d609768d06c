//! Labels: cut to their place, and escaped.

/// `text` in lines of at most `width` characters, cut at spaces where that is not far; what does not fit into `most` lines is
/// left out, and `…` says so.
pub(super) fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut rest: Vec<char> = paragraph.chars().collect();
        while rest.len() > width {
            let space = rest[..=width].iter().rposition(|c| *c == ' ').filter(|at| *at > width / 2);
            let line: String = rest.drain(..space.unwrap_or(width)).collect();
            lines.push(line);
            if space.is_some() {
                rest.remove(0);
            }
            if lines.len() > most {
                break;
            }
        }
        lines.push(rest.iter().collect());
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width.saturating_sub(1)).chain(['…']).collect();
        }
    }
    lines
}

/// At most `most` characters of `text`.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// For the text and the attributes of XML. What XML has no place for becomes U+FFFD.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// For a label of Mermaid, which ends at a `;` or at the end of the line and has entities of its own (`#59;`). Colons are
/// escaped where they could begin a directive (`wrap:`).
pub(super) fn mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let directive = ["wrap:", "nowrap:"].iter().any(|word| first.trim_start().starts_with(word));
    for (number, line) in core::iter::once(first).chain(lines).enumerate() {
        if number > 0 {
            escaped.push_str("<br/>");
        }
        for c in line.chars() {
            match c {
                '#' | ';' | '%' | '<' | '>' | '"' | '&' | '\\' => {
                    escaped.push('#');
                    escaped.push_str(&u32::from(c).to_string());
                    escaped.push(';');
                }
                ':' if directive => escaped.push_str("#58;"),
                c if c.is_control() => escaped.push(' '),
                c => escaped.push(c),
            }
        }
    }
    // An empty label is a syntax error.
    if escaped.trim().is_empty() { "#160;".to_owned() } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_say_when_something_is_missing() {
        assert_eq!(wrap("one two three", 8, 5), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4, 5), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("abcdefghij", 4, 2), ["abcd", "efg…"]);
        assert_eq!(wrap("a\nb", 4, 5), ["a", "b"]);
        assert_eq!(wrap("äöü äöü", 4, 5), ["äöü", "äöü"]);
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("äöü", 3), "äöü");
    }

    #[test]
    fn what_means_something_to_mermaid_is_escaped() {
        assert_eq!(mermaid("a; #1 \"b\" <c> 100%"), "a#59; #35;1 #34;b#34; #60;c#62; 100#37;");
        assert_eq!(mermaid("one\ntwo"), "one<br/>two");
        assert_eq!(mermaid("link: 1"), "link: 1");
        assert_eq!(mermaid("wrap: 1"), "wrap#58; 1");
        assert_eq!(mermaid("\u{7}"), "#160;");
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(xml("<a b=\"c\">&\n\0"), "&lt;a b=&quot;c&quot;&gt;&amp; \u{fffd}");
    }
}
