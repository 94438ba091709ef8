// SPDX-License-Identifier: GPL-2.0

//! Paths of nodes, as `docs/misc/xenstore.txt` of Xen has them.

use core::fmt;
use xen_abi::io::xs_wire::{ABS_PATH_MAX, REL_PATH_MAX};

/// A path that the daemon would take.
///
/// It consists of names of ASCII letters, digits and `-`, `_`, `@`, with single slashes between. It
/// starts with a slash, or else is relative to the domain's home. It is at most 3072 bytes long,
/// a relative one 2048.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path<'a>(&'a str);

/// Why something is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It is empty.
    Empty,
    /// It is too long.
    TooLong,
    /// It has a byte that no name has.
    BadByte(u8),
    /// It has an empty name: two slashes in a row, or one at the end.
    EmptyName,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPath::Empty => f.write_str("the path is empty"),
            BadPath::TooLong => f.write_str("the path is too long"),
            BadPath::BadByte(byte) => write!(f, "the path has the byte {byte:#x}"),
            BadPath::EmptyName => f.write_str("the path has an empty name"),
        }
    }
}

impl core::error::Error for BadPath {}

impl<'a> Path<'a> {
    /// Checks a path.
    pub fn new(bytes: &'a [u8]) -> Result<Path<'a>, BadPath> {
        let (most, names) = match bytes {
            [] => return Err(BadPath::Empty),
            [b'/', names @ ..] => (ABS_PATH_MAX, names),
            names => (REL_PATH_MAX, names),
        };
        if bytes.len() > most {
            return Err(BadPath::TooLong);
        }
        let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@".contains(&byte);
        // The root alone has no name at all.
        if !names.is_empty() {
            for name in names.split(|byte| *byte == b'/') {
                if name.is_empty() {
                    return Err(BadPath::EmptyName);
                }
                if let Some(byte) = name.iter().find(|byte| !is_in_name(**byte)) {
                    return Err(BadPath::BadByte(*byte));
                }
            }
        }
        match core::str::from_utf8(bytes) {
            Ok(path) => Ok(Path(path)),
            // Cannot be, all bytes are ASCII; but that is no reason to panic.
            Err(_) => Err(BadPath::BadByte(0x80)),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether it starts at the root.
    pub fn is_absolute(&self) -> bool {
        self.0.starts_with('/')
    }

    /// Its names, from the top down.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &'a str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// What is left of the path below `parent`, if it lies there or is it.
    pub fn below(&self, parent: Path<'_>) -> Option<&'a str> {
        let rest = self.0.strip_prefix(parent.0)?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(rest),
            None if rest.is_empty() || parent.0 == "/" => Some(rest),
            None => None,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn path(text: &str) -> Path<'_> {
        Path::new(text.as_bytes()).expect("a path")
    }

    #[test]
    fn names_are_separated_by_single_slashes() {
        let vbd = path("/local/domain/1/device/vbd/51712");
        let names: Vec<&str> = vbd.names().collect();
        assert_eq!(names, ["local", "domain", "1", "device", "vbd", "51712"]);
        assert_eq!(vbd.as_str(), "/local/domain/1/device/vbd/51712");
        assert_eq!(vbd.to_string(), vbd.as_str());
        assert!(vbd.is_absolute());
        assert!(!path("device/vbd").is_absolute());
        assert!(path("@releaseDomain").names().eq(["@releaseDomain"]));
        assert_eq!(path("/").names().count(), 0);
    }

    #[test]
    fn what_the_daemon_would_not_take_is_no_path() {
        let bad: [(&[u8], BadPath); 7] = [
            (b"", BadPath::Empty),
            (b"//", BadPath::EmptyName),
            (b"/a/", BadPath::EmptyName),
            (b"a//b", BadPath::EmptyName),
            (b"/a b", BadPath::BadByte(b' ')),
            (b"/a\0", BadPath::BadByte(0)),
            (b"/\xc3\xa4", BadPath::BadByte(0xc3)),
        ];
        for (bytes, why) in bad {
            assert_eq!(Path::new(bytes), Err(why));
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_with_the_path() {
        for (why, text) in [
            (BadPath::Empty, "the path is empty"),
            (BadPath::TooLong, "the path is too long"),
            (BadPath::BadByte(0x20), "the path has the byte 0x20"),
            (BadPath::EmptyName, "the path has an empty name"),
        ] {
            assert_eq!(why.to_string(), text);
        }
    }

    #[test]
    fn lengths_are_limited() {
        let mut bytes = vec![b'a'; ABS_PATH_MAX + 1];
        assert!(Path::new(&bytes[..REL_PATH_MAX]).is_ok());
        let too_long = Err(BadPath::TooLong);
        assert_eq!(Path::new(&bytes[..REL_PATH_MAX + 1]), too_long);
        bytes[0] = b'/';
        assert!(Path::new(&bytes[..ABS_PATH_MAX]).is_ok());
        assert_eq!(Path::new(&bytes), too_long);
    }

    #[test]
    fn a_path_lies_below_whole_names_only() {
        let parent = path("/local/domain/1");
        assert_eq!(path("/local/domain/1/a/b").below(parent), Some("a/b"));
        assert_eq!(path("/local/domain/1").below(parent), Some(""));
        assert_eq!(path("/local/domain/10").below(parent), None);
        assert_eq!(path("/local").below(path("/")), Some("local"));
    }
}
