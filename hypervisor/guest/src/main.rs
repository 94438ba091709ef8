// SPDX-License-Identifier: GPL-2.0

//! The guest's program, which does what its library chooses.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod arch;
mod debugging;
mod hypercalls;
mod machine;
mod port_strings;
mod queues;
mod report;

use arch::StartInfo;
use misbehaving::options::Options;
use misbehaving::random::Random;
use misbehaving::scratch::Scratch;

/// Called by the boot code in 64-bit mode. Interrupts are off and stay off.
fn start(info: &StartInfo) -> ! {
    let options = Options::parse(&info.command_line);
    let scratch = Scratch {
        first_frame: arch::scratch_frame(),
        frames: options.memory << 8,
    };
    report::say(format_args!("seed {}", options.seed));
    let mut random = Random::new(options.seed);
    let honest = hypercalls::Honest::ask();

    debugging::check();
    honest.still("debugging", &scratch);
    let counts = hypercalls::random(options.calls, &scratch, &mut random);
    honest.still("hypercalls", &scratch);
    report::say(format_args!(
        "hypercalls: {} made, {} succeeded",
        options.calls, counts
    ));
    queues::scribble(&scratch, &mut random);
    honest.still("queues", &scratch);
    machine::registers(&mut random);
    honest.still("registers", &scratch);
    machine::instructions(&mut random);
    honest.still("instructions", &scratch);
    machine::ports(&mut random);
    honest.still("ports", &scratch);
    port_strings::try_all(options.devices, &mut random);
    honest.still("port strings", &scratch);
    machine::pci(&mut random);
    honest.still("PCI", &scratch);
    machine::memory(options.image, &scratch, &mut random);
    honest.still("memory", &scratch);
    report::say(format_args!("all done; the end is {:?}", options.end));
    arch::end(options.end);
    arch::triple_fault()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    report::failed(format_args!("{info}"))
}
