// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask boot`.

mod solo;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use clap::error::ErrorKind;
use kbuild::Session;
use vmtest::boot::{Console, Options};
use vmtest::{Dom0, Driver, Mode, Topology};

use crate::cli;
use crate::prepare::prepare_for;

/// A guest's memory in MiB, unless the user says otherwise.
const GUEST_MEMORY: u32 = 384;

/// A guest's virtual processors, unless the user says otherwise.
const GUEST_VCPUS: u32 = 2;

/// Prepares everything, boots, and prints the report.
pub fn run(session: &Session, args: &cli::Boot) -> Result<ExitCode> {
    let is_paravane = args.hypervisor == cli::Hypervisor::Paravane;
    if let (Some(option), true) = (args.needs_pv(), is_paravane) {
        let text = format!(
            "{option} cannot be used with --hypervisor paravane: dom0 and guests are PVH there"
        );
        cli::Cli::command()
            .error(ErrorKind::ArgumentConflict, text)
            .exit();
    }
    if args.trace.is_some() && !is_paravane {
        let text = "--trace needs --hypervisor paravane: Xen's traces are for `xentrace`";
        cli::Cli::command()
            .error(ErrorKind::ArgumentConflict, text)
            .exit();
    }
    if let Some(guest) = args.solo {
        if !is_paravane {
            let text = "--solo needs --hypervisor paravane: Xen starts no guest without dom0";
            cli::Cli::command()
                .error(ErrorKind::ArgumentConflict, text)
                .exit();
        }
        return solo::run(session, args, guest);
    }
    // The kernel's own drivers need none of our modules.
    let ours =
        args.driver != Some(cli::Driver::C) || args.dom0_drivers != Some(cli::DeviceFiles::C);
    let mut images = prepare_for(session, &args.versions, ours)?;
    if is_paravane {
        images = images.with_paravane(session)?;
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
        None | Some(cli::Mode::Pv) => Dom0::Pv,
        Some(cli::Mode::Pvh) => Dom0::Pvh,
    };
    let memory = args.memory.unwrap_or(GUEST_MEMORY);
    let is_paravane = args.hypervisor == cli::Hypervisor::Paravane;
    let modes = match args.mode {
        Some(only) => vec![mode(only)],
        None if is_paravane => vec![Mode::Pvh],
        None => vec![Mode::Pvh, Mode::Pv],
    };
    // The guests' memory comes on top of what dom0 and the hypervisor have.
    let guests = u32::try_from(modes.len()).unwrap_or(2) * memory;
    let topology = match dom0 {
        _ if is_paravane => Topology::PARAVANE,
        Dom0::Pv => Topology::PV,
        Dom0::Pvh => Topology::PVH,
    };
    let topology = match args.dom0_drivers {
        None | Some(cli::DeviceFiles::Rust) => topology.with_our_device_files(),
        Some(cli::DeviceFiles::C) => topology,
    };
    let topology = match args.trace {
        Some(_) => topology.traced(),
        None => topology,
    };
    let machine = topology.memory.max(topology.dom0_memory + guests + 512);
    Options {
        modes,
        vcpus: args.vcpus.unwrap_or(GUEST_VCPUS),
        memory,
        driver: match args.driver {
            None | Some(cli::Driver::Rust) => Driver::Rust,
            Some(cli::Driver::C) => Driver::C,
        },
        topology: Topology {
            memory: machine,
            ..topology
        },
        console: args.console.map(|place| match place {
            cli::Console::Dom0 => Console::Dom0,
            cli::Console::DomU => Console::DomU,
        }),
        keep: args.keep,
        trace: args.trace.clone(),
    }
}
