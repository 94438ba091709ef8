// SPDX-License-Identifier: GPL-2.0

//! Which seeds are run, and for how long.

use std::env;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

/// The variable that names other seeds, or a time.
const VARIABLE: &str = "PARAVANE_SEEDS";

/// Seeds to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// These.
    Range(Range<u64>),
    /// New ones each time, until so much time is over.
    For(Duration),
}

impl Seeds {
    /// What the variable asks for, or else these.
    pub fn or_asked_for(self) -> Result<Self> {
        match env::var(VARIABLE) {
            Err(_) => Ok(self),
            Ok(text) => parse(&text).with_context(|| {
                format!(
                    "{VARIABLE} has to be two numbers or a time, as in 17..18 or 3h, not {text:?}"
                )
            }),
        }
    }

    /// The first of them, and all of them. An iterator that is not asked for the next seed when the time is over ends.
    pub fn run(self) -> Result<(u64, impl Iterator<Item = u64>)> {
        let (seeds, limit) = match self {
            Self::Range(seeds) => (seeds, None),
            Self::For(time) => {
                let first = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
                (first..u64::MAX, Some(Instant::now() + time))
            }
        };
        let first = seeds.start;
        let is_time = move |_: &u64| limit.is_none_or(|limit| Instant::now() < limit);
        Ok((first, seeds.take_while(is_time)))
    }
}

/// Whether somebody asks for certain seeds, and so for all that is known about them.
pub fn seeds_are_named() -> bool {
    env::var(VARIABLE).is_ok_and(|text| text.contains(".."))
}

fn parse(text: &str) -> Result<Seeds> {
    let Some((first, end)) = text.split_once("..") else {
        return time(text).map(Seeds::For);
    };
    let seeds = first.trim().parse()?..end.trim().parse()?;
    ensure!(!seeds.is_empty(), "the second number is not larger");
    Ok(Seeds::Range(seeds))
}

/// A number with its unit.
fn time(text: &str) -> Result<Duration> {
    let text = text.trim();
    for (unit, seconds) in [('s', 1), ('m', 60), ('h', 3600)] {
        if let Some(number) = text.strip_suffix(unit) {
            let number: u64 = number.parse()?;
            return Ok(Duration::from_secs(number.saturating_mul(seconds)));
        }
    }
    bail!("the unit is none of s, m and h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_times_are_read() {
        assert_eq!(parse("17..19").unwrap(), Seeds::Range(17..19));
        assert_eq!(parse("90s").unwrap(), Seeds::For(Duration::from_secs(90)));
        assert_eq!(
            parse(" 3h").unwrap(),
            Seeds::For(Duration::from_secs(10800))
        );
        for bad in ["17", "19..17", "a..b", "5..5", "", "h", "3d", "-3h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seeds_end_when_they_are_used_or_when_time_is_over() {
        let (first, seeds) = Seeds::Range(3..5).run().unwrap();
        assert_eq!((first, seeds.collect::<Vec<_>>()), (3, vec![3, 4]));
        let (first, mut seeds) = Seeds::For(Duration::from_secs(60)).run().unwrap();
        assert_eq!(seeds.next(), Some(first));
        let (_, mut seeds) = Seeds::For(Duration::ZERO).run().unwrap();
        assert_eq!(seeds.next(), None);
    }
}
