// SPDX-License-Identifier: GPL-2.0

//! Passes the linker script to builds for the machine.

fn main() {
    println!("cargo:rerun-if-changed=guest.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
        println!("cargo:rustc-link-arg-bins=-T{folder}/guest.ld");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
    }
}
