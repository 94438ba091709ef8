// SPDX-License-Identifier: GPL-2.0

//! The tests' own ground: guests come up in both modes, commands and files reach them, they survive a save
//! and a restore, and a guest that panics or has a triple fault is noticed. All with the kernel's own drivers, so that a failure here
//! is never our drivers' fault. And time limits: a slow machine keeps them, and what hangs is found soon.

mod crowd;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::context::{Ctx, Machines};
use crate::disk::Disk;
use crate::fault::Culprit;
use crate::guest::{Driver, Guest, Mode};
use crate::host::Start;
use crate::matrix::Cell;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::Topology;

use crowd::Crowd;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("harness.{guest}_guest_runs_commands", runs_commands)
        .on_each(&[Cell::PV.core(), Cell::PVH.full()]),
    Scenario::new("harness.c_driver_keeps_data", c_driver_keeps_data),
    Scenario::new(
        "harness.agent_survives_save_and_restore",
        survives_save_and_restore,
    )
    .full(),
    Scenario::new("harness.panic_is_noticed", panic_is_noticed).core(),
    Scenario::new("harness.triple_fault_is_told", triple_fault_is_told).core(),
    Scenario::new("harness.slow_machine_keeps_its_limits", slow_machine).core(),
    Scenario::new("harness.hanging_guests_are_found_soon", hanging_guests).core(),
    Scenario::alone(
        "harness.machine_goes_on_from_its_snapshot",
        Topology::PV,
        goes_on,
    )
    .full(),
    Scenario::alone(
        "harness.spinning_dom0_is_found_soon",
        Topology::PV,
        spinning_dom0,
    )
    .full(),
];

fn runs_commands(ctx: &mut Ctx<'_>) -> Result<()> {
    let mode = ctx.mode();
    let guest = ctx.host.create(Guest::new("g1", mode).vcpus(2))?;
    let kind = guest.sh("cat /sys/hypervisor/guest_type")?;
    ensure!(
        kind.eq_ignore_ascii_case(mode.name()),
        "the guest runs as {kind}"
    );
    ensure!(guest.sh("nproc")? == "2");
    ensure!(guest.sh("uname -r")? == ctx.host.kernel);

    let content: Vec<u8> = (0..50_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let started = Instant::now();
    guest.put("/tmp/file", 0o600, &content)?;
    ensure!(
        guest.get("/tmp/file")? == content,
        "a file came back changed"
    );
    let rate = content.len() as f32 * 2.0 / started.elapsed().as_secs_f32() / 1024.0;
    let started = Instant::now();
    for _ in 0..10 {
        guest.sh("true")?;
    }
    let call = started.elapsed().as_millis() / 10;
    ctx.note(format!(
        "files move at {rate:.0} KiB/s, a command takes {call} ms"
    ));

    let failed = guest.run("echo to stderr >&2; exit 7")?.fails()?;
    ensure!(failed.stderr == "to stderr\n" && failed.exit == agent::message::Exit::Code(7));
    let hung = guest.run_for(Duration::from_secs(1), "sleep 1000")?;
    ensure!(hung.exit == agent::message::Exit::TimedOut);
    guest.shutdown()
}

fn c_driver_keeps_data(ctx: &mut Ctx<'_>) -> Result<()> {
    let disk = Disk::file("c.img", "xvda").mib(128);
    let guest = ctx.host.create(Guest::pv("g1").vcpus(2).disk(disk))?;
    guest.load_blkfront(Driver::C, "")?;
    ensure!(guest.driver_of("xvda")? == Driver::C.block_module());
    let wrote = guest.sh(
        "modprobe ext4 && mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt && dd if=/dev/urandom of=/mnt/f bs=1M count=20 2>/dev/null \
         && sha256sum < /mnt/f && umount /mnt",
    )?;
    guest.shutdown()?;
    let found = ctx.host.dom0().sh(
        "mkdir -p /mnt && mount -o loop,ro,noload /disks/c.img /mnt && sha256sum < /mnt/f; umount /mnt",
    )?;
    ensure!(
        wrote == found,
        "dom0 finds {found}, the guest wrote {wrote}"
    );
    Ok(())
}

fn survives_save_and_restore(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::pvh("g1"))?;
    let before = guest.domid();
    let counter =
        guest.spawn("n=0; while [ $n -lt 400 ]; do n=$((n+1)); echo $n; sleep 0.05; done")?;
    guest.sh("echo kept > /tmp/kept")?;
    guest.save("/disks/saved")?;
    guest.restore("/disks/saved")?;
    ensure!(
        guest.domid() != before,
        "a restored domain has a new number"
    );
    ensure!(guest.sh("cat /tmp/kept")? == "kept");
    let counted = counter.wait_for(Duration::from_secs(90))?.ok()?.stdout;
    let expected: Vec<_> = (1..=400).map(|n| n.to_string()).collect();
    let expected = expected.join("\n") + "\n";
    ensure!(
        counted == expected,
        "output was lost or repeated across save and restore"
    );
    guest.shutdown()
}

fn panic_is_noticed(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx
        .host
        .create(Guest::pv("g1").line("on_crash = 'preserve'"))?;
    let started = ctx.host.pace().now();
    let error = match guest.run("echo c > /proc/sysrq-trigger; sleep 100") {
        Ok(output) => anyhow::bail!("the guest should have panicked: {output}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(
        error.contains("Kernel panic"),
        "the error does not say what happened: {error}"
    );
    ensure!(
        ctx.host.pace().since(&started) < Duration::from_secs(30),
        "it took too long to notice"
    );
    ctx.expect_complaint("the guest g1");
    Ok(())
}

/// A guest whose kernel makes a triple fault at once: it is the kernel that is suspected, and where it was is known.
fn triple_fault_is_told(ctx: &mut Ctx<'_>) -> Result<()> {
    let host = ctx.host;
    host.dom0().put("/disks/faulty", 0o600, &faulty_kernel())?;
    // It would be gone before its number could be asked for. Nobody waits for the end of one that is created like this.
    let domid = host.create_paused(&Guest::pvh("g1").line("kernel = '/disks/faulty'"))?;
    host.dom0().sh("xl unpause g1")?;
    let lost = (0..20)
        .map(|_| host.lost_domains())
        .find(|lost| !lost.is_empty())
        .context("the triple fault is not noticed")?;
    ensure!(lost.len() == 1 && lost[0].domid == domid, "{lost:?}");
    ensure!(lost[0].culprit() == Culprit::GuestOrEmulator, "{lost:?}");
    ensure!(lost[0].rip == Some(u64::from(START) + 7), "{lost:?}");
    ctx.note(format!("{}", lost[0]));
    Ok(())
}

/// Where the faulty kernel starts.
const START: u32 = 0x10_0000;

/// An ELF file with a PVH entry: it loads a table of exceptions without entries and then causes an exception.
fn faulty_kernel() -> Vec<u8> {
    // lidt [START + 9]; ud2; a limit of 0 and an address of 0.
    let mut code = vec![0x0f, 0x01, 0x1d];
    code.extend((START + 9).to_le_bytes());
    code.extend([0x0f, 0x0b, 0, 0, 0, 0, 0, 0]);
    // XEN_ELFNOTE_PHYS32_ENTRY is 18 (xen/elfnote.h); the lengths of "Xen" and of the address.
    let mut note: Vec<u8> = [4u32, 4, 18]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    note.extend(*b"Xen\0");
    note.extend(START.to_le_bytes());

    // The header of a 32-bit file (elf(5)), then two program headers: what is loaded, and the note.
    let (code_at, note_at) = (52 + 2 * 32, 52 + 2 * 32 + code.len() as u32);
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 3, 0]);
    file.extend([1, START, 52, 0, 0].into_iter().flat_map(u32::to_le_bytes));
    file.extend(
        [52u16, 32, 2, 40, 0, 0]
            .into_iter()
            .flat_map(u16::to_le_bytes),
    );
    let sizes = [code.len() as u32, note.len() as u32];
    let load = [1, code_at, START, START, sizes[0], sizes[0], 7, 1];
    let told = [4, note_at, 0, 0, sizes[1], sizes[1], 4, 4];
    file.extend(load.into_iter().chain(told).flat_map(u32::to_le_bytes));
    file.extend(code);
    file.extend(note);
    file
}

/// A machine that goes on from where another one was put down is as good as one that has booted: its clock is right, it creates
/// guests of both kinds whose data arrives, and nothing is left of the machine that went on from there before.
fn goes_on(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let first = machines.start(&topology, Start::Snapshot)?;
    first.dom0().sh("echo left > /left && sync")?;
    first.shutdown()?;

    let host = machines.start(&topology, Start::Snapshot)?;
    ensure!(host.is_from_snapshot, "it has booted");
    machines.note(format!(
        "dom0 answered after {:.1} s",
        host.boot_time.as_secs_f32()
    ));
    let dom0 = host.dom0();
    dom0.sh("[ ! -e /left ]")
        .context("another machine's files are there")?;
    let there: i64 = dom0.sh("date +%s")?.parse()?;
    let here = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let behind = i64::try_from(here)? - there;
    ensure!(
        (-1..=5).contains(&behind),
        "dom0's clock is {} s behind",
        behind
    );
    let guests = [Mode::Pv, Mode::Pvh].map(|mode| {
        let file = format!("{}.img", mode.name());
        let disk = Disk::file(&file, "xvda").mib(16);
        Guest::new(mode.name(), mode).vcpus(2).disk(disk)
    });
    for guest in host.create_all(guests)? {
        guest.load_blkfront(Driver::C, "")?;
        let wrote = guest.sh(
            "dd if=/dev/urandom of=/dev/xvda bs=1M count=16 oflag=direct 2>/dev/null && sha256sum < /dev/xvda",
        )?;
        let image = format!("/disks/{}.img", guest.mode().name());
        let found = dom0.sh(&format!("sha256sum < {image}"))?;
        ensure!(
            wrote == found,
            "dom0 finds {found}, the guest wrote {wrote}"
        );
        guest.shutdown()?;
    }
    host.power_off()
}

/// What dom0 is busy with for a few seconds.
const WORK: &str = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";

/// Where the emulator gets a quarter of a processor, what it does takes four times as long, but not of its own time; and what never
/// ends is stopped all the same.
fn slow_machine(ctx: &mut Ctx<'_>) -> Result<()> {
    let (dom0, pace) = (ctx.host.dom0(), ctx.host.pace());
    let before = pace.now();
    let alone = dom0.run_for(Duration::from_secs(120), WORK)?.ok()?.took;
    let limit = pace.since(&before) * 2;
    let crowd = Crowd::gathers(pace, 5)?;
    let crowded = dom0.run_for(limit, WORK)?.ok()?.took;
    ctx.note(format!(
        "alone it took {alone:.1?}, in a crowd {crowded:.1?}; the limit was {limit:.1?}"
    ));
    ensure!(
        crowded > limit,
        "the crowd did not make it slow: {crowded:.1?} are within the limit of {limit:.1?}"
    );
    let endless = dom0.run_for(Duration::from_secs(2), "sleep 1000")?;
    ensure!(endless.exit == agent::message::Exit::TimedOut, "{endless}");
    ensure!(
        endless.took < Duration::from_secs(60),
        "it took too long to stop what never ends: {endless}"
    );
    drop(crowd);
    let freed = dom0.run_for(limit, WORK)?.ok()?.took;
    ctx.note(format!("freed, it took {freed:.1?}"));
    Ok(())
}

/// A guest that stands still while a command runs there that may take an hour, and one that stands still before it has started.
fn hanging_guests(ctx: &mut Ctx<'_>) -> Result<()> {
    let host = ctx.host;
    let runs = host.create(Guest::pv("runs"))?;
    let starts = host.create_only(&Guest::pv("starts"))?;
    host.dom0().sh("xl pause starts; xl pause runs")?;
    let begin = host.pace().now();
    let hour = Duration::from_secs(3600);
    let place = Place::clone(&runs);
    let stuck = std::thread::spawn(move || place.run_for(hour, "sleep 100"));
    let silent = match host.await_agent(&starts) {
        Ok(()) => bail!("a guest that stands still has started"),
        Err(error) => format!("{error:#}"),
    };
    let stuck = match stuck.join() {
        Ok(Err(error)) => format!("{error:#}"),
        _ => bail!("a guest that stands still has done something"),
    };
    let took = host.pace().since(&begin);
    ensure!(
        silent.contains("the console has said nothing") && silent.contains("guest-starts.log"),
        "the error does not say what happened: {silent}"
    );
    ensure!(
        stuck.contains("runs hangs") && stuck.contains("guest-runs.log"),
        "the error does not say what happened: {stuck}"
    );
    ensure!(
        took < Duration::from_secs(60),
        "it took {took:.1?} of the machine's own time to notice"
    );
    ctx.note(format!(
        "both were noticed after {took:.1?} of the machine's own time"
    ));
    starts.destroy()?;
    runs.destroy()
}

/// Both of dom0's processors spin for a task that nothing may interrupt: the emulator is busier than ever.
fn spinning_dom0(machines: &mut Machines<'_>) -> Result<()> {
    let topology = machines.topology;
    let host = machines.start(&topology, Start::Boot)?;
    let dom0 = host.dom0();
    // From Linux 6.12 on, a server of the scheduler gives other tasks a twentieth of the time. On a slow machine RCU complains
    // before the limit is over, of what is meant to happen.
    dom0.sh(
        "echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress; \
         mount -t debugfs d /sys/kernel/debug 2>/dev/null; echo -1 > /proc/sys/kernel/sched_rt_runtime_us; \
         for f in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do [ ! -e $f ] || echo 0 > $f; done",
    )?;
    let spin = dom0.spawn(
        "for cpu in 0 1; do taskset -c $cpu chrt -f 99 sh -c 'while :; do :; done' & done; wait",
    )?;
    let begin = host.pace().now();
    let error = match spin.wait() {
        Ok(output) => bail!("dom0 goes on: {output}"),
        Err(error) => format!("{error:#}"),
    };
    let took = host.pace().since(&begin);
    ensure!(
        error.contains("dom0 hangs")
            && error.contains("its processors were busy")
            && error.contains("xen-and-dom0.log"),
        "the error does not say what happened: {error}"
    );
    ensure!(
        took < Duration::from_secs(60),
        "it took {took:.1?} of the machine's own time to notice"
    );
    machines.note(format!(
        "noticed after {took:.1?} of the machine's own time"
    ));
    // It will not switch off either; ending it is quick.
    drop(host);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::Object;

    #[test]
    fn the_faulty_kernel_is_an_elf_file() {
        let kernel = faulty_kernel();
        let file = object::File::parse(&*kernel).unwrap();
        assert_eq!((file.entry(), file.is_64()), (u64::from(START), false));
        let notes = object::read::elf::ElfFile32::<object::Endianness>::parse(&*kernel).unwrap();
        assert_eq!(notes.elf_program_headers().len(), 2);
    }
}
