// SPDX-License-Identifier: GPL-2.0

//! Everything that has to be there before a machine boots, made side by side where that saves time.

use anyhow::Result;
use kbuild::image::Userland;
use kbuild::modules::BuildOptions;
use kbuild::{Images, Kernel, Modules, Sandbox, Session, resolve};

use crate::cli;

/// Makes what is missing for a kernel target (the default one if none is named) and a hypervisor (the newest one).
/// Without `modules` the machines have the kernel's own drivers only.
pub fn prepare(
    session: &Session,
    kernel: Option<&str>,
    xen: Option<&str>,
    modules: bool,
) -> Result<Images> {
    let target = session.config.target(kernel)?;
    // Debian's part of the images needs no kernel: it is made while the kernel's metadata is. Making the images
    // below finds it; an error found here comes up again there, and with it the message.
    let (kernel, userland) = std::thread::scope(|scope| {
        let userland = scope.spawn(|| make_userland(session, xen));
        let kernel = Kernel::open(session, target);
        let userland = userland
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (kernel, userland)
    });
    let (kernel, sandbox) = kernel?;
    let userland = userland?;
    let modules = match modules {
        true => Some(Modules::build(
            session,
            &sandbox,
            &kernel,
            BuildOptions::default(),
        )?),
        false => None,
    };
    let images = Images::make(session, &sandbox, &kernel, modules.as_ref(), xen)?;
    drop(userland);
    Ok(images)
}

/// The same for what the command line names.
pub fn prepare_for(session: &Session, versions: &cli::Versions, modules: bool) -> Result<Images> {
    let (kernel, xen) = (versions.kernel.as_deref(), versions.xen.as_deref());
    prepare(session, kernel, xen, modules)
}

fn make_userland(session: &Session, xen: Option<&str>) -> Result<Userland> {
    let suite = session.config.suite(&session.config.target(None)?.suite)?;
    kbuild::host::prepare(session)?;
    let packages = resolve::xen(session, &suite.name, xen)?;
    let sandbox = Sandbox::open(session, suite)?;
    Userland::open(session, &sandbox, suite, &packages)
}
