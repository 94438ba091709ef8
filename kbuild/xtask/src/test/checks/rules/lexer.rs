// SPDX-License-Identifier: GPL-2.0

//! Takes a source file in Rust apart, as far as the rules need it: what is code, what is a comment.

/// A source file without its strings.
pub struct Lexed {
    /// The text with a space for each byte of a comment or of what is in quotes; lines are those of the file.
    pub code: String,
    /// Its comments. Those that begin with `//` in lines that follow each other are one.
    pub comments: Vec<Comment>,
}

/// A comment, or several that begin with `//` in lines that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Comment {
    /// The line it begins in, counted from 1.
    pub line: usize,
    /// Its text without the marks, a line for each line.
    pub text: String,
}

/// Takes a file apart. What does not end, such as a string, ends with the file.
pub fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        text,
        at: 0,
        code: String::with_capacity(text.len()),
        comments: Vec::new(),
        line: 1,
        ends_in: 0,
    };
    while let Some(c) = lexer.peek() {
        lexer.token(c);
    }
    Lexed {
        code: lexer.code,
        comments: lexer.comments,
    }
}

struct Lexer<'t> {
    text: &'t str,
    /// How far it has come, in bytes.
    at: usize,
    code: String,
    comments: Vec<Comment>,
    line: usize,
    /// The line in which the last `//` comment ended, if only space has followed it.
    ends_in: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn token(&mut self, c: char) {
        let rest = self.rest();
        if rest.starts_with("//") {
            let len = rest.find('\n').unwrap_or(rest.len());
            self.line_comment(&rest[..len]);
            return self.blank(len);
        }
        if rest.starts_with("/*") {
            let len = block_comment(rest);
            self.comments.push(Comment {
                line: self.line,
                text: rest[..len]
                    .trim_start_matches("/*")
                    .trim_end_matches("*/")
                    .to_owned(),
            });
            return self.blank(len);
        }
        if !c.is_whitespace() {
            self.ends_in = 0;
        }
        if c.is_alphabetic() || c == '_' {
            let len = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(len);
            let has_quotes = after.starts_with(['"', '#']);
            if has_quotes && ["r", "br", "cr"].contains(&word) {
                if let Some(string) = raw_string(after) {
                    self.code(len);
                    return self.blank(string);
                }
            }
            return self.code(len);
        }
        match c {
            '"' => self.blank(quoted(rest, '"')),
            '\'' => match character(rest) {
                Some(len) => self.blank(len),
                // A lifetime.
                None => self.code(1),
            },
            c => self.code(c.len_utf8()),
        }
    }

    fn line_comment(&mut self, text: &str) {
        let text = text.trim_start_matches('/').trim_start_matches('!');
        match self.comments.last_mut() {
            Some(last) if self.ends_in > 0 && self.ends_in + 1 == self.line => {
                last.text.push('\n');
                last.text.push_str(text);
            }
            _ => self.comments.push(Comment {
                line: self.line,
                text: text.to_owned(),
            }),
        }
        self.ends_in = self.line;
    }

    /// So many bytes are code.
    fn code(&mut self, len: usize) {
        let text = &self.text[self.at..self.at + len];
        self.line += text.matches('\n').count();
        self.code.push_str(text);
        self.at += len;
    }

    /// So many bytes are none.
    fn blank(&mut self, len: usize) {
        for byte in self.text[self.at..self.at + len].bytes() {
            self.line += usize::from(byte == b'\n');
            self.code.push(if byte == b'\n' { '\n' } else { ' ' });
        }
        self.at += len;
    }
}

/// The length of a `/*` comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += next.len_utf8();
        }
    }
    text.len()
}

/// The length of a string with escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string after its `r`, if it is one and no raw identifier.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let inside = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &text[..hashes]);
    let len = inside
        .find(&end)
        .map_or(inside.len(), |len| len + end.len());
    Some(hashes + 1 + len)
}

/// The length of a character in quotes, if it is one and no lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = &text[1..];
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(quoted(text, '\''));
    }
    let len = 1 + first.len_utf8();
    text[len..].starts_with('\'').then_some(len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = "let a = \"un\\\"safe // x\"; // unsafe\nlet b = r#\"a \" b\"#; /* c /* d */ e */ f(b'\\'', '\"', b\"g\")\n";
        let lexed = lex(text);
        assert_eq!(lexed.code.len(), text.len());
        let words: Vec<_> = lexed.code.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "let a = ; let b = r ; f(b , , b )",
            "{}",
            lexed.code
        );
        let comments: Vec<_> = lexed.comments.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(comments, [" unsafe", " c /* d */ e "]);
    }

    #[test]
    fn lines_of_a_comment_are_one_comment() {
        let lexed = lex("f();\n    // One\n    // two.\ng(); // Three\n// four.\n\n//! Five\n");
        let comment = |line, text: &str| Comment {
            line,
            text: text.into(),
        };
        assert_eq!(
            lexed.comments,
            [
                comment(2, " One\n two."),
                comment(4, " Three\n four."),
                comment(7, " Five")
            ]
        );
    }

    #[test]
    fn lifetimes_and_raw_identifiers_begin_no_string() {
        let text = "fn r#fn<'a>(r: &'a str) -> Option<&'static str> { 'l: loop { break 'l } }";
        assert_eq!(lex(text).code, text);
    }

    #[test]
    fn what_does_not_end_ends_with_the_file() {
        for text in ["\"a", "r#\"a\"", "/* a", "// a", "'\\"] {
            assert_eq!(lex(text).code.len(), text.len(), "{text}");
        }
    }
}
