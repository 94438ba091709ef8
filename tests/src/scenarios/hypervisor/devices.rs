// SPDX-License-Identifier: GPL-2.0

//! Dom0 drives the machine's disks and networks, with MSI-X, MSI and INTx.

use anyhow::{Context, Result, bail, ensure};

use crate::context::Ctx;
use crate::devices::{self, DISKS, InterruptKind, Interrupts, NETS};
use crate::guest::Mode;
use crate::matrix::Cell;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The machine with a dom0 that does not use MSI and MSI-X.
const WITHOUT_MSI: Topology =
    Topology::PARAVANE_REAL.dom0_args("paravane.toolstack=none pci=nomsi");

/// The machine with the toolstack.
const WITH_GUESTS: Topology = Topology::PARAVANE_REAL.dom0_args("");

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "hypervisor.configuration_space_is_whole{on_xen}",
        configuration_space_is_whole,
    )
    .on_each(MSI),
    Scenario::new("hypervisor.disks_keep_data{on_xen}", disks_keep_data).on_each(MSI),
    Scenario::new(
        "hypervisor.msix_vectors_come_and_go{on_xen}",
        msix_vectors_come_and_go,
    )
    .on_each(MSI)
    .full(),
    Scenario::new(
        "hypervisor.interrupts_come_once_while_the_memory_map_changes",
        interrupts_come_once,
    )
    .on(Topology::PARAVANE_REAL),
    Scenario::new("hypervisor.networks_keep_data{on_xen}", networks_keep_data).on_each(MSI),
    Scenario::new(
        "hypervisor.disks_keep_data_by_intx{on_xen}",
        disks_keep_data,
    )
    .on_each(INTX),
    Scenario::new(
        "hypervisor.networks_keep_data_by_intx{on_xen}",
        networks_keep_data,
    )
    .on_each(INTX)
    .full(),
    Scenario::new(
        "hypervisor.guests_pages_reach_the_disks",
        guests_pages_reach_the_disks,
    )
    .on(WITH_GUESTS),
];

/// Both hypervisors, with MSI and MSI-X.
const MSI: &[Cell] = &Cell::on_both_hypervisors(Topology::PARAVANE_REAL);

/// Both hypervisors, with INTx only.
const INTX: &[Cell] = &Cell::on_both_hypervisors(WITHOUT_MSI);

fn disks_keep_data(ctx: &mut Ctx<'_>) -> Result<()> {
    let mib = ctx.rounds(16, 256);
    for disk in DISKS {
        disk.check(ctx.host.dom0(), mib)?;
        let found = disk.interrupts(ctx.host.dom0())?;
        interrupted(ctx, disk.module, disk.interrupts, &found)?;
        // Some ten for each MiB at most, both ways; a line that stays up makes thousands a second.
        ensure!(
            found.count < 1000 + 64 * u64::from(mib),
            "{} interrupted {} times for {mib} MiB",
            disk.module,
            found.count
        );
    }
    Ok(())
}

/// A driver that is loaded again sets up its vectors anew: first one, then one for each processor.
fn msix_vectors_come_and_go(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let [_, nvme, ..] = DISKS;
    for _ in 0..ctx.rounds(5, 100) {
        let node = nvme.start(dom0)?;
        dom0.sh(&format!(
            "dd if={node} of=/dev/null bs=64k count=16 iflag=direct status=none && modprobe -r {}",
            nvme.module
        ))?;
    }
    Ok(())
}

/// While one of dom0's processors takes many interrupts, another one enables and disables the BARs of a network interface that
/// nobody uses. The emulator stops all processors for that, and must not deliver an interrupt twice ([`crate::fault`]).
fn interrupts_come_once(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let [_, nvme, ..] = DISKS;
    let node = nvme.start(dom0)?;
    let script = format!(
        "set -e; modprobe -r e1000 2>/dev/null || true
         for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) != 0x100e ] || break; done; cd $d
         command() {{ dd if=$1 of=config bs=1 seek=4 conv=notrunc status=none; }}
         dd if=config of=/tmp/before bs=1 skip=4 count=1 status=none
         printf '\\001' > /tmp/off; printf '\\003' > /tmp/on
         dd if={node} of=/dev/null bs=4k count=2000 iflag=direct status=none & reader=$!
         changes=0
         while kill -0 $reader 2>/dev/null; do command /tmp/on; command /tmp/off; changes=$((changes+2)); done
         wait $reader; command /tmp/before; echo $changes"
    );
    let mut changes = 0;
    for _ in 0..ctx.rounds(4, 40) {
        changes += dom0.sh(&script)?.parse::<u32>()?;
    }
    ctx.note(format!("the memory map changed {changes} times"));
    ensure!(changes > 100, "the memory map changed {changes} times only");
    Ok(())
}

fn networks_keep_data(ctx: &mut Ctx<'_>) -> Result<()> {
    let mib = ctx.rounds(4, 256);
    let [e1000e, e1000, virtio] = NETS;
    let wires = [(e1000e, virtio), (virtio, e1000e), (e1000, virtio)];
    // The last one has nothing but INTx.
    let count = ctx.rounds(2, 3) as usize;
    for (from, to) in wires.into_iter().take(count) {
        let found = devices::check_wire(ctx.host.dom0(), from, to, mib)?;
        for (net, found) in [from, to].iter().zip(&found) {
            interrupted(ctx, net.module, net.interrupts, found)?;
        }
    }
    Ok(())
}

/// What a guest writes to whole disks of dom0, and reads from them, passes dom0's bounce buffers: without an IOMMU the disks do
/// not reach the guest's pages.
fn guests_pages_reach_the_disks(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let [_, nvme, virtio, _] = DISKS;
    let nodes = [nvme.start(dom0)?, virtio.start(dom0)?];
    let disks = [(&*nodes[0], "xvdb"), (&*nodes[1], "xvdc")];
    let mib = ctx.rounds(8, 64);
    devices::check_guest_disks(ctx.host, ctx.driver, Mode::Pvh, &disks, mib)?;
    let line = ctx.host.dom0().sh("cat /proc/cmdline")?;
    ensure!(line.contains("swiotlb=force"), "dom0 has {line:?}");
    let most = devices::bounced(ctx.host.dom0())?;
    ctx.note(format!(
        "at most {most} slots of the pool were used at a time"
    ));
    Ok(())
}

/// A PCI Express device's registers beyond the first 256 bytes are read and written: the mask of the errors that it does
/// not report (PCI Express base specification, 7.8.4), a byte of it.
fn configuration_space_is_whole(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let found = dom0.sh(
        "set -e; for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) != 0x10d3 ] || break; done; cd $d; \
         stat -c %s config; word() { od -An -tx4 -j$1 -N4 config | tr -d ' '; }; \
         change() { printf $1 | dd of=config bs=1 seek=266 conv=notrunc 2>/dev/null; }; \
         old=$(od -An -to1 -j266 -N1 config | tr -d ' '); \
         word 256; word 264; change '\\020'; word 264; change \"\\\\$old\"; word 264",
    )?;
    let words: Vec<_> = found.lines().collect();
    let [size, capability, before, changed, after] = words[..] else {
        bail!("dom0 reads {found:?}");
    };
    ensure!(size == "4096", "dom0 sees {size} bytes of registers");
    ensure!(
        capability.ends_with("0001"),
        "the first capability is {capability}, not that of reporting errors"
    );
    let word =
        |text: &str| u32::from_str_radix(text, 16).with_context(|| format!("dom0 reads {text:?}"));
    ensure!(
        word(changed)? == word(before)? & 0xff00_ffff | 0x0010_0000 && after == before,
        "the mask was {before}, then {changed}, then {after}"
    );
    Ok(())
}

/// A device interrupted, in the way it was to.
fn interrupted(
    ctx: &mut Ctx<'_>,
    name: &str,
    usual: InterruptKind,
    found: &Interrupts,
) -> Result<()> {
    let lines = ctx.host.topology().dom0_args.contains("pci=nomsi");
    let wanted = if lines { InterruptKind::Intx } else { usual };
    ensure!(
        found.kind == wanted && found.count > 0,
        "{name} has interrupts {found:?}, and should have some of {wanted:?}"
    );
    ctx.note(format!(
        "{name}: {} interrupts, {:?}",
        found.count, found.kind
    ));
    Ok(())
}
