// SPDX-License-Identifier: GPL-2.0

//! Debian version numbers and their order (Debian Policy 5.6.12).

use std::cmp::Ordering;
use std::fmt;

/// A Debian version, ordered as dpkg orders it.
#[derive(Clone, Debug, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// Takes a version as a package states it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, as the archive has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Epoch, upstream version, Debian revision.
    fn parts(&self) -> (u64, &str, &str) {
        let (epoch, rest) = match self.0.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, self.0.as_str()),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch, upstream, revision)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.parts(), other.parts());
        a.0.cmp(&b.0)
            .then_with(|| compare(a.1, b.1))
            .then_with(|| compare(a.2, b.2))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

/// Compares one part: text and number alternate; in text `~` sorts before the end, letters before the rest.
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        loop {
            let (x, y) = (rank(a.first()), rank(b.first()));
            if x == 0 && y == 0 {
                break;
            }
            if x != y {
                return x.cmp(&y);
            }
            (a, b) = (&a[1..], &b[1..]);
        }
        let (x, y) = (take_number(&mut a), take_number(&mut b));
        // Numbers of any length: without leading zeros, the longer one is the larger one.
        let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
        if order != Ordering::Equal {
            return order;
        }
        if a.is_empty() && b.is_empty() {
            return Ordering::Equal;
        }
    }
}

/// The order of a character of text; 0 is the end of the text, which a digit also is.
fn rank(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|c| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    let zeros = number
        .iter()
        .position(|c| *c != b'0')
        .unwrap_or(number.len());
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordered_as_dpkg_orders() {
        let ascending = [
            "7.2~rc7-1~exp1",
            "7.2.9-1~bpo13+1",
            "7.2.12-1~bpo13+1",
            "7.2.12-1",
            "7.2.12-1+b1",
            "7.2.13-1",
            "7.10-1",
            "1:1.0-1",
        ];
        for pair in ascending.windows(2) {
            let (a, b) = (Version::new(pair[0]), Version::new(pair[1]));
            assert!(a < b, "{a} < {b}");
            assert!(b > a, "{b} > {a}");
        }
        assert_eq!(Version::new("0:1.0-0"), Version::new("1.0"));
        assert_eq!(Version::new("1.007"), Version::new("1.7"));
        assert!(Version::new("1.0+x") > Version::new("1.0a"));
    }
}
