// SPDX-License-Identifier: GPL-2.0

//! Whether the Rust metadata of a kernel of this machine is there, and what to do if it is not. Distributions lay it out
//! differently:
//!
//! - Arch Linux, CachyOS, Armbian, NixOS, and a kernel's own build folder: in the folder that modules are built against;
//! - Ubuntu: in a package of its own, `linux-lib-rust-RELEASE`, to which the headers have a link;
//! - Debian: nowhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The file by which metadata is recognised.
const KERNEL: &str = "rust/libkernel.rmeta";

/// What the build of a module reads besides: other crates, a procedural macro, the target, the configuration's flags.
const OTHERS: [&str; 5] = [
    "rust/libcore.rmeta",
    "rust/libbindings.rmeta",
    "rust/libmacros.so",
    "scripts/target.json",
    "include/generated/rustc_cfg",
];

/// The beginning of the name of Ubuntu's packages and their folders.
const UBUNTU: &str = "linux-lib-rust-";

/// Expects all of it in the folder `build` of the kernel `release`.
///
/// # Errors
///
/// Says what is missing and how to get it.
pub fn check(build: &Path, release: &str) -> Result<()> {
    if build.join(KERNEL).is_file() {
        let missing: Vec<_> = OTHERS
            .iter()
            .filter(|file| !build.join(file).is_file())
            .copied()
            .collect();
        if !missing.is_empty() {
            bail!(
                "the Rust metadata of {release} in {} is not complete: {} is missing. A headers package needs rust/*.rmeta, \
                 rust/*.so, scripts/target.json and include/generated of the build folder",
                build.display(),
                missing.join(", ")
            );
        }
        return Ok(());
    }
    if let Ok(target) = fs::read_link(build.join("rust")) {
        check_link(build, release, &target)?;
    }
    if build.join("rust/kernel/lib.rs").is_file() {
        bail!(
            "{} is a kernel's source without Rust metadata ({KERNEL} is missing): build the kernel there first, or at least \
             run `make modules_prepare`",
            build.display()
        );
    }
    bail!(
        "the headers of {release} come without Rust metadata ({KERNEL} is missing in {}). Debian's packages leave it out: \
         `cargo xtask build --kernel debian-stock` makes it for the newest Debian kernel, and the package xen-rs-dkms (`cargo \
         xtask package`) on the machine itself. Ubuntu has it in a package of its own (linux-lib-rust-{release}), which has to be \
         installed. For a kernel of your own, name the folder it was built in",
        build.display()
    )
}

/// Says what is wrong with Ubuntu's link, which leads to `target`.
fn check_link(build: &Path, release: &str, target: &Path) -> Result<()> {
    let package = target
        .iter()
        .filter_map(|part| part.to_str())
        .find(|part| part.starts_with(UBUNTU));
    let Some(package) = package else {
        return Ok(());
    };
    // Some headers have a link to another flavour's package.
    let own = build
        .parent()
        .map(|folder| folder.join(format!("{UBUNTU}{release}/rust")));
    let lies_beside = |own: &PathBuf| own.join("libkernel.rmeta").is_file();
    if let Some(own) = own.filter(lies_beside) {
        bail!(
            "the Rust metadata of {release} is in {}, but the link {} leads to {}. As root: ln -sfn {} {}",
            own.display(),
            build.join("rust").display(),
            target.display(),
            own.display(),
            build.join("rust").display()
        );
    }
    bail!(
        "the Rust metadata of {release} is in a package of its own, which is not installed. As root: apt-get install {}",
        match package.ends_with(release) {
            true => package.to_owned(),
            false => format!("{UBUNTU}{release}"),
        }
    )
}

/// What a distribution calls the rustc of a version besides `rustc`: Ubuntu has several at the same time.
pub fn versioned_rustc(version_text: &str) -> Option<String> {
    let version = version_text.strip_prefix("rustc ")?;
    let mut numbers = version.split('.');
    Some(format!("rustc-{}.{}", numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const UBUNTUS: &str = "7.2.0-14-generic";

    /// Makes the files of a list below a folder; ` -> ` makes a link.
    fn lay_out(root: &Path, list: &str) {
        for line in list
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .split(" ; ")
        {
            let (file, target) = match line.split_once(" -> ") {
                Some((file, target)) => (file, Some(target)),
                None => (line, None),
            };
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match target {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, "").unwrap(),
            }
        }
    }

    fn checked(root: &Path, build: &str, release: &str) -> Result<(), String> {
        let build = root.join(build).canonicalize().unwrap();
        check(&build, release).map_err(|error| error.to_string())
    }

    /// The headers package `linux-headers`: scripts whole, of rust what the packaging file installs.
    const ARCH: &str = "build/.config ; build/include/generated/rustc_cfg ; build/rust/libbindings.rmeta ; \
        build/rust/libbuild_error.rmeta ; build/rust/libcompiler_builtins.rmeta ; build/rust/libcore.rmeta ; \
        build/rust/libffi.rmeta ; build/rust/libkernel.rmeta ; build/rust/libmacros.so ; build/rust/libpin_init.rmeta ; \
        build/rust/libpin_init_internal.so ; build/rust/libuapi.rmeta ; build/scripts/target.json";

    #[test]
    fn archs_headers_have_all_of_it() {
        let root = tempfile::tempdir().unwrap();
        lay_out(root.path(), ARCH);
        checked(root.path(), "build", "7.2.3-arch1-1").unwrap();
    }

    #[test]
    fn a_headers_package_that_forgets_a_file_is_told_which() {
        for forgotten in OTHERS {
            let root = tempfile::tempdir().unwrap();
            lay_out(root.path(), ARCH);
            fs::remove_file(root.path().join("build").join(forgotten)).unwrap();
            let said = checked(root.path(), "build", "7.2.3-arch1-1").unwrap_err();
            assert!(
                said.contains(forgotten) && said.contains("not complete"),
                "{said}"
            );
        }
    }

    /// A kernel's output `dev`: the build folder, below the release, with what the build left of `rust` in it.
    #[test]
    fn nixos_has_it_in_the_build_folder_of_the_development_output() {
        let root = tempfile::tempdir().unwrap();
        let nix = ARCH.replace("build/", "lib/modules/7.2.3/build/");
        lay_out(root.path(), &nix);
        lay_out(root.path(), "lib/modules/7.2.3/source/rust/kernel/lib.rs");
        checked(root.path(), "lib/modules/7.2.3/build", "7.2.3").unwrap();
    }

    /// The folder in `/usr/src` of the headers package, to which a link in the modules' folder leads.
    #[test]
    fn armbian_has_it_behind_the_link_of_debians_headers() {
        let root = tempfile::tempdir().unwrap();
        let headers = "usr/src/linux-headers-7.2.1-edge-x86/";
        lay_out(root.path(), &ARCH.replace("build/", headers));
        lay_out(
            root.path(),
            "usr/lib/modules/7.2.1-edge-x86/build -> ../../../src/linux-headers-7.2.1-edge-x86",
        );
        checked(
            root.path(),
            "usr/lib/modules/7.2.1-edge-x86/build",
            "7.2.1-edge-x86",
        )
        .unwrap();
    }

    /// Ubuntu's headers with a link to a package, and that package.
    fn ubuntu(flavour: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let headers = format!("linux-headers-{UBUNTUS}");
        lay_out(
            root.path(),
            &format!(
                "{headers}/.config ; {headers}/include/generated/rustc_cfg ; {headers}/scripts/target.json ; \
                 {headers}/rust -> ../linux-lib-rust-7.2.0-14-{flavour}/rust"
            ),
        );
        root
    }

    fn install_ubuntus_package(root: &Path) {
        let rust = ARCH
            .split(" ; ")
            .filter_map(|file| file.strip_prefix("build/rust/"))
            .map(|file| format!("linux-lib-rust-{UBUNTUS}/rust/{file}"))
            .collect::<Vec<_>>();
        lay_out(root, &rust.join(" ; "));
    }

    #[test]
    fn ubuntus_package_is_named_until_it_is_installed() {
        let root = ubuntu("generic");
        let headers = format!("linux-headers-{UBUNTUS}");
        let said = checked(root.path(), &headers, UBUNTUS).unwrap_err();
        assert!(
            said.ends_with("apt-get install linux-lib-rust-7.2.0-14-generic"),
            "{said}"
        );
        install_ubuntus_package(root.path());
        checked(root.path(), &headers, UBUNTUS).unwrap();
    }

    #[test]
    fn a_link_to_another_flavours_package_is_repaired() {
        let root = ubuntu("lowlatency");
        let headers = format!("linux-headers-{UBUNTUS}");
        let said = checked(root.path(), &headers, UBUNTUS).unwrap_err();
        assert!(
            said.ends_with("install linux-lib-rust-7.2.0-14-generic"),
            "{said}"
        );
        install_ubuntus_package(root.path());
        let said = checked(root.path(), &headers, UBUNTUS).unwrap_err();
        assert!(
            said.contains("ln -sfn") && said.contains("lowlatency"),
            "{said}"
        );
    }

    #[test]
    fn debians_headers_have_none_and_a_source_is_to_be_built() {
        let root = tempfile::tempdir().unwrap();
        lay_out(
            root.path(),
            "headers/.config ; headers/scripts/target.json ; source/rust/kernel/lib.rs",
        );
        let said = checked(root.path(), "headers", "7.3.4+deb13-amd64").unwrap_err();
        assert!(
            said.contains("xen-rs-dkms") && said.contains("debian-stock"),
            "{said}"
        );
        let said = checked(root.path(), "source", "7.3.4").unwrap_err();
        assert!(said.contains("modules_prepare"), "{said}");
    }

    #[test]
    fn a_rustc_of_several_is_found_by_its_version() {
        let name =
            versioned_rustc("rustc 1.91.1 (ed61e7d7e 2025-11-07) (built from a source tarball)");
        assert_eq!(name.as_deref(), Some("rustc-1.91"));
        assert_eq!(versioned_rustc("clang version 19.1.7"), None);
    }
}
