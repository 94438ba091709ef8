// SPDX-License-Identifier: GPL-2.0

//! The console of guests on an overlay kernel, with a daemon in dom0 that is honest, does not read, or lies.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest, Mode};
use crate::matrix::{Cell, Kernels};
use crate::overlay;
use crate::remote::Place;
use crate::scenario::Scenario;

/// Each kind of guest.
const GUESTS: &[Cell] = &[Cell::PV, Cell::PVH, Cell::HVM.full()];

/// With C, a daemon that does not read stops the guest for ever, and one that has lied gets no input across any more.
const OURS: Kernels = Kernels::Profiles(&[overlay::OURS]);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "console.carries_both_directions_over_save_{guest}",
        carries_both_directions,
    )
    .on_each(GUESTS)
    .only_on(Kernels::OURS_AND_C),
    Scenario::new("console.early_lines_are_whole_{guest}", early_lines)
        .on_each(&[Cell::PV])
        .only_on(Kernels::OURS_AND_C),
    Scenario::new("console.survives_a_daemon_that_stops_{guest}", daemon_stops)
        .on_each(GUESTS)
        .only_on(OURS),
    Scenario::new("console.survives_illegal_indices_{guest}", illegal_indices)
        .on_each(GUESTS)
        .only_on(OURS),
];

/// What the log of a guest's kernel says.
const STOPPED: &str = "xencons: the console daemon does not read";
const READS_AGAIN: &str = "xencons: the console daemon reads again";
const ILLEGAL: &str = "xencons: Illegal ring page indices";

/// For how long a guest may have waited for the daemon, in seconds of its clock: the ten that it is patient, and its work.
const PATIENCE: f64 = 25.0;

/// How long a line may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The daemon of all consoles, stopped until this is dropped.
struct StoppedDaemon<'a>(&'a Place);

impl<'a> StoppedDaemon<'a> {
    fn new(dom0: &'a Place) -> Result<Self> {
        signal(dom0, "STOP")?;
        Ok(Self(dom0))
    }

    /// Lets it go on.
    fn go_on(self) -> Result<()> {
        signal(self.0, "CONT")
    }
}

impl Drop for StoppedDaemon<'_> {
    fn drop(&mut self) {
        // After `go_on` it changes nothing.
        let _ = signal(self.0, "CONT");
    }
}

fn signal(dom0: &Place, signal: &str) -> Result<()> {
    let script = format!(
        "n=0; for p in /proc/[0-9]*; do if grep -qx xenconsoled $p/comm 2>/dev/null; then kill -{signal} ${{p#/proc/}} && n=1; fi; done; [ $n = 1 ]"
    );
    dom0.sh(&script)
        .map(drop)
        .context("no xenconsoled runs in dom0")
}

/// A guest whose programs may write as many messages as they like.
fn create(ctx: &Ctx<'_>, mode: Mode) -> Result<Domain> {
    let guest = ctx.host.create(Guest::new("g1", mode))?;
    guest.sh("echo on > /proc/sys/kernel/printk_devkmsg")?;
    Ok(guest)
}

/// A script that has the kernel say a text of a hundred characters so many times.
fn say(count: u32, text: &str) -> String {
    let filler = "x".repeat(80);
    format!("for i in $(seq {count}); do echo \"<4>{text} $i {filler}\" > /dev/kmsg; done")
}

/// Whether a message of the kernel arrives in dom0, and whether a command that is typed in dom0 is executed by the shell that
/// the guest has on its console.
fn carries(ctx: &Ctx<'_>, guest: &Domain, mark: &str) -> Result<()> {
    guest.sh(&say(1, mark))?;
    let dom0 = ctx.host.dom0();
    dom0.wait_for(
        "a message on the console",
        LIMIT,
        &format!("grep -c '{mark} 1 ' /var/log/xen/guest-g1.log || true"),
        |count| count != "0",
    )?;
    let domid = guest.domid();
    // The first line starts the shell, which may drop what comes before its first prompt.
    let typed = format!(
        "printf '\\necho typed-{mark} > /tmp/line\\n' > $(xenstore-read /local/domain/{domid}/console/tty)"
    );
    for _ in 0..20 {
        dom0.sh(&typed)?;
        if guest
            .sh("sleep 0.5; cat /tmp/line 2>/dev/null || true")?
            .contains(&format!("typed-{mark}"))
        {
            return Ok(());
        }
    }
    anyhow::bail!("nothing that is typed in dom0 arrives in the guest ({mark})")
}

/// How often the guest's kernel has said something.
fn said(guest: &Domain, text: &str) -> Result<u32> {
    let count = guest.sh(&format!("dmesg | grep -c '{text}' || true"))?;
    count.parse().with_context(|| format!("no number: {count}"))
}

/// Has the guest print much, and returns how many seconds of its time that took.
fn print_much(guest: &Domain, text: &str) -> Result<f64> {
    let clock = "cut -d ' ' -f 1 /proc/uptime";
    let script = format!("{clock}; {}; {clock}", say(200, text));
    let output = guest.run_for(Duration::from_secs(90), &script)?.ok()?;
    let times: Vec<f64> = output
        .stdout
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let &[before, after] = &times[..] else {
        anyhow::bail!("strange times: {}", output.stdout);
    };
    Ok(after - before)
}

fn carries_both_directions(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = create(ctx, ctx.mode())?;
    carries(ctx, &guest, "first")?;
    let took = print_much(&guest, "much")?;
    ctx.note(format!("20 KB of messages took {took:.2} s"));
    guest.save("/disks/saved")?;
    guest.restore("/disks/saved")?;
    carries(ctx, &guest, "restored")?;
    guest.shutdown()
}

/// What the kernel says before it has `hvc0` is on the console, line by line, and the early console ends.
fn early_lines(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx
        .host
        .create(Guest::new("g1", ctx.mode()).args("earlyprintk=xen"))?;
    let log = ctx.host.dom0().sh("cat /var/log/xen/guest-g1.log")?;
    let early = log.matches("(early) ").count();
    ctx.note(format!("{early} early messages"));
    ensure!(early > 10, "there are {early} early messages");
    for text in ["(early) Linux version ", "bootconsole [xenboot0] disabled"] {
        ensure!(
            log.lines().any(|line| line.contains(text)),
            "the log lacks {text:?}"
        );
    }
    carries(ctx, &guest, "later")?;
    guest.shutdown()
}

/// The daemon stops: the guest waits for it once, then goes on; what programs write waits without a processor. When the daemon
/// reads again, so does the console.
fn daemon_stops(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = create(ctx, ctx.mode())?;
    carries(ctx, &guest, "before")?;
    let daemon = StoppedDaemon::new(ctx.host.dom0())?;
    let first = print_much(&guest, "unread")?;
    let then = print_much(&guest, "unread")?;
    let writer = guest.spawn("yes written | head -c 20000 > /dev/hvc0")?;
    let idle =
        guest.sh("cut -d ' ' -f 1,2 /proc/uptime; sleep 3; cut -d ' ' -f 1,2 /proc/uptime")?;
    ensure!(
        !guest.sh("pidof yes || true")?.is_empty(),
        "what a program wrote did not wait for the daemon"
    );
    ensure!(
        said(&guest, STOPPED)? == 1,
        "the log does not say once that the daemon has stopped"
    );
    daemon.go_on()?;
    guest.wait_for(
        "the program that writes on the terminal",
        LIMIT,
        "pidof yes || true",
        str::is_empty,
    )?;
    drop(writer);
    print_much(&guest, "read")?;
    carries(ctx, &guest, "after")?;
    ensure!(
        said(&guest, READS_AGAIN)? == 1,
        "the log does not say that the daemon reads again"
    );
    ctx.note(format!(
        "20 KB of messages without a daemon took {first:.1} s, then {then:.1} s; uptime and idle time while a program waits: {}",
        idle.replace('\n', " to ")
    ));
    ensure!(
        first < PATIENCE && then < first.max(5.0),
        "the guest waited for the daemon for {first} s, then for {then} s"
    );
    guest.shutdown()
}

/// Somebody in dom0 writes illegal indices: the guest leaves output out, and says so once. With legal ones the console is there
/// again, in both directions.
fn illegal_indices(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = create(ctx, ctx.mode())?;
    carries(ctx, &guest, "before")?;
    let dom0 = ctx.host.dom0();
    let daemon = StoppedDaemon::new(dom0)?;
    let liar = dom0.spawn(&format!(
        "exec /payload/bin/agent hostile console {} 5",
        guest.domid()
    ))?;
    let took = print_much(&guest, "with illegal indices")?;
    liar.wait_for(Duration::from_secs(60))?.ok()?;
    daemon.go_on()?;
    carries(ctx, &guest, "after")?;
    ensure!(
        said(&guest, ILLEGAL)? == 1,
        "the log does not say once that the indices are illegal"
    );
    ctx.note(format!("20 KB of messages meanwhile took {took:.1} s"));
    ensure!(took < PATIENCE, "the guest waited for {took} s");
    guest.shutdown()
}
