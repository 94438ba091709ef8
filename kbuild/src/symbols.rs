// SPDX-License-Identifier: GPL-2.0

//! Do the Rust symbols that a kernel exports match the metadata made for it?
//!
//! A mangled Rust name holds a hash of the compiler and of the crate. If one name differs, a module built with
//! our metadata would not load, or worse, would see another layout; so none may differ.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

/// The Rust symbols of a `Module.symvers` that come from the kernel image itself.
pub fn exported(symvers: &str) -> BTreeSet<&str> {
    symvers
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let (_crc, symbol, module) = (fields.next()?, fields.next()?, fields.next()?);
            (symbol.starts_with("_R") && module == "vmlinux").then_some(symbol)
        })
        .collect()
}

/// The symbols that `nm --defined-only` lists.
pub fn defined(nm: &str) -> BTreeSet<&str> {
    nm.lines()
        .filter_map(|line| line.rsplit(' ').next())
        .filter(|name| name.starts_with("_R"))
        .collect()
}

/// Fails with a list unless all that the kernel exports was built here under the same names.
pub fn check(release: &str, exported: &BTreeSet<&str>, defined: &BTreeSet<&str>) -> Result<()> {
    if exported.is_empty() {
        bail!("the kernel {release} exports no Rust symbol: it cannot load Rust modules");
    }
    let missing: Vec<_> = exported.difference(defined).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = missing
        .iter()
        .take(10)
        .map(|name| format!("    {name}"))
        .collect();
    let more = missing.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!("\n    … and {more} more")
    } else {
        String::new()
    };
    bail!(
        "{} of the {} Rust symbols that the kernel {release} exports are not what its source builds here:\n{}{more}\n\
         Modules built with this metadata would not load. The compiler or the configuration differs from the one the kernel was \
         built with",
        missing.len(),
        exported.len(),
        shown.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMVERS: &str = "0x00000000\t_RNvMs_kernel4page\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
        0x00000000\tgnttab_grant\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
        0x00000000\t_RNvrust_binder\tdrivers/android/rust_binder\tEXPORT_SYMBOL_GPL\t\n";

    #[test]
    fn only_the_images_rust_symbols_count() {
        assert_eq!(exported(SYMVERS), BTreeSet::from(["_RNvMs_kernel4page"]));
        let nm = "0000000000000000 T _RNvMs_kernel4page\n                 U memcpy\n0000000000000010 t helper\n";
        assert_eq!(defined(nm), BTreeSet::from(["_RNvMs_kernel4page"]));
    }

    #[test]
    fn a_difference_is_listed() {
        let ours = BTreeSet::from(["_Ra", "_Rb"]);
        assert!(check("r", &BTreeSet::from(["_Ra"]), &ours).is_ok());
        let error = check("r", &BTreeSet::from(["_Ra", "_Rc"]), &ours)
            .unwrap_err()
            .to_string();
        assert!(error.contains("1 of the 2") && error.contains("_Rc") && !error.contains("_Ra\n"));
        assert!(check("r", &BTreeSet::new(), &ours).is_err());
    }
}
