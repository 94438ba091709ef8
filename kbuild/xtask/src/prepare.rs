// SPDX-License-Identifier: GPL-2.0

//! Everything that has to be there before a machine boots, made side by side where that saves time.

use anyhow::Result;
use kbuild::image::{Userland, agent};
use kbuild::modules::BuildOptions;
use kbuild::{Images, Kernel, Modules, Session, branches, resolve};

use crate::cli;

/// Makes what is missing for a kernel profile (the default one if none is named) and a hypervisor (the newest one).
/// Without `modules` the machines have the kernel's own drivers only.
pub fn prepare(
    session: &Session,
    kernel: Option<&str>,
    xen: Option<&str>,
    modules: bool,
) -> Result<Images> {
    let profile = session.config.profile(kernel)?;
    branches::fork(|branches| {
        // The agent needs no sandbox, Debian's part of the images no kernel. Making the images below finds both.
        let agent = branches.spawn_behind(|| agent::build(session));
        let userland = branches.spawn_behind(|| make_userland(session, xen));
        let (kernel, sandbox) = Kernel::open(session, profile)?;
        let modules = match modules {
            true => Some(Modules::build(
                session,
                &sandbox,
                &kernel,
                BuildOptions::default(),
            )?),
            false => None,
        };
        let (agent, _userland) = (agent.join()?, userland.join()?);
        Images::make(session, &sandbox, &kernel, modules.as_ref(), xen, &agent)
    })
}

/// As [`prepare`], for the kernel and the hypervisor that the command line names.
pub fn prepare_for(session: &Session, versions: &cli::Versions, modules: bool) -> Result<Images> {
    let (kernel, xen) = (versions.kernel.as_deref(), versions.xen.as_deref());
    prepare(session, kernel, xen, modules)
}

fn make_userland(session: &Session, xen: Option<&str>) -> Result<Userland> {
    let suite = session.config.suite(&session.config.profile(None)?.suite)?;
    let packages = resolve::xen(session, &suite.name, xen)?;
    Userland::open(session, suite, &packages)
}
