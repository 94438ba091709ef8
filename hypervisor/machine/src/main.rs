// SPDX-License-Identifier: GPL-2.0

//! The machine part of the hypervisor. `boot` is the entry, `arch` the processor and its controllers, `dom0` builds the
//! first domain, `domain` and `vcpu` run it, `io` emulates devices for it, `platform` implements what the library
//! `paravane` needs. The logic, with all hypercalls, is in that library.

#![no_std]
#![no_main]
#![deny(unsafe_code)]
// `Arc::try_new`: what is allocated for a guest may fail.
#![feature(allocator_api)]

extern crate alloc;

#[allow(unsafe_code)]
mod arch;
#[allow(unsafe_code)]
mod boot;
mod dom0;
mod domain;
mod guest;
mod host;
mod io;
mod platform;
mod schedule;
mod solo;
mod system_lock;
mod trace;
mod vcpu;

use core::sync::atomic::Ordering;

use spin::Once;

use arch::acpi::Acpi;
use arch::percpu::{self, PerCpu};
use arch::{lapic, svm, traps};
use boot::BootInfo;
use paravane::options::{CONSOLE_PORT, LogLevel, Options};

/// The boot information, for [`main`], which runs on another stack.
static BOOT: Once<BootInfo> = Once::new();

/// Called by the boot code, on the boot stack, with interrupts off and 4 GiB mapped.
fn start(magic: u32, info: u64) -> ! {
    arch::serial::init(CONSOLE_PORT);
    traps::set_exception_handler(arch::crash::exception);
    traps::load();
    log::info!(
        "Paravane {} on {}",
        env!("CARGO_PKG_VERSION"),
        arch::cpu::brand()
    );
    system_lock::init(arch::memory::init(&boot::loader(magic, info)));
    let boot = BOOT.call_once(|| boot::loader(magic, info).copy());
    log::info!("loaded by {}", boot.loader);
    if let Err(why) = boot.check(arch::image::physical()) {
        panic!("{why}");
    }
    lapic::init();
    let cpu = percpu::alloc(lapic::id());
    percpu::load(cpu);
    percpu::switch_stack(cpu, main)
}

/// Runs on the first processor, on its own stack.
extern "C" fn main() -> ! {
    let cpu = percpu::this();
    cpu.ready.store(true, Ordering::SeqCst);
    let boot = BOOT.call_once(BootInfo::default);
    log::info!("command line: {}", boot.command_line);
    let options = Options::parse(&boot.command_line, |word, why| {
        log::warn!("command line: {word} is left out: {why}");
    });
    log::set_max_level(filter(options.level.unwrap_or(LogLevel::Info)));
    domain::mistakes::set_level(options.guest_level.unwrap_or(LogLevel::Warning));
    arch::crash::NO_REBOOT.store(options.noreboot, Ordering::Relaxed);
    let acpi = arch::acpi::read(boot).expect("the firmware has ACPI tables");
    arch::time::init(&acpi);
    arch::power::init(&acpi);
    arch::legacy::mask_8259s();
    arch::ioapic::init(&acpi);
    lapic::calibrate();
    // Both only make the processor leave its guest or idle loop, which then checks its state.
    traps::set_handler(lapic::KICK, |_| lapic::eoi());
    traps::set_handler(lapic::TIMER, |_| {
        percpu::this().timer_fired.store(true, Ordering::Relaxed);
        lapic::eoi();
    });
    arch::smp::start_others(&acpi, run_processor);
    if options.crash_test {
        arch::crash::test();
    }
    platform::start(host::describe(boot));
    if let Some(frames) = options.trace_pages {
        trace::start(frames);
    }
    schedule::init();
    io::vectors::route_console();
    if options.solo {
        if let Err(why) = solo::start(boot, &options) {
            panic!("the guest cannot be started: {why}");
        }
    } else {
        start_dom0(boot, &acpi, &options);
    }
    run_processor(cpu)
}

/// Builds and starts dom0, and a guest beside it if there is a third module.
fn start_dom0(boot: &BootInfo, acpi: &Acpi, options: &Options) {
    let dom0 = match dom0::build(boot, acpi, options) {
        Ok(dom0) => dom0,
        Err(why) => panic!("dom0 cannot be built: {why}"),
    };
    domain::dom0().pci.lock().add_ecam(&acpi.mcfg);
    log::info!("dom0 starts");
    domain::start_dom0(dom0.entry, dom0.start_info).expect("dom0 was built");
    if let Some((module, file)) = dom0.guest {
        if let Err(why) = guest::start_beside_dom0(module, &file) {
            log::error!("the third module is not started as a guest: {why}");
            guest::destroy();
        }
    }
}

/// The logger's filter for a log level.
fn filter(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::None => log::LevelFilter::Off,
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warning => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
    }
}

/// Enables SVM on a processor that is up, and runs vCPUs for ever.
fn run_processor(cpu: &'static PerCpu) -> ! {
    let asids = match svm::init(cpu) {
        Ok(asids) => asids,
        Err(why) => panic!("processor {}: {why}", cpu.index),
    };
    log::info!(
        "processor {}: APIC id {}, SVM with {asids} ASIDs, next RIP {}",
        cpu.index,
        cpu.apic_id,
        svm::has_next_rip()
    );
    schedule::run(cpu)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    arch::crash::panic(info)
}
