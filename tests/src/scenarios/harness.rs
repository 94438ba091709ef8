// SPDX-License-Identifier: GPL-2.0

//! The tests' own ground: guests come up in both modes, commands and files reach them, they survive a save
//! and a restore, and a guest that panics or has a triple fault is noticed. All with the kernel's own drivers, so that a failure here
//! is never our drivers' fault.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::disk::Disk;
use crate::fault::Culprit;
use crate::guest::{Driver, Guest, Mode};
use crate::scenario::{Ctx, Scenario};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("harness.pv_guest_runs_commands", |ctx| {
        runs_commands(ctx, Mode::Pv)
    })
    .core(),
    Scenario::new("harness.pvh_guest_runs_commands", |ctx| {
        runs_commands(ctx, Mode::Pvh)
    })
    .full(),
    Scenario::new("harness.c_driver_keeps_data", c_driver_keeps_data),
    Scenario::new(
        "harness.agent_survives_save_and_restore",
        survives_save_and_restore,
    )
    .full(),
    Scenario::new("harness.panic_is_noticed", panic_is_noticed).core(),
    Scenario::new("harness.triple_fault_is_told", triple_fault_is_told).core(),
];

fn runs_commands(ctx: &mut Ctx<'_>, mode: Mode) -> Result<()> {
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
    let started = Instant::now();
    let error = match guest.run("echo c > /proc/sysrq-trigger; sleep 100") {
        Ok(output) => anyhow::bail!("the guest should have panicked: {output}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(
        error.contains("Kernel panic"),
        "the error does not say what happened: {error}"
    );
    ensure!(
        started.elapsed() < Duration::from_secs(30),
        "it took too long to notice"
    );
    ctx.expect_complaint("the guest g1");
    Ok(())
}

/// A guest whose kernel makes a triple fault at once: it is the kernel that is suspected, and where it was is known.
fn triple_fault_is_told(ctx: &mut Ctx<'_>) -> Result<()> {
    let host = ctx.host;
    host.dom0().put("/disks/faulty", 0o600, &faulty_kernel())?;
    let guest = Guest::pvh("g1").line("kernel = '/disks/faulty'");
    let guest = host.create_only(&guest)?;
    let error = match guest.hello(Duration::from_secs(20)) {
        Ok(_) => anyhow::bail!("a kernel that only makes a triple fault has an agent"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(error.contains("triple fault"), "{error}");
    let lost = host.lost_domains();
    ensure!(
        lost.len() == 1 && lost[0].domid == guest.domid(),
        "{lost:?}"
    );
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
