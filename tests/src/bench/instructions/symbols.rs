// SPDX-License-Identifier: GPL-2.0

//! The names of what was executed: functions of the hypervisor and of the kernels, by their addresses.

use anyhow::{Context, Result, ensure};

use super::owner::Owner;
use crate::Place;

/// Makes a kernel tell addresses.
const TELL: &str = "echo 0 > /proc/sys/kernel/kptr_restrict";

/// A kernel's or the hypervisor's functions by their addresses.
#[derive(Clone, Debug, Default)]
pub struct Symbols(Vec<Symbol>);

/// A function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Symbol {
    address: u64,
    name: String,
    /// The module that it is in.
    module: Option<String>,
}

impl Symbols {
    /// Reads a text as of `/proc/kallsyms` or xenfs' `xensyms`: address, kind, name, and a module's name in brackets.
    ///
    /// # Errors
    ///
    /// If it is another text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut symbols = Vec::new();
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [address, kind, name, ref module @ ..] = words[..] else {
                anyhow::bail!("no symbol: {line}");
            };
            // Text, weak or not.
            if !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            let module = module.first().map(|name| name.trim_matches(['[', ']']));
            symbols.push(Symbol {
                address: u64::from_str_radix(address, 16).with_context(|| line.to_owned())?,
                name: name.to_owned(),
                module: module.map(str::to_owned),
            });
        }
        symbols.sort();
        Ok(Self(symbols))
    }

    /// The function that an address belongs to, and how far behind its beginning the address is, in bytes.
    pub fn at(&self, address: u64) -> Option<(&str, u64)> {
        let symbol = self.before(address)?;
        Some((&symbol.name, address - symbol.address))
    }

    /// The frames of an address in a folded stack: the module, if it is in one, and the function.
    fn frames(&self, address: u64) -> Option<String> {
        let Symbol { name, module, .. } = self.before(address)?;
        Some(match module {
            Some(module) => format!("{module};{name}"),
            None => name.clone(),
        })
    }

    fn before(&self, address: u64) -> Option<&Symbol> {
        let after = self.0.partition_point(|symbol| symbol.address <= address);
        self.0.get(after.checked_sub(1)?)
    }
}

/// The names that hold from a machine's boot on.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    hypervisor: Symbols,
    /// The kernel without its modules, which all domains have.
    kernel: Symbols,
}

impl Fixed {
    /// Asks dom0 for its kernel's functions and Xen's, which xenfs tells.
    ///
    /// # Errors
    ///
    /// If it does not say, as a kernel without `CONFIG_XEN_SYMS` does not.
    pub fn read(dom0: &Place) -> Result<Self> {
        let kernel = dom0.sh(&format!("{TELL}; grep -v '\\[' /proc/kallsyms"))?;
        let xen = dom0.sh(
            "if [ -e /proc/xen/xensyms ]; then cat /proc/xen/xensyms; else \
             mount -t xenfs xenfs /proc/xen && cat /proc/xen/xensyms; umount /proc/xen; fi",
        )?;
        let hypervisor = Symbols::parse(&xen).context("/proc/xen/xensyms")?;
        ensure!(
            !hypervisor.0.is_empty(),
            "Xen named none of its functions: the kernel needs CONFIG_XEN_SYMS"
        );
        let kernel = Symbols::parse(&kernel).context("dom0: /proc/kallsyms")?;
        Ok(Self { hypervisor, kernel })
    }
}

/// The names at the time of an interval: besides the fixed ones those of modules, which lie behind the kernel.
#[derive(Clone, Debug)]
pub struct Names<'f> {
    fixed: &'f Fixed,
    dom0: Symbols,
    domain: Symbols,
}

impl<'f> Names<'f> {
    /// Asks dom0 and the domain whose driver is profiled for the functions of their modules.
    ///
    /// # Errors
    ///
    /// If one does not say.
    pub fn read(fixed: &'f Fixed, dom0: &Place, domain: &Place) -> Result<Self> {
        // A guest's line is slow: only the functions of Xen's modules.
        let symbols = |place: &Place| {
            let functions = "grep ' [tTwW] .*\\[xen' /proc/kallsyms || true";
            let modules = place.sh(&format!("{TELL}; {functions}"))?;
            Symbols::parse(&modules).with_context(|| format!("{}: /proc/kallsyms", place.name()))
        };
        Ok(Self {
            fixed,
            dom0: symbols(dom0)?,
            domain: symbols(domain)?,
        })
    }

    /// The frames of an address of an owner's. A program's functions have no names: an address to 256 bytes stands for
    /// a function or two.
    pub fn frames(&self, owner: Owner, address: u64) -> String {
        let kernel = &self.fixed.kernel;
        let frames = match owner {
            Owner::Driver | Owner::Kernel => frames_of([&self.domain, kernel], address),
            Owner::Dom0 => frames_of([&self.dom0, kernel], address),
            Owner::Hypervisor => self.fixed.hypervisor.frames(address),
            Owner::Programs => return format!("{:x}", address & !0xff),
        };
        frames.unwrap_or_else(|| "unknown".to_owned())
    }

    /// The functions of modules of the domain whose driver is profiled.
    pub fn domain(&self) -> &Symbols {
        &self.domain
    }
}

/// The frames of an address by the first that has a function before it: modules come before the kernel.
fn frames_of([modules, kernel]: [&Symbols; 2], address: u64) -> Option<String> {
    modules.frames(address).or_else(|| kernel.frames(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ffffffff81000000 T first\n\
                        ffffffff81000040 t second\n\
                        ffffffff81000050 d datum\n\
                        ffffffffc0001000 t third\t[module]\n";

    #[test]
    fn addresses_belong_to_the_function_that_begins_before_them() {
        let symbols = Symbols::parse(TEXT).unwrap();
        assert_eq!(symbols.at(0xffff_ffff_8100_003f), Some(("first", 0x3f)));
        assert_eq!(symbols.at(0xffff_ffff_8100_0060), Some(("second", 0x20)));
        assert_eq!(symbols.at(0xffff_ffff_8000_0000), None);
        assert!(Symbols::parse("nothing\n").is_err());
    }

    #[test]
    fn each_owner_has_names_of_its_own() {
        let fixed = Fixed {
            hypervisor: Symbols::parse("ffff82d040200000 T do_sched_op\n").unwrap(),
            kernel: Symbols::parse("ffffffff81000000 T first\n").unwrap(),
        };
        let names = Names {
            fixed: &fixed,
            dom0: Symbols::parse("ffffffffc0001000 t other [xen_blkback]\n").unwrap(),
            domain: Symbols::parse("ffffffffc0001000 t third [module]\n").unwrap(),
        };
        let module = 0xffff_ffff_c000_1001;
        assert_eq!(names.frames(Owner::Driver, module), "module;third");
        assert_eq!(names.frames(Owner::Dom0, module), "xen_blkback;other");
        for owner in [Owner::Kernel, Owner::Dom0] {
            assert_eq!(names.frames(owner, 0xffff_ffff_8100_0000), "first");
        }
        let xen = names.frames(Owner::Hypervisor, 0xffff_82d0_4020_0001);
        assert_eq!(xen, "do_sched_op");
        assert_eq!(names.frames(Owner::Hypervisor, 1), "unknown");
        assert_eq!(names.frames(Owner::Programs, 0x40_1234), "401200");
    }
}
