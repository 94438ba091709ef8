// SPDX-License-Identifier: GPL-2.0

//! Do the Rust symbols that a kernel exports match the metadata that was made for it?
//!
//! A mangled Rust name holds a hash of the compiler and of the crate. Where one differs, a module would not load; modpost
//! finds that, because it compares what modules need with the kernel's own `Module.symvers`.

/// Whether the kernel image itself exports Rust symbols, by its `Module.symvers`: without any it loads no Rust module.
pub fn are_exported(symvers: &str) -> bool {
    symvers.lines().any(|line| {
        let mut fields = line.split('\t').skip(1);
        let symbol = fields.next().unwrap_or_default();
        symbol.starts_with("_R") && fields.next() == Some("vmlinux")
    })
}

/// What follows from modpost's messages if a Rust symbol of the kernel is among those that are not there.
pub fn mismatch(messages: &str) -> Option<&'static str> {
    let undefined = messages
        .lines()
        .any(|line| line.contains("modpost: \"_R") && line.ends_with("undefined!"));
    undefined.then_some(
        "Rust symbols that the modules need are not among those that the kernel exports: the metadata that they are built \
         against comes from another compiler or configuration than the kernel",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMVERS: &str = "0x00000000\tgnttab_grant\tvmlinux\tEXPORT_SYMBOL_GPL\t\n\
        0x00000000\t_RNvrust_binder\tdrivers/android/rust_binder\tEXPORT_SYMBOL_GPL\t\n";

    #[test]
    fn only_the_images_rust_symbols_count() {
        assert!(!are_exported(SYMVERS));
        let image = "0x00000000\t_RNvMs_kernel4page\tvmlinux\tEXPORT_SYMBOL_GPL\t\n";
        assert!(are_exported(&format!("{SYMVERS}{image}")));
    }

    #[test]
    fn a_missing_rust_symbol_is_explained_and_a_missing_c_symbol_is_not() {
        let c = "ERROR: modpost: \"gnttab_grant\" [xen_rs.ko] undefined!";
        assert_eq!(mismatch(c), None);
        let rust = format!("{c}\nERROR: modpost: \"_RNvMs_4page\" [xen_rs.ko] undefined!\n");
        assert!(mismatch(&rust).is_some_and(|why| why.contains("another compiler")));
    }
}
