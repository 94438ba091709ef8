// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask run`.

pub mod config_file;
mod ktap;
mod machine;
mod results;
pub mod status;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use console::style;
use kbuild::config::KernelKind;
use kbuild::image::{GuestKernel, Userland, agent};
use kbuild::intake::needs::Wanted;
use kbuild::intake::root::{self, CommandRoot};
use kbuild::intake::{self, UserKernel};
use kbuild::modules::BuildOptions;
use kbuild::{Images, Kernel, Modules, Sandbox, Session, branches, own, resolve};
use vmtest::Driver;
use vmtest::machine::guest_disks;
use vmtest::run::{Ending, Options, RootAt, RunMachine, RunReport};

use crate::cli::{self, RunHypervisor};

use ktap::Reader;
use machine::{GUEST_MEMORY, check, hypervisor, role, topology};
use results::Results;

/// A guest's virtual processors, unless the user says otherwise.
const GUEST_VCPUS: u32 = 2;

/// Prepares everything, runs the command, and exits with the status that says how that ended.
pub fn run(session: &Session, args: cli::Run) -> Result<ExitCode> {
    let args = &config_file::complete(args)?;
    let role = role(args.role.context("--as is missing")?);
    check(args, role)?;
    let driver = match (args.drivers, &args.kernel) {
        (Some(cli::Driver::C), _) | (None, Some(_)) => Driver::C,
        (Some(cli::Driver::Rust), _) | (None, None) => Driver::Rust,
    };
    let root = root(session, args)?;
    let disks = disks(args, root.as_ref())?;
    let wanted = Wanted {
        role,
        disk: !disks.is_empty(),
        network: args.net,
        by_port: hypervisor(args) == RunHypervisor::Kvm,
        file_systems: root.as_ref().map_or(vec![], CommandRoot::file_systems),
    };
    let shared = match &root {
        Some(CommandRoot::Shared(folder)) => Some(folder.clone()),
        _ => None,
    };
    let folder = start_folder(shared.as_deref())?;
    let images = prepare(session, args, &wanted, driver)?
        .with_guest_disks(disks)
        .with_shared_folder(shared)
        .with_network(args.net);
    let options = Options {
        role,
        machine: match hypervisor(args) {
            RunHypervisor::Xen | RunHypervisor::Paravane => RunMachine::Hypervisor,
            RunHypervisor::Kvm => RunMachine::QemuXen,
        },
        topology: topology(args, role, driver),
        driver,
        vcpus: args.vcpus.unwrap_or(GUEST_VCPUS),
        memory: args.memory.unwrap_or(GUEST_MEMORY),
        root: match &root {
            None => RootAt::Initramfs,
            Some(CommandRoot::Image(image)) => RootAt::Disk(image.file_system.1),
            Some(CommandRoot::Shared(_)) => RootAt::Shared,
        },
        folder,
        network: args.net,
        args: args.append.clone().unwrap_or_default(),
        command: args.command.clone(),
        timeout: args.timeout.map(Duration::from_secs),
        boots: args.no_snapshots,
        input: !io::stdin().is_terminal(),
    };
    let mut reader = Reader::default();
    let report = vmtest::run::run(session, &images, &options, &mut |stream, data| {
        pass_on(session, stream, data);
        if stream == 1 {
            reader.push(data);
        }
    })?;
    tell(session, &report);
    let results = Results {
        report: &report,
        cases: &reader.finish(),
    };
    results::write(args.results.as_deref(), || results.json())?;
    results::write(args.junit.as_deref(), || results.junit())?;
    if args.lava {
        print!("{}", results.lava());
    }
    Ok(ExitCode::from(status::of(&report.ending, args.bisect)))
}

/// The command's root, if it is not in memory.
fn root(session: &Session, args: &cli::Run) -> Result<Option<CommandRoot>> {
    let Some(path) = &args.root else {
        return Ok(None);
    };
    let suite = session.config.suite(&session.config.profile(None)?.suite)?;
    let sandbox = Sandbox::open(session, suite)?;
    root::open(session, &sandbox, path).map(Some)
}

/// Where the command starts in a folder of this machine: where we are, as in virtme-ng, if that is in the folder.
fn start_folder(shared: Option<&Path>) -> Result<PathBuf> {
    let here = env::current_dir().context("the current folder is gone")?;
    let inside = shared.and_then(|shared| here.strip_prefix(shared).ok());
    Ok(Path::new("/").join(inside.unwrap_or(Path::new(""))))
}

/// The guest's disks in their order.
fn disks(args: &cli::Run, root: Option<&CommandRoot>) -> Result<Vec<PathBuf>> {
    let absolute = |file: &PathBuf| {
        let shown = file.display();
        file.canonicalize()
            .with_context(|| format!("--disk names {shown}, which cannot be found"))
    };
    let mut files = match root {
        Some(CommandRoot::Image(image)) => vec![image.file.clone()],
        _ => vec![],
    };
    for file in &args.disk {
        files.push(absolute(file)?);
    }
    guest_disks::check(&files)?;
    Ok(files)
}

/// Makes what is missing.
fn prepare(session: &Session, args: &cli::Run, wanted: &Wanted, driver: Driver) -> Result<Images> {
    let xen = args.xen.as_deref();
    let profile = session.config.profile(None)?;
    let suite = session.config.suite(&profile.suite)?;
    let needs_modules = driver == Driver::Rust;
    branches::fork(|branches| {
        let agent = branches.spawn_behind(|| agent::build(session));
        let userland = branches.spawn_behind(|| {
            let packages = resolve::xen(session, &suite.name, xen)?;
            Userland::open(session, suite, &packages)
        });
        let own = match &args.kernel {
            Some(path) => Some(user_kernel(session, args, path, wanted)?),
            None => None,
        };
        // Building against Debian's kernel takes its metadata, booting it does not.
        let (stock, sandbox) = match own.is_none() && needs_modules {
            true => Kernel::open(session, profile)?,
            false => Kernel::open_to_boot(session, profile)?,
        };
        let modules = match (&own, needs_modules) {
            (_, false) => None,
            (Some(own), true) => Some(modules_for(session, own)?),
            (None, true) => Some(Modules::build(
                session,
                &sandbox,
                &stock,
                BuildOptions::default(),
            )?),
        };
        let (agent, userland) = (agent.join()?, userland.join()?);
        let kernel = own.as_ref().map_or(&stock, |own| &own.kernel);
        let make = |kernel: &Kernel, modules: Option<&Modules>| {
            Images::make(session, &sandbox, kernel, modules, xen, &agent)
        };
        if wanted.role.is_dom0() {
            let images = make(kernel, modules.as_ref())?;
            return match hypervisor(args) {
                RunHypervisor::Paravane => images.with_paravane(session),
                RunHypervisor::Xen | RunHypervisor::Kvm => Ok(images),
            };
        }
        let extra = wanted.file_systems.iter().map(|(_, module)| *module);
        let port = ["virtio_pci", "virtio_console"];
        let port = port.into_iter().filter(|_| wanted.by_port);
        let extra: Vec<_> = extra.chain(port).collect();
        let guest = GuestKernel::make(
            session,
            &sandbox,
            &userland,
            kernel,
            modules.as_ref(),
            &agent,
            &extra,
        )?;
        // Dom0 is the same whatever the guest runs, so that a snapshot of it serves all.
        let (dom0, _) = Kernel::open_to_boot(session, profile)?;
        Ok(make(&dom0, None)?.with_guest_kernel(guest))
    })
}

/// Takes over the user's kernel, and refuses one that lacks what is asked of it.
fn user_kernel(
    session: &Session,
    args: &cli::Run,
    path: &Path,
    wanted: &Wanted,
) -> Result<UserKernel> {
    let suite = session.config.suite(&session.config.profile(None)?.suite)?;
    let sandbox = Sandbox::open(session, suite)?;
    let own = intake::open(session, &sandbox, path, args.modules.as_deref())?;
    own.facts.check(wanted)?;
    Ok(own)
}

/// Our modules for the user's kernel: built against its folder, or, for a kernel of the archive, against what is made from the
/// archive's source.
fn modules_for(session: &Session, own: &UserKernel) -> Result<Modules> {
    if let Some(build) = &own.build {
        return own::build(session, build, BuildOptions::default());
    }
    let release = &own.facts.release;
    // The default one is asked for if nobody has yet.
    let default = session.config.profile(None)?;
    let newest = resolve::kernel(session, default)?.release;
    let binary = session.config.profiles.values();
    let mut binary = binary.filter(|profile| profile.kind == KernelKind::Binary);
    let known = binary.find(|profile| {
        resolve::known_kernel(session, profile).is_some_and(|known| known.release == *release)
    });
    let profile = known.with_context(|| {
        format!(
            "our modules are built against the folder that {release} was built in: name that folder by --kernel, or use \
             --drivers c. For Debian's {newest} they are built without one"
        )
    })?;
    let (kernel, sandbox) = Kernel::open(session, profile)?;
    Modules::build(session, &sandbox, &kernel, BuildOptions::default())
}

/// Prints what the command has written, on the same stream.
fn pass_on(session: &Session, stream: u8, data: &[u8]) {
    session.ui.suspend(|| {
        // A reader that went away ends us by a signal.
        let _ = match stream {
            1 => {
                let mut out = io::stdout();
                out.write_all(data).and_then(|()| out.flush())
            }
            _ => io::stderr().write_all(data),
        };
    });
}

/// Says on standard error how it ended, unless the command says it.
fn tell(session: &Session, report: &RunReport) {
    let error = style("error:").for_stderr().red().bold();
    for complaint in &report.complaints {
        session
            .ui
            .line(&format!("    note: a kernel complained: {complaint}"));
    }
    let how = match &report.ending {
        Ending::Ended(_) => return,
        Ending::Died(why) => format!("the kernel failed: {why}"),
        Ending::TimedOut => "the time is over".to_owned(),
    };
    for line in report.last_lines() {
        session.ui.line(&format!("    | {line}"));
    }
    let console = report.console.display();
    session
        .ui
        .line(&format!("{error} {how}\nThe console: {console}"));
}
