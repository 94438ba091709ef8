// SPDX-License-Identifier: GPL-2.0

//! The hypervisor as people's machines boot it: GRUB loads it from a disk by multiboot 2, with the kernel as its package
//! has it.

use anyhow::{Result, ensure};

use crate::context::Machines;
use crate::host::Start;
use crate::matrix::Cell;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::{Hypervisor, Kernel, Loader, Topology};

/// The command line has characters that GRUB's shell and QEMU's options would take for theirs.
const MACHINE: Topology = Topology {
    kernel: Kernel::Packed,
    loader: Loader::Grub,
    ..Topology::PARAVANE.dom0_args("paravane.test=a;b,c$d")
};

/// A machine with UEFI instead of a BIOS: ACPI's tables are elsewhere, and firmware uses other memory.
const UEFI: Topology = Topology {
    loader: Loader::GrubByUefi,
    ..MACHINE
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::alone(
        "hypervisor.grub_boots_it_by_multiboot2{on_xen}",
        MACHINE,
        grub_boots_it,
    )
    .on_each(&Cell::on_both_hypervisors(MACHINE)),
    Scenario::alone("hypervisor.grub_boots_it_by_uefi", UEFI, grub_boots_it).full(),
];

fn grub_boots_it(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let host = machines.start(&topology, Start::Boot)?;
    let dom0 = host.dom0();
    let console = host.console();
    let said = match topology.hypervisor {
        Hypervisor::Paravane => "loaded by GRUB 2",
        Hypervisor::Xen => "Bootloader: GRUB 2",
    };
    ensure!(
        console.contains(said),
        "the hypervisor does not say {said:?}"
    );
    ensure!(
        !console.contains("is left out:"),
        "the hypervisor does not understand its command line as GRUB passes it"
    );
    // Whole command lines, from the first word to the last.
    let line = dom0.sh("xl info | sed -n 's/^xen_commandline *: //p'")?;
    ensure!(
        line.contains("console=com1") && line.contains("loglvl=all"),
        "the hypervisor's command line is {line:?}"
    );
    let line = dom0.sh("cat /proc/cmdline")?;
    let begin = match topology.hypervisor {
        // Without an IOMMU dom0 has to bounce what its devices transfer.
        Hypervisor::Paravane => "swiotlb=force console=hvc0 ",
        Hypervisor::Xen => "console=hvc0 ",
    };
    ensure!(
        line.starts_with(begin) && line.ends_with("paravane.test=a;b,c$d"),
        "dom0's command line is {line:?}"
    );
    let vcpus = dom0.sh("nproc")?;
    ensure!(vcpus == topology.dom0_vcpus.to_string());
    if topology.loader == Loader::Grub {
        disk_is_the_same(dom0)?;
    }
    let time = host.boot_time.as_secs_f32();
    machines.note(format!("dom0 was up {time:.1} s after QEMU's start"));
    host.power_off()
}

/// The disk that GRUB read from by the BIOS has for dom0's own driver the same content.
fn disk_is_the_same(dom0: &Place) -> Result<()> {
    let sums = dom0.sh(
        "set -e; modprobe -a ahci sd_mod; n=0; until [ -b /dev/sda1 ]; do sleep 0.1; n=$((n+1)); [ $n -lt $((100 * PACE)) ]; done; \
         mkdir -p /tmp/boot; mount -t ext4 -o ro /dev/sda1 /tmp/boot; \
         for file in /tmp/boot/boot/vmlinuz /payload/boot/vmlinuz; do sha256sum < $file; done; umount /tmp/boot",
    )?;
    let (read, wanted) = sums.split_once('\n').unwrap_or_default();
    ensure!(
        read == wanted && !read.is_empty(),
        "dom0 reads from its disk another kernel than GRUB: {sums:?}"
    );
    Ok(())
}
