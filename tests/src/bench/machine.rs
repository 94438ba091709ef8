// SPDX-License-Identifier: GPL-2.0

//! The machine that a benchmark runs on, as its document describes it.

use std::fs;

use anyhow::Result;
use kbuild::{Images, process};

use crate::machine::{EAGER_FPU, MITIGATIONS};

/// Its processors and its emulator.
pub fn described(images: &Images) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(": unknown");
    Ok(format!(
        "{} × {}, {} without KVM (every instruction is emulated)",
        std::thread::available_parallelism()?,
        model.trim_start_matches([' ', '\t', ':']),
        emulator(images)?
    ))
}

/// The words of the command lines that change how long everything takes.
pub fn command_lines() -> String {
    format!("`{MITIGATIONS}` for Linux, `{EAGER_FPU}` for Xen")
}

/// What QEMU says of itself, such as `QEMU emulator version 11.0.0 (Debian 1:11.0.0+ds-1~bpo13+1)`.
fn emulator(images: &Images) -> Result<String> {
    let mut command = images
        .qemu
        .command("qemu-system-x86_64")
        .arg("--version")
        .build()?;
    let text = process::output("asking QEMU for its version", &mut command)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// How many programs wanted to run during the last minute.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
