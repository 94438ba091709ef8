// SPDX-License-Identifier: GPL-2.0

//! The machine that a benchmark runs on, as its document describes it.

use std::fs;

use anyhow::Result;
use kbuild::Images;

/// Its processors and its emulator.
pub fn described(images: &Images) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(": unknown");
    let qemu = images
        .qemu
        .package_version("qemu-system-x86")
        .unwrap_or_default();
    Ok(format!(
        "{} × {}, QEMU {qemu} without KVM (every instruction is emulated)",
        std::thread::available_parallelism()?,
        model.trim_start_matches([' ', '\t', ':'])
    ))
}

/// How many programs wanted to run during the last minute.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
