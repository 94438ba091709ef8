// SPDX-License-Identifier: GPL-2.0

//! The guest's command line.

/// The parsed command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `seed=N`: the seed of all random numbers.
    pub seed: u64,
    /// `calls=N`: number of random hypercalls.
    pub calls: u64,
    /// `end=N`: how it ends.
    pub end: End,
    /// The machine's memory in MiB, `memory=N`.
    pub memory: u64,
    /// Whether it has PCI's configuration ports, as dom0 has, `devices=N`. Where there are none, ports read as ones.
    pub devices: bool,
    /// Whether the hypervisor's image is at addresses where it has no memory, as for dom0, `image=N`.
    pub image: bool,
}

/// How the guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// An exception with an empty IDT.
    TripleFault,
    /// Clears CR4.PAE in long mode: a fault on a real processor, the end on QEMU's.
    NoPhysicalExtension,
    /// CR0.PG without CR0.PE: a fault on a real processor, the end on QEMU's.
    NoProtection,
    /// Reserved bits of CR4: a fault on a real processor, the end on QEMU's.
    ControlBits,
    /// Reserved bits of DR7: a fault on a real processor, the end on QEMU's.
    DebugBits,
    /// XCHG with an emulated register.
    ExchangeWithDevice,
    /// A jump to an address without memory.
    Nowhere,
}

impl End {
    /// Number of variants.
    pub const COUNT: u64 = 7;

    /// The variant of a number, modulo their count.
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
    /// Parses a command line; unknown words are ignored.
    pub fn parse(line: &str) -> Self {
        let mut options = Self {
            seed: 1,
            calls: 10_000,
            memory: 1024,
            end: End::TripleFault,
            devices: true,
            image: true,
        };
        for word in line.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let Ok(value) = value.parse() else { continue };
            match name {
                "seed" => options.seed = value,
                "calls" => options.calls = value,
                "memory" => options.memory = value,
                "end" => options.end = End::of(value),
                "devices" => options.devices = value != 0,
                "image" => options.image = value != 0,
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
        assert!(options.devices && !Options::parse("devices=0").devices);
        assert!(options.image && !Options::parse("image=0").image);
        assert_eq!((options.seed, options.calls, options.memory), (77, 5, 1024));
    }
}
