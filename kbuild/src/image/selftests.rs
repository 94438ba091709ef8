// SPDX-License-Identifier: GPL-2.0

//! The kernel's own tests of network devices (`tools/testing/selftests/net`), those that want nothing but an Ethernet
//! device and a program at its other end. They come out of the source of the kernel that is tested.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::kernel::Kernel;
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::ui::Step;

/// Where they are in the kernel's source.
const FOLDER: &str = "tools/testing/selftests/net";

/// Programs in C, and shell scripts; some have moved from one folder to another.
const PROGRAMS: [&str; 3] = ["csum", "gro", "msg_zerocopy"];
const SCRIPTS: [&str; 1] = ["netdevice.sh"];

/// Compiles the programs into the folder `to`, which is made, and copies the scripts. Linked statically: they run in
/// dom0 and in a guest that has no libraries. The folder stays empty if the source was unpacked without any tests.
pub fn build(
    session: &Session,
    step: &Step,
    sandbox: &Sandbox,
    kernel: &Kernel,
    to: &Path,
) -> Result<()> {
    fs::create_dir_all(to)?;
    if !kernel.source().join(FOLDER).exists() {
        return Ok(());
    }
    for program in PROGRAMS {
        let source = find(kernel, &format!("{program}.c"))?;
        let mut cc = kernel
            .show_devel(sandbox.command("cc"))
            .args(["-std=gnu11", "-O2", "-static", "-pthread", "-w"])
            .arg("-I/kernel/src/tools/testing/selftests")
            .arg(format!("/kernel/src/{source}"))
            .arg("-o")
            .arg(format!("/programs/{program}"))
            .bind(to, "/programs")
            .build()?;
        process::run(
            step,
            "compiling the kernel's own test of network devices",
            &mut cc,
            &session.log("selftests"),
        )?;
    }
    for script in SCRIPTS {
        let source = kernel.source().join(find(kernel, script)?);
        fs::copy(&source, to.join(script)).with_context(|| source.display().to_string())?;
    }
    Ok(())
}

/// The path of a test below the source's top.
fn find(kernel: &Kernel, name: &str) -> Result<String> {
    for folder in ["", "/lib"] {
        let path = format!("{FOLDER}{folder}/{name}");
        if kernel.source().join(&path).exists() {
            return Ok(path);
        }
    }
    bail!(
        "the source of {} has no {FOLDER}/{name}: it has moved; kbuild/src/image/selftests.rs says where it is looked for",
        kernel.release
    )
}
