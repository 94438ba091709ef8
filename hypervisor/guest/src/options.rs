// SPDX-License-Identifier: GPL-2.0

//! The guest's command line.

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `seed=N`: what everything follows from.
    pub seed: u64,
    /// `calls=N`: how many random hypercalls are made.
    pub calls: u64,
    /// `end=N`: how it ends.
    pub end: End,
    /// The machine's memory in MiB, `memory=N`.
    pub memory: u64,
}

/// A guest's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An exception without a table of exceptions.
    TripleFault,
    /// Long mode's tables are not what is written to CR4: a fault on a real processor, the end on QEMU's.
    NoPhysicalExtension,
    /// Paging without protection, in CR0: the same.
    NoProtection,
    /// Bits that CR4 does not have: the same.
    ControlBits,
    /// Bits that DR7 does not have: the same.
    DebugBits,
    /// An exchange with an emulated register.
    ExchangeWithDevice,
    /// It jumps to where nothing is.
    Nowhere,
}

impl End {
    /// How many there are.
    pub const COUNT: u64 = 7;

    /// The one with a number, counted round and round.
    pub fn of(number: u64) -> Self {
        match number % Self::COUNT {
            0 => Self::TripleFault,
            1 => Self::NoPhysicalExtension,
            2 => Self::NoProtection,
            3 => Self::ExchangeWithDevice,
            4 => Self::ControlBits,
            5 => Self::DebugBits,
            _ => Self::Nowhere,
        }
    }
}

impl Options {
    /// Reads a command line; other words are somebody else's.
    pub fn parse(line: &str) -> Self {
        let mut options = Self {
            seed: 1,
            calls: 10_000,
            memory: 1024,
            end: End::TripleFault,
        };
        for word in line.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let Ok(value) = value.parse() else { continue };
            match name {
                "seed" => options.seed = value,
                "calls" => options.calls = value,
                "memory" => options.memory = value,
                "end" => options.end = End::of(value),
                _ => {}
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_order() {
        let options = Options::parse("console=hvc0 calls=5  seed=77 seed=x memory=");
        assert_eq!(Options::parse("end=10").end, End::ExchangeWithDevice);
        assert_eq!((options.seed, options.calls, options.memory), (77, 5, 1024));
    }
}
