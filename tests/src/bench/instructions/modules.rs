// SPDX-License-Identifier: GPL-2.0

//! Where a kernel has its modules.

use anyhow::{Context, Result, ensure};

use crate::Place;

/// The modules of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modules(Vec<Module>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Module {
    name: String,
    start: u64,
    len: u64,
}

impl Modules {
    /// Asks a kernel.
    ///
    /// # Errors
    ///
    /// If it does not say.
    pub fn read(place: &Place) -> Result<Self> {
        let text = place.sh("echo 0 > /proc/sys/kernel/kptr_restrict; cat /proc/modules")?;
        Self::parse(&text).with_context(|| format!("{}: /proc/modules", place.name()))
    }

    /// Reads a text as of `/proc/modules`: name, bytes, users, their names, state, address.
    pub fn parse(text: &str) -> Result<Self> {
        let modules = text.lines().map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let [name, len, _, _, _, start, ..] = words[..] else {
                return None;
            };
            let start = u64::from_str_radix(start.strip_prefix("0x")?, 16).ok()?;
            Some(Module {
                name: name.to_owned(),
                start,
                len: len.parse().ok()?,
            })
        });
        let modules = modules
            .collect::<Option<Vec<_>>>()
            .with_context(|| format!("no list of modules: {text}"))?;
        ensure!(
            modules.iter().all(|module| module.start != 0),
            "the kernel does not tell where its modules are"
        );
        Ok(Self(modules))
    }

    /// The module that an address belongs to. A module's parts lie in several pieces, of which the first is its code; its
    /// size is that of all.
    pub fn at(&self, address: u64) -> Option<&str> {
        let before = self.0.iter().filter(|module| module.start <= address);
        let module = before.max_by_key(|module| module.start)?;
        (address - module.start < module.len).then_some(module.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_belong_to_the_module_that_begins_before_them() {
        let text = "b 4096 1 a, Live 0xffffffffc0002000\n\
                    a 40960 0 - Live 0xffffffffc0000000 (OE)\n";
        let modules = Modules::parse(text).unwrap();
        assert_eq!(modules.at(0xffff_ffff_c000_1fff), Some("a"));
        // What is behind a module's code belongs to the next one, whatever its size.
        assert_eq!(modules.at(0xffff_ffff_c000_2000), Some("b"));
        assert_eq!(modules.at(0xffff_ffff_c000_3000), None);
        assert_eq!(modules.at(0xffff_ffff_bfff_ffff), None);
        assert_eq!(Modules::default().at(1), None);
    }

    #[test]
    fn hidden_addresses_are_an_error() {
        assert!(Modules::parse("a 4096 0 - Live 0x0000000000000000\n").is_err());
        assert!(Modules::parse("a 4096\n").is_err());
    }
}
