// SPDX-License-Identifier: GPL-2.0

//! PCI devices' interrupts below the hypervisor, on an overlay kernel: once with the Rust objects and once with the C objects in
//! their place. What is seen of devices has to be the same; the table for bring-up only ours have.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::devices::{self, DISKS, NETS};
use crate::guest::Guest;
use crate::matrix::Kernels;
use crate::overlay::is_ours;
use crate::passed;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::scenarios::pcifront::disk_keeps_content;
use crate::tables::{DISPUTED, OVERRIDDEN};
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    on_both_kernels("plumbing.devices_interrupt", devices_interrupt).by_default(),
    on_both_kernels("plumbing.power_button_is_heard", power_button_is_heard).by_default(),
    on_both_kernels("plumbing.processors_are_told", processors_are_told).on(Topology::PV_MISLED),
    on_both_kernels("plumbing.wrong_tables_end_right", wrong_tables_end_right)
        .on(Topology::PV_MISLED),
    on_both_kernels("plumbing.hvm_guest_has_pirqs", hvm_guest_has_pirqs).on(Topology::PV),
    on_both_kernels(
        "plumbing.pv_guest_has_passed_devices",
        pv_guest_has_passed_devices,
    )
    .on(Topology::PASSED),
    on_both_kernels(
        "plumbing.pvh_dom0_has_its_devices",
        pvh_dom0_has_its_devices,
    )
    .on(Topology::PVH_REAL),
    on_both_kernels(
        "plumbing.pvh_dom0_gives_a_device_away",
        pvh_dom0_gives_a_device_away,
    )
    .on(Topology::PVH_PASSED),
];

/// A scenario that passes on both kernels: with our objects and with the kernel's own.
const fn on_both_kernels(name: &'static str, run: fn(&mut Ctx<'_>) -> Result<()>) -> Scenario {
    Scenario::new(name, run)
        .on(Topology::PV_REAL)
        .only_on(Kernels::OURS_AND_C)
}

const TABLE: &str = "/sys/kernel/debug/xen/interrupts";

/// A row of the table.
#[derive(Debug)]
struct Row {
    device: String,
    pin: String,
    gsi: Option<u32>,
    wanted: String,
    set: String,
    pirq: Option<u32>,
    port: Option<u32>,
    irq: Option<u32>,
    cpu: Option<u32>,
    count: u64,
    mismatch: Option<String>,
}

/// Reads the table.
fn table(place: &Place) -> Result<Vec<Row>> {
    let text = place.sh(&format!("cat {TABLE}"))?;
    let mut lines = text.lines();
    let head = "device pin GSI requested(by) programmed pirq port IRQ CPU count";
    let first: Vec<_> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    ensure!(first.join(" ") == head, "not a table:\n{text}");
    let rows = lines.map(|line| row(line).with_context(|| format!("not a row: {line}")));
    rows.collect()
}

fn row(line: &str) -> Option<Row> {
    let (fields, mismatch) = match line.split_once(" ! ") {
        Some((fields, reason)) => (fields, Some(reason.to_owned())),
        None => (line, None),
    };
    let fields: Vec<_> = fields.split_whitespace().collect();
    let [device, pin, gsi, wanted, set, pirq, port, irq, cpu, count] = fields.try_into().ok()?;
    let number = |text: &str| match text {
        "-" => Some(None),
        text => text.parse().ok().map(Some),
    };
    Some(Row {
        device: device.into(),
        pin: pin.into(),
        gsi: number(gsi)?,
        wanted: wanted.into(),
        set: set.into(),
        pirq: number(pirq)?,
        port: number(port)?,
        irq: number(irq)?,
        cpu: number(cpu)?,
        count: count.parse().ok()?,
        mismatch,
    })
}

/// What `/proc/interrupts` has of each number: how often it came, and the words after that.
fn interrupts(place: &Place) -> Result<BTreeMap<u32, (u64, String)>> {
    let text = place.sh("cat /proc/interrupts")?;
    let line = |line: &str| {
        let (irq, _) = line.split_once(':')?;
        Some((irq.trim().parse().ok()?, devices::interrupt(line)?))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Loads the drivers of all devices and has each of them interrupt. They are in use afterwards.
fn use_devices(ctx: &Ctx<'_>, mib: u32) -> Result<()> {
    let dom0 = ctx.host.dom0();
    for disk in DISKS {
        disk.check(dom0, mib)?;
    }
    let [e1000e, e1000, virtio] = NETS;
    devices::check_wire(dom0, e1000e, e1000, mib)?;
    devices::check_wire(dom0, virtio, e1000e, mib)?;
    for net in NETS {
        // A device comes back from a network that is gone some time after that.
        let interface = net.start(dom0)?;
        dom0.sh(&format!("ip link set {interface} up"))?;
    }
    Ok(())
}

/// Where the device is that a module drives.
fn device_of(dom0: &Place, module: &str) -> Result<String> {
    dom0.sh(&format!(
        "for d in /sys/bus/pci/devices/*; do \
         [ \"$(basename $(readlink $d/driver/module) 2>/dev/null)\" = {module} ] && basename $d && exit; done; exit 1"
    ))
}

/// Every device interrupts in the way it can do best, its data is right, and the table says so.
fn devices_interrupt(ctx: &mut Ctx<'_>) -> Result<()> {
    use_devices(ctx, 4)?;
    let dom0 = ctx.host.dom0();
    let seen = interrupts(dom0)?;
    let of = |words: &[&str]| {
        let all = seen.values();
        all.filter(|(count, name)| *count > 0 && words.iter().all(|word| name.contains(word)))
            .count()
    };
    for (kind, name) in [
        ("-msi ", "ahci"),
        ("-msi-x ", "nvme"),
        ("ioapic-level", "sym53c8xx"),
        ("-msi-x ", "virtio"),
    ] {
        ensure!(
            of(&["xen-pirq", kind, name]) > 0,
            "no {kind} of {name}: {seen:?}"
        );
    }
    if !is_ours(ctx.host) {
        ensure!(
            dom0.run(&format!("cat {TABLE}"))?.fails().is_ok(),
            "the C objects have {TABLE}"
        );
        return Ok(());
    }
    let rows = table(dom0)?;
    for row in &rows {
        ensure!(row.mismatch.is_none(), "{row:?}");
    }
    agrees_with_the_kernel(&rows, &interrupts(dom0)?)?;
    for (module, pin) in [("ahci", "msi"), ("nvme", "msix"), ("e1000e", "msix")] {
        let device = device_of(dom0, module)?;
        let mut of_device = rows.iter().filter(|row| row.device == device);
        ensure!(
            of_device.any(|row| row.pin.starts_with(pin)
                && row.count > 0
                && row.port.is_some()
                && row.cpu.is_some()),
            "no {pin} of {device}: {rows:?}"
        );
    }
    for module in ["sym53c8xx", "e1000"] {
        let device = device_of(dom0, module)?;
        let row = rows.iter().find(|row| row.device == device);
        let row = row.with_context(|| format!("no row of {device}: {rows:?}"))?;
        ensure!(
            row.pin == "A" && row.gsi.is_some() && row.gsi == row.pirq,
            "{row:?}"
        );
        ensure!(row.wanted == format!("{}(_PRT)", row.set), "{row:?}");
    }
    let sci = rows.iter().find(|row| row.gsi == Some(9));
    let sci = sci.context("no row of ACPI's own interrupt")?;
    ensure!(
        sci.device == "-" && sci.set == "level,high" && sci.port.is_some(),
        "{sci:?}"
    );
    ctx.note(format!("{} rows, all of them right", rows.len()));
    Ok(())
}

/// What the table says of pirqs' numbers and counts is what `/proc/interrupts` says. That was read later.
fn agrees_with_the_kernel(rows: &[Row], seen: &BTreeMap<u32, (u64, String)>) -> Result<()> {
    let mut compared = 0;
    for row in rows {
        let Some((irq, port)) = row.irq.zip(row.port) else {
            continue;
        };
        let (count, name) = seen.get(&irq).with_context(|| {
            format!("port {port} has a number that the kernel does not: {row:?}")
        })?;
        ensure!(
            row.count <= *count && *count < row.count + 10_000,
            "counted {count}: {row:?}"
        );
        let kind = match row.pin.trim_end_matches(char::is_numeric) {
            "msi" => "-msi ",
            "msix" => "-msi-x ",
            _ if name.contains("pcifront") => "-pcifront",
            _ => "-ioapic-",
        };
        ensure!(
            name.contains("xen-pirq") && name.contains(kind),
            "{name}: {row:?}"
        );
        compared += 1;
    }
    let pirqs = seen
        .values()
        .filter(|(_, name)| name.contains("xen-pirq"))
        .count();
    ensure!(
        compared >= pirqs.min(8),
        "{compared} of {pirqs} were compared: {rows:?}"
    );
    Ok(())
}

/// ACPI's interrupt arrives: the machine's power button is pressed.
fn power_button_is_heard(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let presses = "awk '{ print $1 }' /sys/firmware/acpi/interrupts/ff_pwr_btn";
    let before: u32 = dom0.sh(presses)?.parse()?;
    ctx.host.monitor("system_powerdown")?;
    dom0.wait_for(
        "the power button",
        Duration::from_secs(20),
        presses,
        |text| text.parse() == Ok(before + 1),
    )?;
    if is_ours(ctx.host) {
        let rows = table(dom0)?;
        let sci = rows
            .iter()
            .find(|row| row.gsi == Some(9))
            .context("no row")?;
        ensure!(sci.count > 0, "{sci:?}");
    }
    Ok(())
}

/// The module that tells the hypervisor of processors' states has some to tell.
fn processors_are_told(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    dom0.sh("modprobe xen-acpi-processor")?;
    let said = dom0.sh("dmesg | grep 'xen_acpi_processor: Uploading'")?;
    ctx.note(said);
    Ok(())
}

/// Firmware is wrong about a line of PCI devices, and overrides another: the devices work, and the table says what was wrong.
fn wrong_tables_end_right(ctx: &mut Ctx<'_>) -> Result<()> {
    use_devices(ctx, 2)?;
    if !is_ours(ctx.host) {
        return Ok(());
    }
    let rows = table(ctx.host.dom0())?;
    let overridden = rows.iter().find(|row| row.gsi == Some(OVERRIDDEN));
    let overridden = overridden.with_context(|| format!("no row: {rows:?}"))?;
    ensure!(overridden.wanted == "level,low(MADT)", "{overridden:?}");
    ensure!(overridden.set.starts_with("level,low"), "{overridden:?}");
    let disputed: Vec<_> = rows
        .iter()
        .filter(|row| row.gsi == Some(DISPUTED))
        .collect();
    ensure!(!disputed.is_empty(), "no row of line {DISPUTED}: {rows:?}");
    for row in disputed {
        let reason = row.mismatch.as_deref().unwrap_or_default();
        ensure!(
            reason == "requested as edge,low first, as level,high last",
            "{row:?}"
        );
        ensure!(row.set.starts_with("level,high"), "{row:?}");
        ctx.note(format!("{} {} {}: {reason}", row.device, row.pin, row.set));
    }
    let others = rows.iter().filter(|row| row.gsi != Some(DISPUTED));
    for row in others {
        ensure!(row.mismatch.is_none(), "{row:?}");
    }
    Ok(())
}

/// An HVM guest that is given pirqs has its lines' interrupts by them.
fn hvm_guest_has_pirqs(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::hvm("g1").line("hvm_pirq = 1"))?;
    let seen = interrupts(&guest)?;
    let pirqs: Vec<_> = seen
        .values()
        .filter(|(_, name)| name.contains("xen-pirq"))
        .collect();
    ctx.note(format!("{pirqs:?}"));
    ensure!(!pirqs.is_empty(), "no pirqs: {seen:?}");
    if is_ours(ctx.host) {
        let rows = table(&guest)?;
        ensure!(rows.iter().all(|row| row.mismatch.is_none()), "{rows:?}");
        agrees_with_the_kernel(&rows, &interrupts(&guest)?)?;
    }
    guest.shutdown()
}

/// A PV guest has the interrupts of devices that are passed to it, messages and lines, and its table says so.
fn pv_guest_has_passed_devices(ctx: &mut Ctx<'_>) -> Result<()> {
    passed::assign(ctx.host)?;
    for (args, pin, seed) in [("", "msix", 5), ("pci=nomsi", "A", 6)] {
        let guest = Guest::pv("g1").args(args).passed(&[passed::DISK]);
        let guest = ctx.host.create(guest)?;
        guest.load_pcifront(ctx.driver, 1)?;
        guest.start_disk()?;
        disk_keeps_content(ctx, &guest, seed)?;
        if is_ours(ctx.host) {
            let rows = table(&guest)?;
            ensure!(rows.iter().all(|row| row.mismatch.is_none()), "{rows:?}");
            ensure!(
                rows.iter()
                    .any(|row| row.pin.starts_with(pin) && row.count > 10 && row.port.is_some()),
                "no {pin} interrupted: {rows:?}"
            );
            agrees_with_the_kernel(&rows, &interrupts(&guest)?)?;
        }
        guest.shutdown()?;
    }
    Ok(())
}

/// A PVH dom0 has its devices' interrupts by controllers of its own; the table has what there is to tell.
fn pvh_dom0_has_its_devices(ctx: &mut Ctx<'_>) -> Result<()> {
    for disk in DISKS {
        disk.check(ctx.host.dom0(), 2)?;
    }
    if !is_ours(ctx.host) {
        return Ok(());
    }
    let dom0 = ctx.host.dom0();
    let rows = table(dom0)?;
    ensure!(rows.iter().all(|row| row.mismatch.is_none()), "{rows:?}");
    let row = |module: &str| -> Result<&Row> {
        let device = device_of(dom0, module)?;
        let row = rows.iter().find(|row| row.device == device);
        row.with_context(|| format!("no row of {device}: {rows:?}"))
    };
    let (nvme, scsi) = (row("nvme")?, row("sym53c8xx")?);
    ensure!(
        nvme.pin == "msix0" && nvme.irq.is_some() && nvme.count > 0,
        "{nvme:?}"
    );
    ensure!(
        scsi.pin == "A" && scsi.gsi.is_some() && scsi.count > 0,
        "{scsi:?}"
    );
    ensure!(
        scsi.wanted == "level,high(_PRT)" && scsi.pirq.is_none(),
        "{scsi:?}"
    );
    Ok(())
}

/// A PVH dom0 gives a device away: the back end asks which line is the device's, sets it up, and has the device reset. (Not the
/// disk: Xen 4.20 finds something where the MSI-X table of QEMU's is, and refuses to hear of its reset; whether the C objects
/// get by that was not tried.)
fn pvh_dom0_gives_a_device_away(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let card = passed::CARD;
    dom0.sh(&format!(
        "modprobe xen-pciback && xl pci-assignable-add {card}"
    ))?;
    let listed = dom0.sh("xl pci-assignable-list")?;
    ensure!(listed.contains(card), "{listed}");
    let said = dom0.sh("dmesg | grep -iE 'pciback|gsi' | grep -iE 'fail|error' || true")?;
    ensure!(said.is_empty(), "{said}");
    dom0.sh(&format!("xl pci-assignable-remove {card}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read() {
        let read = row(
            "0000:00:1f.2    A      16   level,low(_PRT) edge,high   16    43    17   1   2113 ! wanted otherwise",
        );
        let read = read.unwrap();
        assert_eq!(
            (read.gsi, read.port, read.count),
            (Some(16), Some(43), 2113)
        );
        assert_eq!(read.mismatch.as_deref(), Some("wanted otherwise"));
        assert!(
            row("- - 9 level,high(MADT) level,high 9 - 9 - 0")
                .unwrap()
                .port
                .is_none()
        );
        assert!(row("0000:00:1f.2 A 16").is_none());
    }
}
