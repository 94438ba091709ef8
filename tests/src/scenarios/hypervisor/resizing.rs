// SPDX-License-Identifier: GPL-2.0

//! Guests on our own hypervisor whose vCPUs and memory change while they run, and guests that end: by rebooting, by
//! shutting down, by crashing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("hypervisor.vcpus_are_unplugged_and_plugged", changes_vcpus)
        .on(Topology::PARAVANE)
        .full(),
    Scenario::new("hypervisor.memory_is_ballooned", balloons)
        .on(Topology::PARAVANE)
        .full(),
    Scenario::new("hypervisor.guests_end_in_every_way", ends)
        .on(Topology::PARAVANE)
        .full(),
];

/// How long the toolstack and the guest may take for a change.
const LIMIT: Duration = Duration::from_secs(60);

/// `xl vcpu-set`: the guest takes vCPUs down and brings them up, and the hypervisor counts them.
fn changes_vcpus(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let guest = ctx.host.create(Guest::pvh("g1").vcpus(2).memory(256))?;
    for wanted in ["1", "2", "1", "2"] {
        dom0.sh(&format!("xl vcpu-set g1 {wanted}"))?;
        if wanted == "2" {
            // A plugged processor is brought up by udev, which this guest does not have.
            let online = "/sys/devices/system/cpu/cpu1/online";
            let plugged = format!("[ -e {online} ] && echo 1 > {online} && cat {online} || true");
            guest.wait_for("the second one", LIMIT, &plugged, |text| text == "1")?;
        }
        guest.wait_for("its processors", LIMIT, "nproc", |text| text == wanted)?;
        // The fifth column is the state; `p` and `-` stand for a vCPU that is down.
        let online = "xl vcpu-list g1 | awk 'NR > 1 && $4 != \"-\" { n++ } END { print n }'";
        dom0.wait_for("the hypervisor's count", LIMIT, online, |text| {
            text.trim() == wanted
        })?;
        let count = dom0.sh("xl list g1 | awk 'NR > 1 { print $4 }'")?;
        ensure!(
            count == wanted,
            "xl list counts {count} vCPUs, not {wanted}"
        );
    }
    let processors = guest.sh("grep -c ^processor /proc/cpuinfo")?;
    ensure!(processors == "2", "it has {processors} processors");
    guest.destroy()
}

/// MiB of a guest as the hypervisor counts them.
fn memory(dom0: &Place, guest: &Domain) -> Result<u32> {
    let text = dom0.sh(&format!(
        "xl list {} | awk 'NR > 1 {{ print $3 }}'",
        guest.name()
    ))?;
    text.parse()
        .with_context(|| format!("xl list says {text:?}"))
}

/// Sets a guest's memory, and waits until it has it.
fn set_memory(dom0: &Place, guest: &Domain, mib: u32) -> Result<u32> {
    let name = guest.name();
    dom0.run_xl(&format!("xl mem-set {name} {mib}"))?.ok()?;
    let script = format!("xl list {name} | awk 'NR > 1 {{ print $3 }}'");
    let near = |text: &str| text.parse::<u32>().is_ok_and(|now| now.abs_diff(mib) <= 1);
    dom0.wait_for("the balloon", LIMIT, &script, near)?;
    guest
        .sh("awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo")?
        .parse()
        .context("the guest's memory")
}

/// `xl mem-set` of a guest that was built with all of its memory, and of one that was built with less: what it does not
/// have yet is populated on demand until its balloon driver gives it back.
fn balloons(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let guest = ctx.host.create(Guest::pvh("g1").memory(320))?;
    for mib in [224, 320, 240, 320] {
        let total = set_memory(dom0, &guest, mib)?;
        ctx.note(format!("{mib} MiB: the guest counts {total}"));
    }
    // What it got is memory that it can use.
    guest.sh("mkdir -p /m; mount -t tmpfs -o size=140m none /m; dd if=/dev/urandom of=/m/a bs=1M count=60 2>/dev/null; cp /m/a /m/b; cmp /m/a /m/b; umount /m")?;
    guest.destroy()?;

    let guest = ctx
        .host
        .create(Guest::pvh("g1").memory(256).line("maxmem = 384"))?;
    let has = memory(dom0, &guest)?;
    ctx.note(format!(
        "built with 256 of 384 MiB: {has} MiB after its boot"
    ));
    ensure!(has <= 257, "the guest has {has} MiB");
    for mib in [384, 224, 352] {
        let total = set_memory(dom0, &guest, mib)?;
        ctx.note(format!("{mib} MiB: the guest counts {total}"));
    }
    guest.sh("mkdir -p /m; mount -t tmpfs -o size=160m none /m; dd if=/dev/urandom of=/m/a bs=1M count=70 2>/dev/null; cp /m/a /m/b; cmp /m/a /m/b; umount /m")?;
    guest.destroy()
}

/// The toolstack reboots a guest, the guest reboots itself, it is shut down, and it crashes and is kept.
fn ends(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let free = "xl info | awk '/^free_memory/ { print $3 }'";
    let before = dom0.sh(free)?;
    let config = "/tmp/reboots.cfg";
    let guest = Guest::pvh("g1").memory(256).line("on_reboot = 'restart'");
    dom0.put(config, 0o600, guest.config("").as_bytes())?;
    let domid = "xl domid g1";
    // Before its init runs, a guest has nobody who reboots it. The log has all domains of that name.
    let log = "/var/log/xen/guest-g1.log";
    dom0.sh(&format!("rm -f {log}"))?;
    dom0.run_xl(&format!("xl create {config}"))?.ok()?;
    let is_up = |times: u32| -> Result<()> {
        let count = format!("grep -c 'guest runs' {log} || true");
        let wanted = times.to_string();
        dom0.wait_for("its init", LIMIT, &count, |text| text == wanted)?;
        Ok(())
    };
    let mut id = dom0.sh(domid)?;
    for (times, script) in [(1, "xl reboot g1"), (2, "xl reboot -F g1")] {
        is_up(times)?;
        dom0.sh(script)?;
        dom0.wait_for("the new domain", LIMIT, domid, |text| {
            !text.is_empty() && text != id
        })?;
        let new = dom0.sh(domid)?;
        ctx.note(format!("{script}: domain {id} became {new}"));
        id = new;
    }
    is_up(3)?;
    dom0.sh("xl shutdown -w g1")?;
    let gone = "xl domid g1 >/dev/null 2>&1 || echo gone";
    dom0.wait_for("its end", LIMIT, gone, |text| text == "gone")?;

    // Without an init its kernel panics.
    let guest = Guest::pvh("g2").memory(256).args("rdinit=/none init=/none");
    let guest = guest.line("on_crash = 'preserve'");
    dom0.put(config, 0o600, guest.config("").as_bytes())?;
    dom0.run_xl(&format!("xl create {config}"))?.ok()?;
    let state = "xl list g2 | awk 'NR > 1 { print $5 }'";
    dom0.wait_for("its crash", LIMIT, state, |text| text.contains('c'))?;
    // xenctx prints an HVM guest's registers as 32-bit ones where the hypervisor has no PV guests.
    let registers = dom0.sh("/usr/lib/xen-4*/bin/xen-hvmctx $(xl domid g2) | grep 'rip 0x'")?;
    ensure!(registers.contains("rip 0xffffffff"), "{registers}");
    ctx.note(format!("{}: {}", dom0.sh(state)?, registers.trim()));
    dom0.sh("xl destroy g2")?;
    dom0.wait_for("its memory", LIMIT, free, |text| text == before)?;
    Ok(())
}
