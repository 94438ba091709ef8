// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask boot`.

use std::process::ExitCode;

use anyhow::Result;
use kbuild::Session;
use vmtest::boot::{Console, Options};
use vmtest::{Dom0, Driver, Mode, Topology};

use crate::cli;
use crate::prepare::prepare_for;

/// Prepares everything, boots, and prints the report.
pub fn run(session: &Session, args: &cli::Boot) -> Result<ExitCode> {
    // The kernel's own drivers need none of our modules.
    let ours = args.driver == cli::Driver::Rust || args.dom0_drivers == cli::Nodes::Rust;
    let images = prepare_for(session, &args.versions, ours)?;
    if args.hypervisor == cli::Hypervisor::Paravane {
        let images = images.with_paravane(session)?;
        let console = args.console.is_some();
        print!(
            "{}",
            vmtest::boot::dom0_only(session, &images, Topology::PARAVANE, console)?
        );
        return Ok(ExitCode::SUCCESS);
    }
    let report = vmtest::boot::run(session, &images, &options(args))?;
    print!("{report}");
    Ok(ExitCode::SUCCESS)
}

fn options(args: &cli::Boot) -> Options {
    let mode = |mode| match mode {
        cli::Mode::Pv => Mode::Pv,
        cli::Mode::Pvh => Mode::Pvh,
    };
    let dom0 = match args.dom0 {
        cli::Mode::Pv => Dom0::Pv,
        cli::Mode::Pvh => Dom0::Pvh,
    };
    let modes = args
        .mode
        .map_or(vec![Mode::Pvh, Mode::Pv], |only| vec![mode(only)]);
    // The guests' memory comes on top of what dom0 and the hypervisor have.
    let guests = u32::try_from(modes.len()).unwrap_or(2) * args.memory;
    let topology = match dom0 {
        Dom0::Pv => Topology::PV,
        Dom0::Pvh => Topology::PVH,
    };
    let topology = match args.dom0_drivers {
        cli::Nodes::Rust => topology.with_our_nodes(),
        cli::Nodes::C => topology,
    };
    let memory = topology.memory.max(topology.dom0_memory + guests + 512);
    Options {
        modes,
        vcpus: args.vcpus,
        memory: args.memory,
        driver: match args.driver {
            cli::Driver::Rust => Driver::Rust,
            cli::Driver::C => Driver::C,
        },
        topology: Topology { memory, ..topology },
        console: args.console.map(|place| match place {
            cli::Console::Dom0 => Console::Dom0,
            cli::Console::DomU => Console::DomU,
        }),
        keep: args.keep,
    }
}
