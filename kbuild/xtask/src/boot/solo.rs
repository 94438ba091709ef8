// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask boot --hypervisor paravane --solo`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use kbuild::Session;
use vmtest::solo::{self, SoloKernel, StartedBy};

use crate::cli;
use crate::prepare::prepare_for;

/// Starts the guest, prints its console, and then how it ended, by which the exit status goes.
pub fn run(session: &Session, args: &cli::Boot, guest: cli::SoloGuest) -> Result<ExitCode> {
    let images = prepare_for(session, &args.versions, false)?.with_paravane(session)?;
    let kernel = match guest {
        cli::SoloGuest::Stock => SoloKernel::Stock,
        cli::SoloGuest::Misbehaving => SoloKernel::Misbehaving,
    };
    let mut guest = solo::SoloGuest::new(StartedBy::Paravane, kernel);
    guest.vcpus = args.vcpus.unwrap_or(guest.vcpus);
    guest.memory = args.memory.unwrap_or(guest.memory);
    guest.args = args.append.clone().unwrap_or_default();
    let dir = session.logs().join("boot");
    let report = solo::run(&images, &dir, &guest, &mut |text| {
        session.ui.suspend(|| {
            let mut out = io::stdout();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    })?;
    println!(
        "\n{}, {:.1} s after QEMU's start",
        report.ending,
        report.took.as_secs_f32()
    );
    if let Some(init) = report.init {
        println!(
            "its init ran {:.1} s after QEMU's start",
            init.as_secs_f32()
        );
    }
    println!("the console: {}", dir.join("console.log").display());
    Ok(match report.ending == guest.wanted() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
