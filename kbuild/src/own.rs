// SPDX-License-Identifier: GPL-2.0

//! Building for a kernel of the user's own machine, with the machine's own tools: no sandbox, no downloads.
//!
//! What can be wrong with such a kernel is found out before make is started, one clear message each.

mod metadata;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::digest::Digest;
use crate::fsutil::read_text;
use crate::host;
use crate::kconfig::KConfig;
use crate::modules::{BuildOptions, Modules, WorkFolder};
use crate::process;
use crate::resolve::base_version;
use crate::session::Session;
use crate::version::Version;

/// What every kernel has to have that our modules are built for, besides Xen and Rust: the bus, and what the block and
/// the network front end plug into. The others are left out where a kernel has no use for them.
const OPTIONS: [&str; 4] = ["XEN_XENBUS_FRONTEND", "BLOCK", "NET", "PAGE_POOL"];

/// What the modules that are left out of some kernels need besides: the PCI front end and gntdev.
const FURTHER_OPTIONS: [&str; 4] = ["PCI_XEN", "PCI_MSI", "MMU_NOTIFIER", "FIND_NORMAL_PAGE"];

/// The options of a kernel that all modules are built for.
pub fn all_options() -> Vec<String> {
    let needed = ["RUST", "XEN"].iter().chain(&OPTIONS);
    needed
        .chain(&FURTHER_OPTIONS)
        .map(|option| format!("CONFIG_{option}"))
        .collect()
}

/// A kernel's build folder and the tools that fit it.
#[derive(Debug)]
struct OwnKernel {
    build: PathBuf,
    release: String,
    rustc: PathBuf,
    cc: Option<PathBuf>,
    clang: bool,
}

/// Builds the modules against the build folder at `build`, such as `/lib/modules/RELEASE/build`.
pub fn build(session: &Session, build: &Path, options: BuildOptions) -> Result<Modules> {
    let oldest = &session.config.profile(None)?.min_series;
    let kernel = examine(build, oldest)?;
    let key = Digest::new("own", 1)
        .with("build", kernel.build.to_string_lossy().as_bytes())
        .with("rustc", kernel.rustc.to_string_lossy().as_bytes())
        .hex();
    let what = if options.clippy { "clippy" } else { "build" };
    let work = WorkFolder::open(session, what, &format!("{}-{key}", kernel.release))?;
    let mut make = process::tied("make");
    // What cargo sets for its own children must not choose the kernel's compiler.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO") || text.starts_with("RUST") {
            make.env_remove(&name);
        }
    }
    make.env("LC_ALL", "C.UTF-8");
    make.arg("-C")
        .arg(&kernel.build)
        .arg(format!("M={}", work.path.display()));
    make.arg(format!("-j{}", session.jobs()))
        .arg(format!("RUSTC={}", kernel.rustc.display()));
    if kernel.clang {
        make.arg("LLVM=1");
    }
    if let Some(cc) = &kernel.cc {
        make.arg(format!("CC={}", cc.display()));
    }
    make.args(options.arguments()).arg("modules");
    Modules::run(session, &kernel.release, &work, make, options)
}

/// `oldest` is the first series of the kernel that has what we need, as `7.2`.
fn examine(build: &Path, oldest: &str) -> Result<OwnKernel> {
    let build = build.canonicalize().with_context(|| {
        format!(
            "there is no kernel build folder {}: install the kernel's headers (on Debian: apt-get install \
             linux-headers-RELEASE)",
            build.display()
        )
    })?;
    let config_file = [".config", "include/config/auto.conf"].map(|name| build.join(name));
    let config_file = config_file
        .iter()
        .find(|file| file.is_file())
        .with_context(|| {
            format!(
                "{} is no kernel build folder: it holds no .config",
                build.display()
            )
        })?;
    let config = KConfig::parse(&read_text(config_file)?);
    let release_file = build.join("include/config/kernel.release");
    let release = read_text(&release_file).with_context(|| {
        format!(
            "the kernel in {} is not prepared for modules: run make there, or at least `make modules_prepare`",
            build.display()
        )
    })?;
    let release = release.trim().to_owned();

    if Version::new(base_version(&release)) < Version::new(oldest) {
        bail!(
            "the kernel {release} is too old: our modules use Rust interfaces that Linux has from {oldest} on"
        );
    }
    if !config.is_set("XEN") {
        bail!(
            "the kernel {release} is built without CONFIG_XEN: there is nothing our modules could talk to"
        );
    }
    if !config.is_set("RUST") {
        bail!(
            "the kernel {release} is built without CONFIG_RUST and cannot load Rust modules. Debian's kernels have it from \
             7.2 on (Debian 13: install linux-image-amd64 from trixie-backports); `cargo xtask boot` uses such a kernel in \
             a virtual machine"
        );
    }
    let lacking: Vec<_> = OPTIONS
        .iter()
        .filter(|option| !config.is_set(option))
        .map(|option| format!("CONFIG_{option}"))
        .collect();
    if !lacking.is_empty() {
        bail!(
            "the kernel {release} is built without {}. What menuconfig does not offer is selected by others: \
             CONFIG_XEN_BLKDEV_FRONTEND=m and CONFIG_XEN_NETDEV_FRONTEND=m bring all that our modules need",
            lacking.join(", ")
        );
    }
    metadata::check(&build, &release)?;
    for (program, package) in [("make", "make"), ("bindgen", "bindgen"), ("nm", "binutils")] {
        if host::find_program(program).is_none() {
            bail!("{program} is missing on this machine: install the package {package}");
        }
    }
    let rustc = matching_rustc(&release, config.text("RUSTC_VERSION_TEXT"))?;
    let clang = config.is_set("CC_IS_CLANG");
    let cc = if clang {
        None
    } else {
        matching_cc(&release, &config)?
    };
    Ok(OwnKernel {
        build,
        release,
        rustc,
        cc,
        clang,
    })
}

/// Rust has no stable metadata: only the very compiler that built the kernel reads it.
fn matching_rustc(release: &str, wanted: Option<&str>) -> Result<PathBuf> {
    let wanted =
        wanted.with_context(|| format!("the configuration of {release} names no rustc"))?;
    let mut seen = Vec::new();
    let named = metadata::versioned_rustc(wanted);
    let in_path = ["rustc".into()].into_iter().chain(named);
    let in_path = in_path.filter_map(|name: String| host::find_program(&name));
    for rustc in in_path.chain([PathBuf::from("/usr/bin/rustc")]) {
        let mut command = Command::new(&rustc);
        command.arg("--version").env_remove("RUSTUP_TOOLCHAIN");
        if let Ok(version) = process::output("rustc", &mut command) {
            if version.trim() == wanted {
                return Ok(rustc);
            }
            seen.push(format!("{} is \"{}\"", rustc.display(), version.trim()));
        }
    }
    seen.dedup();
    let seen = if seen.is_empty() {
        "this machine has none".into()
    } else {
        seen.join("; ")
    };
    bail!(
        "the kernel {release} was built with \"{wanted}\" and needs the very same rustc for modules, but {seen}. Install the \
         rustc of the distribution that the kernel is from, or put the right one first in PATH"
    )
}

/// The C compiler the kernel was built with, under the name its configuration gives it.
fn matching_cc(release: &str, config: &KConfig) -> Result<Option<PathBuf>> {
    let Some(text) = config.text("CC_VERSION_TEXT") else {
        return Ok(None);
    };
    let name = text.split_whitespace().next().unwrap_or("gcc");
    let wanted = config
        .text("GCC_VERSION")
        .and_then(|v| v.parse::<u32>().ok())
        .map(|v| v / 10_000);
    let short = name.rsplit("linux-gnu-").next().unwrap_or(name);
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    for candidate in [
        name.to_owned(),
        short.to_owned(),
        format!("gcc-{wanted}"),
        "gcc".into(),
    ] {
        let Some(cc) = host::find_program(&candidate) else {
            continue;
        };
        let version =
            process::output("gcc", Command::new(&cc).arg("-dumpversion")).unwrap_or_default();
        if version.trim().split('.').next() == Some(wanted.to_string().as_str()) {
            return Ok(Some(cc));
        }
    }
    bail!(
        "the kernel {release} was built with {text}, and no gcc {wanted} is installed: install the package gcc-{wanted}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(config: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("include/config")).unwrap();
        fs::write(
            dir.path().join("include/config/kernel.release"),
            "7.2.1-mine\n",
        )
        .unwrap();
        fs::write(dir.path().join(".config"), config).unwrap();
        dir
    }

    fn refusal(config: &str) -> String {
        format!("{:#}", examine(folder(config).path(), "7.2").unwrap_err())
    }

    const ALL: &str = "CONFIG_XEN=y\nCONFIG_RUST=y\nCONFIG_XEN_XENBUS_FRONTEND=y\nCONFIG_BLOCK=y\nCONFIG_NET=y\n\
        CONFIG_PAGE_POOL=y\n";

    #[test]
    fn every_lack_has_its_message() {
        let missing = examine(Path::new("/nowhere/build"), "7.2").unwrap_err();
        let missing = format!("{missing:#}");
        assert!(missing.contains("linux-headers"), "{missing}");
        assert!(refusal("").contains("CONFIG_XEN"));
        assert!(refusal("CONFIG_XEN=y\n").contains("CONFIG_RUST"));
        assert!(refusal(ALL).contains("libkernel.rmeta"));
        for option in OPTIONS {
            let without = ALL.replace(&format!("CONFIG_{option}=y\n"), "");
            let said = refusal(&without);
            assert!(
                said.contains(&format!("without CONFIG_{option}.")),
                "{said}"
            );
        }
    }

    #[test]
    fn a_kernel_that_is_too_old_or_not_prepared_is_refused() {
        let dir = folder(ALL);
        let error = examine(dir.path(), "7.3").unwrap_err().to_string();
        assert!(error.contains("7.2.1-mine is too old") && error.contains("7.3"));
        fs::remove_file(dir.path().join("include/config/kernel.release")).unwrap();
        assert!(
            format!("{:#}", examine(dir.path(), "7.2").unwrap_err()).contains("modules_prepare")
        );
    }

    #[test]
    fn another_rustc_is_refused_with_both_versions() {
        let error = matching_rustc("7.2", Some("rustc 1.0.0 (none)"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("rustc 1.0.0 (none)"), "{error}");
    }
}
