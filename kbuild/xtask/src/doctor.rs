// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask doctor`: what this machine has and lacks. Changes nothing and asks no network.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use console::style;
use kbuild::accel::{AccelNeed, KvmFacts};
use kbuild::host::{Memory, Needs, Signatures};
use kbuild::mirror::Mirrors;
use kbuild::{Session, fsutil, host};

use crate::cli::Doctor;

/// Whether KVM can run a hypervisor.
fn kvm() -> String {
    match KvmFacts::read(Path::new("/")).lack(AccelNeed::Nested) {
        None => "it can run Xen: --accel auto takes it".into(),
        Some(lack) => format!("not used, QEMU emulates the processor: {lack}"),
    }
}

/// Prints one line a finding; the status is non-zero if something would stop `boot`.
pub fn run(session: &Session, _: &Doctor) -> Result<ExitCode> {
    let mut fine = true;
    let mut say = |good: bool, what: &str, detail: &str| {
        let mark = if good {
            style("ok  ").green()
        } else {
            style("LACK").red()
        };
        println!("{mark}  {what}: {detail}");
        fine &= good;
    };

    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.unwrap_or("unknown").trim_matches('"');
    say(
        true,
        "system",
        &format!("{name}, {} processors", session.jobs()),
    );
    say(
        cfg!(target_arch = "x86_64"),
        "architecture",
        std::env::consts::ARCH,
    );
    say(
        true,
        "user",
        if host::is_root() { "root" } else { "not root" },
    );

    let missing = host::missing_packages();
    if missing.is_empty() {
        say(true, "packages", "all that is needed is installed");
    } else {
        let list = missing.join(" ");
        let can = host::is_root() && host::find_program("apt-get").is_some();
        let how = if can {
            "the first run installs"
        } else {
            "as root: apt-get update && apt-get install"
        };
        say(can, "packages", &format!("{how} {list}"));
    }
    if host::find_program("bwrap").is_some() {
        match host::containment() {
            Ok(how) => {
                let user = if how.user_namespace {
                    "user namespaces work"
                } else {
                    "without user namespaces, as root"
                };
                say(true, "sandbox", user);
            }
            Err(error) => say(false, "sandbox", &format!("{error:#}")),
        }
    }
    let missing = host::missing_to_configure();
    let ids = match host::is_root() {
        true => Ok(()),
        false => host::subordinate_ids(),
    };
    match (missing.is_empty(), ids) {
        (true, Ok(())) => say(true, "Debian roots", "scenarios can install Debian"),
        (false, _) => {
            let list = missing.join(" ");
            let detail = format!("some scenarios need {list}; boot and build do not");
            say(true, "Debian roots", &detail);
        }
        (true, Err(error)) => {
            let detail = format!("some scenarios need this, boot and build do not: {error:#}");
            say(true, "Debian roots", &detail);
        }
    }
    match Mirrors::detect(session.options.mirror.as_deref()) {
        Ok(mirrors) => {
            let security = mirrors
                .security
                .map_or("no security archive".into(), |uri| {
                    format!("security from {uri}")
                });
            say(true, "archive", &format!("{}, {security}", mirrors.main));
        }
        Err(error) => say(false, "archive", &format!("{error:#}")),
    }
    let free = fsutil::free_space(session.cache.root())?;
    let used: u64 = session.cache.list()?.iter().map(|entry| entry.bytes).sum();
    let detail = format!(
        "{} holds {}, {} are free, a first boot takes {}",
        session.cache.root().display(),
        fsutil::human(used),
        fsutil::human(free),
        fsutil::human(Needs::BOOT.disk)
    );
    say(free + used > Needs::BOOT.disk, "cache", &detail);
    let memory = Memory::read(Path::new("/"));
    let detail = format!(
        "{} in all, {} available; `boot` needs {}, `test` {}",
        fsutil::human(memory.total),
        fsutil::human(memory.available),
        fsutil::human(Needs::BOOT.memory),
        fsutil::human(Needs::TEST.memory)
    );
    say(memory.total >= Needs::TEST.memory, "memory", &detail);
    println!("      KVM: {}", kvm());
    let signatures = Signatures::read(Path::new("/"));
    println!("      Secure Boot: {}", signatures.advice());

    println!("Kernels:");
    for profile in session.config.profiles.values() {
        let state = match kbuild::resolve::known_kernel(session, profile) {
            Some(known) => format!("{} when the archive was last asked", known.release),
            None => "the archive has not been asked yet".into(),
        };
        let default = if profile.name == session.config.default {
            ", the default"
        } else {
            ""
        };
        println!(
            "      {} (Debian {}{default}): {state}",
            profile.name, profile.suite
        );
    }
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
