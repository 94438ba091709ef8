// SPDX-License-Identifier: GPL-2.0

//! The recipes of docs/guides/distribution.md, to the letter, on systems that were not prepared for our modules: Debian's own start of the
//! toolstack in a dom0, and a Debian guest whose root file system is on a Xen disk.

use std::time::Duration;

use anyhow::{Result, ensure};
use kbuild::guide::recipe;
use kbuild::image::debian::{DRACUTS, HALF};

use crate::context::{Ctx, Machines};
use crate::disk::Disk;
use crate::guest::{Domain, Guest, Mode};
use crate::host::Start;
use crate::matrix::Cell;
use crate::nic::Nic;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::{Devices, Topology};

/// A dom0 in which no toolstack was started.
const BARE: Topology = Topology::PV.dom0_args("paravane.toolstack=none");

/// A machine with a user's Debian for a guest.
const WITH_DEBIAN: Topology = Topology {
    devices: Devices::Debian,
    ..Topology::PV
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::alone(
        "guide.debians_toolstack_runs_on_our_device_files",
        BARE,
        toolstack,
    )
    .full(),
    Scenario::alone(
        "guide.debians_toolstack_runs_without_ours",
        BARE,
        without_ours,
    )
    .full(),
    Scenario::new("guide.root_disk_is_on_our_driver_{guest}", |ctx| {
        root_disk(ctx, ctx.mode(), INITRAMFS_TOOLS)
    })
    .on_each(&[Cell::PVH, Cell::PV])
    .on(WITH_DEBIAN)
    .full(),
    Scenario::new("guide.c_drivers_come_back_for_one_boot", way_back)
        .on(WITH_DEBIAN)
        .full(),
    Scenario::new("guide.half_a_recipe_boots_by_the_c_driver", half)
        .on(WITH_DEBIAN)
        .full(),
    Scenario::new("guide.root_disk_is_on_our_driver_by_dracut", |ctx| {
        root_disk(ctx, Mode::Pvh, DRACUTS)
    })
    .on(WITH_DEBIAN)
    .full(),
];

/// Where its initramfs is on that disk.
const INITRAMFS_TOOLS: &str = "boot/initrd.img-*";

/// What systemd paints while it waits takes longer than what it waits for.
const QUIET: &str = "systemd.show_status=no";

/// How long Debian takes to come up, udev and systemd included.
const BOOT: Duration = Duration::from_secs(400);

/// Modules that make the toolstack's device files, without `_rs`.
const DEVICE_FILES: [&str; 3] = ["xen_evtchn", "xen_gntdev", "xen_privcmd"];

/// Debian's start of the toolstack.
const START: &str = r#"
mkdir -p /lib/init /lib/lsb
: >/lib/init/vars.sh
for f in daemon progress end warning failure; do
    echo "log_${f}_msg() { echo $f \"\$@\"; }"
done >/lib/lsb/init-functions
sh /etc/init.d/xen start && xl list && lsmod | awk '/^xen_/ { print $1 }'
"#;

/// Follows the guide and has Debian start the toolstack by its own script, of which the files that it reads are missing here:
/// they print, and are no part of what is tried. Returns what domains there are and which modules of Xen's are loaded.
fn start_toolstack(dom0: &Place) -> Result<String> {
    // The folder of the modules cannot be written to here, and depmod has looked at it.
    let given = "set -eu; rel=$(uname -r); depmod() { :; }\n";
    dom0.sh(&format!("{given}{}", recipe("modprobe")?))?;
    let output = dom0.run_for(Duration::from_secs(120), START)?.ok()?;
    Ok(output.stdout)
}

fn has(lines: &str, word: &str) -> bool {
    lines
        .lines()
        .any(|line| line.split(' ').next() == Some(word))
}

fn toolstack(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let host = machines.start(&topology, Start::Boot)?;
    let said = start_toolstack(host.dom0())?;
    ensure!(has(&said, "Domain-0"), "{said}");
    for module in DEVICE_FILES {
        ensure!(has(&said, &format!("{module}_rs")), "{said}");
        ensure!(!has(&said, module), "{said}");
    }
    // This one is loaded only on request, and there was none so far.
    let modules = host
        .dom0()
        .sh("modprobe xen-gntalloc && [ -c /dev/xen/gntalloc ] && lsmod")?;
    ensure!(
        has(&modules, "xen_gntalloc_rs") && !has(&modules, "xen_gntalloc"),
        "{modules}"
    );
    // Loaded second, ours gives way and says to whom.
    host.dom0()
        .run("rmmod xen_gntalloc_rs && modprobe --ignore-install xen-gntalloc && modprobe xen_gntalloc_rs")?
        .fails()?;
    let log = host.dom0().sh("dmesg | grep 'is the C driver'")?;
    ensure!(
        log.contains("is the C driver xen_gntalloc loaded?"),
        "{log}"
    );
    Ok(())
}

/// As with a kernel that was installed later, for which our modules were not built.
fn without_ours(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let host = machines.start(&topology, Start::Boot)?;
    host.dom0().sh("rel=$(uname -r) && cp -a /usr/lib/modules/$rel /run/modules && rm -r /run/modules/updates && \
         mount --bind /run/modules /usr/lib/modules/$rel && depmod $rel")?;
    let said = start_toolstack(host.dom0())?;
    ensure!(has(&said, "Domain-0"), "{said}");
    for module in DEVICE_FILES {
        ensure!(has(&said, module), "{said}");
    }
    Ok(())
}

/// A guest with Debian on its disk, once it answers.
fn debian(ctx: &Ctx<'_>, mode: Mode, args: &str) -> Result<Domain> {
    let name = format!("debian-{}", mode.name());
    let guest = Guest::new(&name, mode)
        .memory(768)
        .vcpus(2)
        .disk(Disk::device("/dev/vdc", "xvda"))
        .nic(Nic::new())
        .initramfs("/disks/initrd")
        .args(&format!("root=/dev/xvda ro {QUIET} {args}"));
    let guest = ctx.host.create_only(&guest)?;
    guest.hello(BOOT)?;
    Ok(guest)
}

/// Which module drives the root disk, which the interface.
fn drivers(guest: &Domain) -> Result<[String; 2]> {
    let root = guest.sh("findmnt -n -o SOURCE /")?;
    ensure!(root == "/dev/xvda", "the root file system is on {root}");
    let module = |device: &str| {
        guest.sh(&format!(
            "basename $(readlink -f /sys/bus/xen/devices/{device}-*/driver/module)"
        ))
    };
    Ok([module("vbd")?, module("vif")?])
}

/// Puts an initramfs of the disk where dom0 finds it.
fn take_initramfs(ctx: &Ctx<'_>, initramfs: &str) -> Result<()> {
    let dom0 = ctx.host.dom0();
    dom0.sh(&format!(
        "mkdir -p /run/debian && mount -o ro /dev/vdc /run/debian && cp /run/debian/{initramfs} /disks/initrd && \
         umount /run/debian"
    ))
    .map(drop)
}

fn root_disk(ctx: &mut Ctx<'_>, mode: Mode, initramfs: &str) -> Result<()> {
    take_initramfs(ctx, initramfs)?;
    let guest = debian(ctx, mode, "")?;
    let found = drivers(&guest)?;
    ensure!(found == ["xen_blkfront_rs", "xen_netfront_rs"], "{found:?}");
    let loaded = guest.sh("lsmod | grep ^xen_; true")?;
    ensure!(!has(&loaded, "xen_blkfront"), "{loaded}");
    ensure!(!has(&loaded, "xen_netfront"), "{loaded}");
    let taint = guest.sh("cat /proc/sys/kernel/tainted")?;
    let up = guest.sh("cut -d ' ' -f 1 /proc/uptime")?;
    ctx.note(format!(
        "{}: Debian answers after {up} s, tainted is {taint}",
        mode.name()
    ));
    guest.shutdown()
}

/// The guide's way back to the C drivers.
fn way_back(ctx: &mut Ctx<'_>) -> Result<()> {
    take_initramfs(ctx, INITRAMFS_TOOLS)?;
    let words = "module_blacklist=xen_blkfront_rs,xen_netfront_rs";
    let guest = debian(ctx, Mode::Pvh, words)?;
    let found = drivers(&guest)?;
    ensure!(found == ["xen_blkfront", "xen_netfront"], "{found:?}");
    guest.shutdown()
}

/// An initramfs without our drivers.
fn half(ctx: &mut Ctx<'_>) -> Result<()> {
    take_initramfs(ctx, HALF)?;
    let guest = debian(ctx, Mode::Pvh, "")?;
    let [disk, _] = drivers(&guest)?;
    ensure!(disk == "xen_blkfront", "{disk}");
    guest.shutdown()
}
