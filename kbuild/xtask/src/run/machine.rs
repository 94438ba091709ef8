// SPDX-License-Identifier: GPL-2.0

//! The machine that the options of `run` ask for, and what of them cannot be had together.

use std::path::Path;

use anyhow::{Result, bail};
use kbuild::accel::{AccelNeed, KvmFacts};
use kbuild::intake::needs::Role;
use vmtest::topology::Devices;
use vmtest::{Driver, Topology};

use crate::cli::{self, RunAs, RunHypervisor};

/// A guest's memory in MiB, unless the user says otherwise: virtme-ng's.
pub const GUEST_MEMORY: u32 = 1024;

/// What Xen needs of the machine's memory besides that of its domains, in MiB.
const XEN_MEMORY: u32 = 512;

pub fn hypervisor(args: &cli::Run) -> RunHypervisor {
    args.hypervisor.unwrap_or(RunHypervisor::Xen)
}

pub fn role(role: RunAs) -> Role {
    match role {
        RunAs::Pv => Role::PvGuest,
        RunAs::Pvh => Role::PvhGuest,
        RunAs::Hvm => Role::HvmGuest,
        RunAs::Dom0Pv => Role::PvDom0,
        RunAs::Dom0Pvh => Role::PvhDom0,
    }
}

/// The machine: a guest's has a PV dom0 of Debian's kernel, on that kernel's own drivers.
pub fn topology(args: &cli::Run, role: Role, driver: Driver) -> Topology {
    if role.is_dom0() {
        return with_dom0(args, role, driver);
    }
    let guest = args.memory.unwrap_or(GUEST_MEMORY);
    let topology = Topology::PV;
    Topology {
        devices: Devices::GuestKernel,
        memory: topology
            .memory
            .max(topology.dom0_memory + guest + XEN_MEMORY),
        ..topology
    }
}

/// A machine whose dom0 is tried.
fn with_dom0(args: &cli::Run, role: Role, driver: Driver) -> Topology {
    let topology = match (role, hypervisor(args)) {
        (Role::PvhDom0, RunHypervisor::Paravane) => Topology::PARAVANE,
        (Role::PvhDom0, _) => Topology::PVH,
        _ => Topology::PV,
    };
    // Under Paravane the kernel's own are used, whichever are there.
    let topology = match (driver, hypervisor(args)) {
        (Driver::Rust, RunHypervisor::Xen) => topology.with_our_device_files(),
        _ => topology,
    };
    let memory = args.memory.unwrap_or(topology.dom0_memory);
    let vcpus = args.vcpus.unwrap_or(topology.dom0_vcpus);
    Topology {
        // What is left for guests stays as it is, and so do the processors that dom0 has no part of.
        memory: topology.memory - topology.dom0_memory + memory,
        dom0_memory: memory,
        cpus: topology.cpus - topology.dom0_vcpus + vcpus,
        dom0_vcpus: vcpus,
        dom0_args: words(topology.dom0_args, args.append.as_deref()),
        ..topology
    }
}

/// The words of dom0's command line with the user's behind them. There is one machine in the program's life.
fn words(ours: &'static str, users: Option<&str>) -> &'static str {
    match users {
        None | Some("") => ours,
        Some(users) => format!("{ours} {users}").trim().to_owned().leak(),
    }
}

/// Refuses what cannot be had together.
pub fn check(args: &cli::Run, role: Role) -> Result<()> {
    if hypervisor(args) == RunHypervisor::Paravane && role != Role::PvhDom0 {
        bail!(
            "--hypervisor paravane has no guests and no PV dom0 yet: --as dom0-pvh is what it runs"
        );
    }
    if hypervisor(args) == RunHypervisor::Kvm {
        check_kvm(args, role)?;
    }
    if role.is_dom0() && (args.net || args.root.is_some() || !args.disk.is_empty()) {
        bail!("--root, --disk and --net are for guests");
    }
    Ok(())
}

/// Refuses what QEMU's own Xen interface does not have, and a machine that does not have it.
fn check_kvm(args: &cli::Run, role: Role) -> Result<()> {
    if role != Role::HvmGuest {
        bail!(
            "--hypervisor kvm is for --as hvm: QEMU's own Xen interface has neither PV nor PVH guests, and no dom0"
        );
    }
    if args.xen.is_some() {
        bail!("--xen goes with --hypervisor xen");
    }
    if let Some(lack) = KvmFacts::read(Path::new("/")).lack(AccelNeed::Plain) {
        bail!("--hypervisor kvm is QEMU's own Xen interface, which only KVM has: {lack}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(memory: Option<u32>, vcpus: Option<u32>, append: Option<&str>) -> cli::Run {
        cli::Run {
            memory,
            vcpus,
            append: append.map(str::to_owned),
            ..cli::Run::default()
        }
    }

    #[test]
    fn a_dom0_that_is_tried_gets_what_is_asked_for() {
        let args = asked(Some(2048), Some(4), Some("quiet a=1"));
        for (role, spare) in [(Role::PvDom0, 0), (Role::PvhDom0, 1)] {
            let machine = topology(&args, role, Driver::C);
            assert_eq!((machine.dom0_memory, machine.dom0_vcpus), (2048, 4));
            assert_eq!(machine.cpus, 4 + spare);
            let for_guests = |topology: &Topology| topology.memory - topology.dom0_memory;
            assert_eq!(for_guests(&machine), for_guests(&Topology::PV));
            assert_eq!(machine.dom0_args, "quiet a=1");
        }
        let ours = topology(&args, Role::PvDom0, Driver::Rust).dom0_args;
        assert_eq!(ours, "paravane.dom0_drivers=rust quiet a=1");
        let paravane = cli::Run {
            hypervisor: Some(RunHypervisor::Paravane),
            ..args
        };
        let machine = topology(&paravane, Role::PvhDom0, Driver::Rust);
        assert_eq!(machine.dom0_args, "quiet a=1");
        assert_eq!(machine.dom0_vcpus, 4);
    }

    #[test]
    fn without_wishes_the_machine_is_the_tests() {
        let none = asked(None, None, None);
        assert_eq!(topology(&none, Role::PvDom0, Driver::C), Topology::PV);
        assert_eq!(topology(&none, Role::PvhDom0, Driver::C), Topology::PVH);
        assert_eq!(
            topology(&none, Role::PvDom0, Driver::Rust),
            Topology::PV.with_our_device_files()
        );
        // Whatever a guest is given, dom0 is the same, so that one snapshot serves all.
        let guests = [none, asked(Some(512), Some(16), Some("quiet"))];
        let [one, other] = guests.map(|args| topology(&args, Role::PvGuest, Driver::C));
        assert_eq!(one, other);
        let large = topology(&asked(Some(8192), None, None), Role::PvhGuest, Driver::C);
        assert!(large.memory >= large.dom0_memory + 8192 + XEN_MEMORY);
    }

    #[test]
    fn what_cannot_be_had_together_is_refused_by_the_options_names() {
        let refusal = |args: &cli::Run, role| check(args, role).err().map(|e| e.to_string());
        let on = |hypervisor| cli::Run {
            hypervisor: Some(hypervisor),
            ..cli::Run::default()
        };
        let said = refusal(&on(RunHypervisor::Paravane), Role::PvhGuest).unwrap();
        assert!(said.contains("--as dom0-pvh"), "{said}");
        assert_eq!(refusal(&on(RunHypervisor::Paravane), Role::PvhDom0), None);
        let said = refusal(&on(RunHypervisor::Kvm), Role::PvGuest).unwrap();
        assert!(said.contains("--as hvm"), "{said}");
        let xen = cli::Run {
            xen: Some("4.20".into()),
            ..on(RunHypervisor::Kvm)
        };
        let said = refusal(&xen, Role::HvmGuest).unwrap();
        assert!(said.contains("--xen goes with --hypervisor xen"), "{said}");
        for args in [
            cli::Run {
                net: true,
                ..cli::Run::default()
            },
            cli::Run {
                root: Some("/".into()),
                ..cli::Run::default()
            },
            cli::Run {
                disk: vec!["a".into()],
                ..cli::Run::default()
            },
        ] {
            assert!(refusal(&args, Role::PvDom0).is_some(), "{args:?}");
            assert_eq!(refusal(&args, Role::PvhGuest), None);
        }
    }
}
