// SPDX-License-Identifier: GPL-2.0

//! A guest in the place of dom0 (`solo` on the command line): the first module is its kernel, the second its initramfs.
//! Its console is the serial port, and the machine ends when it ends.

use core::sync::atomic::{AtomicBool, Ordering};

use paravane::mem::frames::DomId;
use paravane::options::Options;
use paravane::solo::{self, MEMORY_UNIT};
use xen_abi::sched::shutdown;

use crate::arch::frames::FRAME;
use crate::arch::{self, crash, power};
use crate::boot::BootInfo;
use crate::dom0::{move_away, release_boot_memory, unpack};
use crate::guest::{self, GuestConfig};
use crate::platform::system;
use crate::schedule;

/// Memory that the hypervisor keeps for the guest's page tables, and for what is too small for a large page.
const KEPT: u64 = 8 << 20;
/// Most vCPUs: APIC ids are even and have 8 bits.
const MAX_VCPUS: u32 = 127;

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Whether there is no dom0, but one guest.
pub fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Builds and starts the guest.
///
/// # Errors
///
/// A message about what is wrong.
pub fn start(boot: &BootInfo, options: &Options) -> Result<(), &'static str> {
    ENABLED.store(true, Ordering::Relaxed);
    if let Some(port) = options.solo_exit {
        power::set_debug_exit(port, solo::HYPERVISOR_CRASHED);
    }
    let mut modules = boot.modules.iter();
    let module = modules
        .next()
        .ok_or("no kernel: give one as the first module")?;
    let kernel = unpack(move_away(module)?)?;
    let initramfs = modules.next().filter(|module| !module.range.is_empty());
    let initramfs = initramfs.map(move_away).transpose()?;
    release_boot_memory(boot);
    let free = free_memory().saturating_sub(KEPT);
    let size = options.solo_memory.unwrap_or(free) & !(MEMORY_UNIT - 1);
    if size > free {
        log::error!(
            "the guest wants {} MiB, {} MiB are free",
            size >> 20,
            free >> 20
        );
        return Err("there is too little memory for the guest: see solo_mem=");
    }
    let usable = schedule::usable().len() as u32;
    guest::start(&GuestConfig {
        memory: solo::memory_ranges(size),
        vcpus: options.solo_vcpus.unwrap_or(usable).min(MAX_VCPUS),
        kernel: &kernel,
        command_line: &module.arguments,
        initramfs: initramfs.as_ref(),
        has_console: true,
        triple_fault_reason: shutdown::CRASH,
    })
}

/// Memory that is free in whole large pages, in bytes.
fn free_memory() -> u64 {
    let unit = MEMORY_UNIT / FRAME;
    let system = system();
    let blocks = system.frames.free_blocks();
    let whole = |block: core::ops::Range<u64>| {
        let start = block.start.next_multiple_of(unit);
        (block.end / unit * unit).saturating_sub(start)
    };
    blocks.map(whole).sum::<u64>() * FRAME
}

/// There is input on the console.
pub fn console_input() {
    system().serve_console(guest::ID);
}

/// A domain has shut down: if it is the guest in the place of dom0, the machine ends. The system may be locked.
pub fn shut_down(domain: DomId, reason: u8) {
    if !is_enabled() || domain != guest::ID {
        return;
    }
    let how = solo::reason_name(reason);
    log::info!("the guest has {how}");
    power::debug_exit(solo::exit_code(reason));
    match reason.into() {
        shutdown::POWEROFF => power::soft_off(),
        shutdown::REBOOT => arch::cpu::reboot(),
        _ => crash::guest_crashed(how),
    }
}
