// SPDX-License-Identifier: GPL-2.0

//! Guests with the small kernel, in numbers: what is counted of them is the hypervisor's.

use std::fs;

use anyhow::{Context, Result};
use kbuild::Images;

use crate::guest::Mode;
use crate::host::Host;

/// Its memory in MiB.
pub const MEMORY: u32 = 64;
/// Its configuration in dom0. A name and other lines of it can be set anew on `xl create`'s command line.
pub const CONFIG: &str = "/run/small.cfg";
/// The small kernel in dom0.
const KERNEL: &str = "/run/small-kernel";

/// Puts the small kernel and the configuration of a guest with it, `small`, into dom0. It has one vCPU and these lines besides.
pub fn prepare(host: &Host, images: &Images, lines: &str) -> Result<()> {
    let path = images.hypervisor()?.misbehaving_guest();
    let kernel = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let dom0 = host.dom0();
    dom0.put(KERNEL, 0o644, &kernel)?;
    let placement = host.topology().placement(Mode::Pvh);
    let config = format!(
        "name = 'small'\ntype = 'pvh'\nkernel = '{KERNEL}'\nmemory = {MEMORY}\nvcpus = 1\n{placement}\n{lines}\n"
    );
    dom0.put(CONFIG, 0o644, config.as_bytes())
}
