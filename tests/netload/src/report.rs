// SPDX-License-Identifier: GPL-2.0

//! A line of `name=value` words: what a measurement prints, and what the two ends tell each other.

use std::fmt;
use std::io;
use std::str::FromStr;

/// Words in the order they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line(Vec<(String, String)>);

impl Line {
    /// Adds a word; the value must have no space in it.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds all words of another line.
    #[must_use]
    pub fn and(mut self, other: Line) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The value of a word.
    pub fn get<T: FromStr>(&self, name: &str) -> io::Result<T> {
        self.0
            .iter()
            .find(|(is, _)| is == name)
            .and_then(|(_, value)| value.parse().ok())
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("no {name} in the line {self}"),
                )
            })
    }

    /// What stands in a `corrupt` word, if there is one and it is neither 0 nor `none`.
    pub fn wrong_content(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, value)| name == "corrupt" && value != "0" && value != "none")
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.0.iter().enumerate() {
            let space = if number > 0 { " " } else { "" };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Line {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        text.split_whitespace()
            .map(|word| {
                let (name, value) = word.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a strange line: {text}"),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_written() {
        let line = Line::default().with("bytes", 12).with("corrupt", "none");
        assert_eq!(line.to_string(), "bytes=12 corrupt=none");
        let read: Line = line.to_string().parse().unwrap();
        assert_eq!(read, line);
        assert_eq!(read.get::<u64>("bytes").unwrap(), 12);
        assert!(read.get::<u64>("corrupt").is_err() && read.get::<u64>("other").is_err());
        assert!("no words".parse::<Line>().is_err());
    }

    #[test]
    fn wrong_content_is_what_is_neither_none_nor_nothing() {
        let line = |value: &str| Line::default().with("corrupt", value);
        assert_eq!(line("0").wrong_content(), None);
        assert_eq!(line("none").wrong_content(), None);
        assert_eq!(line("4096").wrong_content(), Some("4096"));
        assert_eq!(Line::default().wrong_content(), None);
    }
}
