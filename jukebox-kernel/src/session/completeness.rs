//! Whether a cell can be run as it stands, or more lines are to come: for consoles that run on Enter.

use ra_ap_syntax::{Edition, SyntaxKind, T};

/// What Enter should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    Complete,
    /// A bracket, a string or a comment is open.
    Incomplete,
    /// A bracket closes that was not open.
    Invalid,
}

/// Looks at brackets, strings and comments only: the compiler judges the rest.
pub fn completeness(code: &str) -> Completeness {
    let lexed = ra_ap_syntax::ast::SourceFile::parse(code, Edition::Edition2024);
    let mut open = Vec::new();
    for token in lexed
        .syntax_node()
        .descendants_with_tokens()
        .filter_map(|node| node.into_token())
    {
        match token.kind() {
            kind @ (T!['('] | T!['['] | T!['{']) => open.push(kind),
            T![')'] if open.pop() != Some(T!['(']) => return Completeness::Invalid,
            T![']'] if open.pop() != Some(T!['[']) => return Completeness::Invalid,
            T!['}'] if open.pop() != Some(T!['{']) => return Completeness::Invalid,
            SyntaxKind::STRING if !is_closed_string(token.text()) => {
                return Completeness::Incomplete;
            }
            SyntaxKind::COMMENT
                if token.text().starts_with("/*") && !token.text().ends_with("*/") =>
            {
                return Completeness::Incomplete;
            }
            _ => {}
        }
    }
    if open.is_empty() {
        Completeness::Complete
    } else {
        Completeness::Incomplete
    }
}

fn is_closed_string(text: &str) -> bool {
    let inner = text.trim_start_matches(['r', 'b', 'c', '#']);
    let end = inner.trim_end_matches('#');
    end.len() > 1 && end.ends_with('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_strings_and_comments() {
        for (code, expected) in [
            ("1 + 1", Completeness::Complete),
            ("let x = vec![1, (2)];", Completeness::Complete),
            ("for i in 0..3 {", Completeness::Incomplete),
            ("f(1,", Completeness::Incomplete),
            ("\"abc", Completeness::Incomplete),
            ("\"abc\" /* note", Completeness::Incomplete),
            ("1)", Completeness::Invalid),
        ] {
            assert_eq!(completeness(code), expected, "{code}");
        }
    }
}
