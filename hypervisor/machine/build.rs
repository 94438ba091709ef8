// SPDX-License-Identifier: GPL-2.0

//! Names the linker script of the hypervisor's own binary, which host builds need not, and the compiler, which the
//! toolstack is told.

use std::process::Command;

fn main() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let said = Command::new(compiler).arg("--version").output();
    let version = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let version = version.unwrap_or_else(|_| "rustc".into());
    println!("cargo:rustc-env=PARAVANE_COMPILER={version}");
    println!("cargo:rerun-if-changed=hypervisor.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
        println!("cargo:rustc-link-arg-bins=-T{folder}/hypervisor.ld");
        println!("cargo:rustc-link-arg-bins=-zmax-page-size=4096");
        println!("cargo:rustc-link-arg-bins=--build-id=sha1");
    }
}
