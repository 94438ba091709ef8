// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's program: what runs on the machine. `boot` gets here, `arch` is the processor and its
//! controllers, `dom0` builds the first domain, `domain` and `vcpu` run it, `io` is what it
//! sees of the machine, `platform` what the library asks of it. What decides without a machine, hypercalls too, is
//! the library beside this file.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

#[allow(unsafe_code)]
mod arch;
#[allow(unsafe_code)]
mod boot;
mod dom0;
mod domain;
mod host;
mod io;
mod platform;
mod schedule;
mod vcpu;

use core::sync::atomic::Ordering;

use spin::Once;

use arch::percpu::{self, PerCpu};
use arch::{lapic, svm, traps};
use boot::BootInfo;
use paravane::options::{CONSOLE_PORT, Level, Options};

/// What the loader told, for [`main`], which runs on another stack.
static BOOT: Once<BootInfo> = Once::new();

/// Where the boot code ends: on the boot stack, interrupts off, 4 GiB mapped.
fn start(magic: u32, info: u64) -> ! {
    arch::serial::init(CONSOLE_PORT);
    traps::load();
    log::info!(
        "Paravane {} on {}",
        env!("CARGO_PKG_VERSION"),
        arch::cpu::brand()
    );
    arch::memory::init(magic, info);
    let boot = BOOT.call_once(|| boot::loader(magic, info).copy());
    log::info!("loaded by {}", boot.loader);
    if let Err(why) = boot.check(boot::image::physical()) {
        panic!("{why}");
    }
    lapic::init();
    let cpu = percpu::make(lapic::id());
    percpu::adopt(cpu);
    percpu::switch_stack(cpu, main)
}

/// The first processor, on its own stack.
extern "C" fn main() -> ! {
    let cpu = percpu::this();
    cpu.ready.store(true, Ordering::SeqCst);
    let boot = BOOT.call_once(BootInfo::default);
    log::info!("command line: {}", boot.command_line);
    let options = Options::parse(&boot.command_line, |word, why| {
        log::warn!("command line: {word} is left out: {why}");
    });
    log::set_max_level(filter(options.level.unwrap_or(Level::Info)));
    arch::crash::STAY.store(options.stay, Ordering::Relaxed);
    let acpi = arch::acpi::read(boot).expect("the firmware has ACPI tables");
    arch::time::init(&acpi);
    arch::power::init(&acpi);
    arch::ioapic::init(&acpi);
    lapic::calibrate();
    // Both only end a wait: who waited looks at what changed.
    traps::set_handler(lapic::KICK, |_| lapic::end_of_interrupt());
    traps::set_handler(lapic::TIMER, |_| {
        percpu::this().timer_fired.store(true, Ordering::Relaxed);
        lapic::end_of_interrupt();
    });
    arch::smp::start_others(&acpi);
    if options.crash {
        arch::crash::test();
    }
    platform::start(host::describe(boot));
    let built = match dom0::build(boot, &acpi, &options) {
        Ok(built) => built,
        Err(why) => panic!("dom0 cannot be built: {why}"),
    };
    domain::dom0().pci.lock().serve_memory(&acpi.mcfg);
    schedule::start(&built, svm::has_next_rip()).expect("memory for dom0's vCPUs");
    io::msi::take_console();
    percpu::all()
        .iter()
        .filter(|other| other.index != cpu.index)
        .for_each(|other| lapic::kick(other));
    log::info!("dom0 starts");
    processor(cpu)
}

/// The logger's word for how much is logged.
fn filter(level: Level) -> log::LevelFilter {
    match level {
        Level::None => log::LevelFilter::Off,
        Level::Error => log::LevelFilter::Error,
        Level::Warning => log::LevelFilter::Warn,
        Level::Info => log::LevelFilter::Info,
        Level::Debug => log::LevelFilter::Debug,
    }
}

/// What each processor does from the time it is up.
fn processor(cpu: &'static PerCpu) -> ! {
    let asids = match svm::init() {
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
