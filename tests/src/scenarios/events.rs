// SPDX-License-Identifier: GPL-2.0

//! Event channels of an overlay kernel, by both ABIs: what devices' data comes through while processors come and go and the guest
//! is saved, and what the kernel tells of its channels.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::devices::{self, DISKS};
use crate::disk::Disk;
use crate::guest::{Domain, Guest};
use crate::matrix::{Cell, Kernels};
use crate::nic::{Nic, ipv4};
use crate::overlay;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::Topology;
use crate::traffic::{self, Server};

mod without_daemon;

use without_daemon::WithoutDaemon;

/// The C objects have no table.
const OURS: Kernels = Kernels::Profiles(&[overlay::OURS]);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    // The others carry data too, and do something besides.
    Scenario::new("events.carry_data_{guest}_{vcpus}", |ctx| {
        carry_data(ctx, FIFO, SPAN, |_, _, _| Ok(()))
    })
    .on_each(&[Cell::PV.vcpus(4), Cell::PVH.vcpus(4), Cell::HVM.vcpus(2)])
    .full()
    .only_on(Kernels::OURS_AND_C),
    Scenario::new("events.carry_data_by_two_levels_{guest}_{vcpus}", |ctx| {
        carry_data(ctx, TWO_LEVELS, SPAN, |_, _, _| Ok(()))
    })
    .on_each(&[Cell::PV.vcpus(4), Cell::PVH.vcpus(4), Cell::HVM.vcpus(2)])
    .full()
    .only_on(Kernels::OURS_AND_C),
    Scenario::new("events.follow_processors_{guest}_{vcpus}", |ctx| {
        let span = ctx.rounds(2 * SPAN, 12 * SPAN);
        carry_data(ctx, FIFO, span, processors_come_and_go)
    })
    .on_each(&[Cell::PV.vcpus(4), Cell::PVH.vcpus(4)])
    .only_on(Kernels::OURS_AND_C),
    Scenario::new(
        "events.follow_processors_by_two_levels_{guest}_{vcpus}",
        |ctx| {
            let span = ctx.rounds(2 * SPAN, 12 * SPAN);
            carry_data(ctx, TWO_LEVELS, span, processors_come_and_go)
        },
    )
    .on_each(&[Cell::PV.vcpus(4), Cell::PVH.vcpus(4)])
    .only_on(Kernels::OURS_AND_C),
    Scenario::new("events.survive_save_{guest}_{vcpus}", |ctx| {
        let span = SPAN * (ctx.rounds(1, 4) + 1);
        carry_data(ctx, FIFO, span, save_and_restore)
    })
    .on_each(&[Cell::PV.vcpus(2), Cell::PVH.vcpus(2)])
    .only_on(Kernels::OURS_AND_C),
    Scenario::new("events.survive_save_by_two_levels_{guest}_{vcpus}", |ctx| {
        let span = SPAN * (ctx.rounds(1, 4) + 1);
        carry_data(ctx, TWO_LEVELS, span, save_and_restore)
    })
    .on_each(&[Cell::PV.vcpus(2), Cell::PVH.vcpus(2)])
    .only_on(Kernels::OURS_AND_C),
    Scenario::new("events.are_listed_{guest}_{vcpus}", are_listed)
        .on_each(&[Cell::PV.vcpus(2), Cell::PVH.vcpus(2)])
        .only_on(OURS),
    Scenario::new("events.without_work_are_damped_{guest}", are_damped)
        .on_each(&[Cell::PV, Cell::PVH])
        .only_on(OURS),
    Scenario::new("events.of_devices_are_listed", of_devices_are_listed)
        .on(Topology::PV_REAL)
        .only_on(OURS),
];

/// Words of the guest's command line, and what its kernel says then.
struct Abi {
    args: &'static str,
    said: &'static str,
}

const FIFO: Abi = Abi {
    args: "",
    said: "xen:events: Using FIFO-based ABI",
};

const TWO_LEVELS: Abi = Abi {
    args: "xen.fifo_events=0",
    said: "xen:events: Using 2-level ABI",
};

/// The table.
const TABLE: &str = "/sys/kernel/debug/xen/events";

/// For how many seconds data goes on, on the reference machine.
const SPAN: u32 = 10;

/// A guest with a disk and a network by the drivers under test, up.
fn create(ctx: &Ctx<'_>, abi: &Abi) -> Result<Domain> {
    let guest = Guest::new("g1", ctx.mode())
        .vcpus(ctx.vcpus())
        .args(abi.args)
        .disk(Disk::file("data.img", "xvda").mib(16))
        .nic(Nic::new());
    let guest = ctx.host.create(guest)?;
    let log = guest.sh("dmesg | grep 'xen:events: Using'")?;
    ensure!(log.contains(abi.said), "the kernel says {log:?}");
    guest.load_blkfront(ctx.driver, "")?;
    guest.load_netfront(ctx.driver, "")?;
    guest.bring_up("eth0", 0, 2)?;
    Ok(guest)
}

/// What is done with a guest while data goes on, for so many seconds of the guest's clock.
type Meanwhile = fn(&mut Ctx<'_>, &Domain, u32) -> Result<()>;

/// Data goes to and from a disk and a network for `span` seconds, all of it compared, while something is done with the guest.
fn carry_data(ctx: &mut Ctx<'_>, abi: Abi, span: u32, meanwhile: Meanwhile) -> Result<()> {
    let guest = create(ctx, &abi)?;
    let _server = Server::start(ctx.host.dom0())?;
    let seconds = guest.lengthened(span);
    let ledger = guest.spawn(&format!(
        "agent probe ledger write /dev/xvda {seconds} /tmp/books"
    ))?;
    let streams = traffic::spawn_both_ways(&guest, &ipv4(0, 1), 2, span * 1000)?;
    meanwhile(ctx, &guest, seconds)?;
    let limit = Duration::from_secs(u64::from(seconds) * 4 + 60);
    for stream in streams {
        let line = stream.result(limit).context("a stream has not ended")?;
        ensure!(line.get::<u64>("total")? > 200_000, "{line}");
        ctx.note(line.to_string());
    }
    let books = ledger.wait_for(limit)?.ok()?.stdout;
    for name in ["failed", "lost", "torn", "unreadable"] {
        ensure!(
            books.lines().any(|line| line == format!("{name} 0")),
            "writes are {name}: {books}"
        );
    }
    let acknowledged = books
        .lines()
        .find_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
    ensure!(
        acknowledged.is_some_and(|writes: u64| writes > 200),
        "too little was written: {books}"
    );
    ctx.note(books.replace('\n', " "));
    guest.shutdown()
}

/// Processors go offline one by one, until there is one, and come back, as often as there is time. How long one takes depends on
/// the machine, so the last round ends after the data, at most.
fn processors_come_and_go(ctx: &mut Ctx<'_>, guest: &Domain, seconds: u32) -> Result<()> {
    let last = ctx.vcpus() - 1;
    let script = format!(
        "now() {{ read up rest < /proc/uptime; echo ${{up%.*}}; }}
        put() {{ echo $2 > /sys/devices/system/cpu/cpu$1/online || exit 1; }}
        rounds=0; end=$(($(now) + {seconds}))
        while [ $(now) -lt $end ]; do
            for n in $(seq {last} -1 1); do put $n 0; done
            cat /sys/devices/system/cpu/online
            for n in $(seq {last}); do put $n 1; done
            cat /sys/devices/system/cpu/online
            rounds=$((rounds + 1))
        done"
    );
    let limit = Duration::from_secs(u64::from(seconds) * 2 + 120);
    let online = guest.run_for(limit, &script)?.ok()?.stdout;
    let all = format!("0-{last}");
    let rounds = online.lines().filter(|line| *line == all).count();
    let alone = online.lines().filter(|line| *line == "0").count();
    ensure!(
        rounds >= 1 && rounds == alone && online.lines().count() == rounds + alone,
        "processors are not as they were put: {online}"
    );
    ctx.note(format!(
        "{last} processors went and came {rounds} times in {seconds} seconds"
    ));
    Ok(())
}

fn save_and_restore(ctx: &mut Ctx<'_>, guest: &Domain, _: u32) -> Result<()> {
    let rounds = ctx.rounds(1, 4);
    for _ in 0..rounds {
        ctx.host.pace().sleep(Duration::from_secs(3));
        guest.save("/disks/saved")?;
        guest.restore("/disks/saved")?;
        guest.await_carrier("eth0")?;
    }
    ctx.note(format!("restored {rounds} times"));
    Ok(())
}

/// A row of the table.
#[derive(Clone, Debug)]
struct Row {
    port: Option<u32>,
    irq: u32,
    kind: String,
    number: Option<u32>,
    domain: Option<u32>,
    cpu: u32,
    events: u64,
    spurious: u64,
    state: Vec<String>,
}

impl Row {
    fn is(&self, kind: &str, number: u32) -> bool {
        self.kind == kind && self.number == Some(number)
    }
}

fn row(line: &str) -> Option<Row> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (fields, state) = fields.split_first_chunk()?;
    let &[
        port,
        irq,
        kind,
        number,
        domain,
        cpu,
        events,
        spurious,
        _delay,
    ] = fields;
    let or_dash = |text: &str| match text {
        "-" => Some(None),
        text => text.parse().ok().map(Some),
    };
    Some(Row {
        port: or_dash(port)?,
        irq: irq.parse().ok()?,
        kind: kind.into(),
        number: or_dash(number)?,
        domain: or_dash(domain)?,
        cpu: cpu.parse().ok()?,
        events: events.parse().ok()?,
        spurious: spurious.parse().ok()?,
        state: state.iter().map(|&word| word.into()).collect(),
    })
}

/// The ABI and the rows of the table.
fn table(place: &Place) -> Result<(String, Vec<Row>)> {
    let text = place.sh(&format!("cat {TABLE}"))?;
    let mut lines = text.lines();
    let abi = lines.next().context("the table is empty")?.to_owned();
    let rows = lines
        .skip(1)
        .map(|line| row(line).with_context(|| format!("not a row: {line}")));
    Ok((abi, rows.collect::<Result<_>>()?))
}

/// How often each interrupt came, by `/proc/interrupts`, of those that a chip of ours has.
fn interrupts(place: &Place) -> Result<BTreeMap<u32, u64>> {
    let text = place.sh("cat /proc/interrupts")?;
    let line = |line: &str| {
        let (irq, rest) = line.split_once(':')?;
        let counts = rest
            .split_whitespace()
            .map_while(|word| word.parse::<u64>().ok());
        let sum: u64 = counts.sum();
        rest.contains("xen-")
            .then_some((irq.trim().parse().ok()?, sum))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Every interrupt of a channel is in the table with one port, its own, and with as many events as were counted elsewhere.
fn agrees(place: &Place, rows: &[Row]) -> Result<()> {
    let counted = interrupts(place)?;
    for (irq, count) in &counted {
        let row = rows.iter().find(|row| row.irq == *irq);
        let row = row.with_context(|| format!("no row of irq {irq}: {rows:?}"))?;
        // Handled since; an interrupt that came twice may have been handled once.
        ensure!(
            row.events <= count + 100 && *count <= row.events + 20_000,
            "counted {count}: {row:?}"
        );
    }
    let mut ports: Vec<_> = rows.iter().filter_map(|row| row.port).collect();
    let all = ports.len();
    ports.sort_unstable();
    ports.dedup();
    ensure!(all == ports.len(), "a port is there twice: {rows:?}");
    Ok(())
}

/// The table has each channel of a guest: its timers and IPIs, one of each processor, and those of its devices, which dom0 is at the
/// other end of and which are spread over the processors.
fn are_listed(ctx: &mut Ctx<'_>) -> Result<()> {
    for (abi, name) in [(FIFO, "FIFO"), (TWO_LEVELS, "2-level")] {
        let guest = create(ctx, &abi)?;
        let (said, before) = table(&guest)?;
        ensure!(said == name, "the table says {said}");
        guest.sh("dd if=/dev/xvda of=/dev/null bs=64k 2>/dev/null")?;
        let (_, rows) = table(&guest)?;
        agrees(&guest, &rows)?;
        for cpu in 0..ctx.vcpus() {
            let of_cpu = |kind, number| {
                let mut rows = rows.iter().filter(|row| row.cpu == cpu);
                rows.any(|row| row.is(kind, number) && row.port.is_some())
            };
            // The timer is a virq of PV guests, and of others unless they have a better one.
            ensure!(
                of_cpu("virq", 0) || of_cpu("ipi", 0) || ctx.mode() != crate::guest::Mode::Pv,
                "CPU {cpu} has neither timer nor IPI: {rows:?}"
            );
        }
        let devices: Vec<_> = rows.iter().filter(|row| row.kind == "event").collect();
        ensure!(
            devices.len() >= 4 && devices.iter().all(|row| row.domain == Some(0)),
            "channels of devices: {devices:?}"
        );
        let events = |rows: &[Row]| -> u64 {
            let of_devices = rows.iter().filter(|row| row.kind == "event");
            of_devices.map(|row| row.events).sum()
        };
        ensure!(
            events(&rows) >= events(&before) + 20,
            "a disk was read, and events went from {} to {}",
            events(&before),
            events(&rows)
        );
        let mut cpus: Vec<_> = devices.iter().map(|row| row.cpu).collect();
        cpus.sort_unstable();
        cpus.dedup();
        ensure!(
            cpus.len() == ctx.vcpus() as usize,
            "channels of devices are on CPUs {cpus:?} only: {devices:?}"
        );
        let spurious: u64 = rows.iter().map(|row| row.spurious).sum();
        ensure!(
            !rows
                .iter()
                .any(|row| row.state.iter().any(|word| word == "storm")),
            "an honest dom0 is said to send storms: {rows:?}"
        );
        ctx.note(format!(
            "{name}: {} channels, {} events, {spurious} of them without work",
            rows.len(),
            events(&rows)
        ));
        guest.shutdown()?;
    }
    Ok(())
}

/// Somebody in dom0 takes the place of the console daemon and sends events without work. Their channel is unmasked more and more
/// rarely, the guest says once who sends them, and the table does too. Then the console works again.
fn are_damped(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::new("g1", ctx.mode()).vcpus(2))?;
    let dom0 = ctx.host.dom0();
    let domid = guest.domid();
    let port: u32 = dom0
        .sh(&format!("xenstore-read /local/domain/{domid}/console/port"))?
        .trim()
        .parse()?;
    let row = || -> Result<Row> {
        let (_, rows) = table(&guest)?;
        let row = rows.into_iter().find(|row| row.port == Some(port));
        row.with_context(|| format!("no row of port {port}"))
    };
    let before = row()?;
    let daemon = WithoutDaemon::new(dom0)?;
    let seconds = guest.lengthened(5);
    let sent = dom0
        .run_for(
            Duration::from_secs(u64::from(seconds) + 30),
            &format!("/payload/bin/agent hostile storm {domid} {port} {seconds}"),
        )?
        .ok()?
        .stdout;
    let after = row()?;
    daemon.end()?;
    let handled = after.events - before.events;
    ctx.note(format!(
        "sent {}, handled {handled}, {} of them without work",
        sent.trim(),
        after.spurious - before.spurious
    ));
    let sent: u64 = sent
        .split_whitespace()
        .next()
        .context("nothing was sent")?
        .parse()?;
    ensure!(sent > 1000, "only {sent} events were sent");
    // The first ten delays are two seconds in all, and each further one is a second. Twice as many are not yet a flood.
    let most = 2 * (10 + u64::from(seconds));
    ensure!(
        (5..most).contains(&handled),
        "{handled} of {sent} events were handled: {after:?}"
    );
    ensure!(
        after.domain == Some(0) && after.state.iter().any(|word| word == "storm"),
        "the table does not tell of a storm: {after:?}"
    );
    let said = guest.sh(&format!(
        "dmesg | grep -c 'domain 0 sends events without work: port {port} ' || true"
    ))?;
    ensure!(said.trim() == "1", "the log tells of {said} storms");
    guest.sh("echo '<4>after the storm' > /dev/kmsg")?;
    dom0.wait_for(
        "a message on the console",
        Duration::from_secs(20),
        "grep -c 'after the storm' /var/log/xen/guest-g1.log || true",
        |count| count != "0",
    )?;
    guest.shutdown()
}

/// A PV dom0's devices have their pirqs in the table.
fn of_devices_are_listed(ctx: &mut Ctx<'_>) -> Result<()> {
    for disk in DISKS {
        disk.check(ctx.host.dom0(), 2)?;
    }
    let dom0 = ctx.host.dom0();
    let (_, rows) = table(dom0)?;
    agrees(dom0, &rows)?;
    let came = rows
        .iter()
        .filter(|row| row.kind == "pirq" && row.events > 0 && row.port.is_some());
    let count = came.count();
    ctx.note(format!("{count} pirqs have come"));
    ensure!(count >= 3, "only {count} pirqs have come: {rows:?}");
    let text = dom0.sh("cat /proc/interrupts")?;
    let pirqs = text.lines().filter(|line| line.contains("xen-pirq"));
    let pirqs = pirqs.filter_map(devices::interrupt).count();
    let listed = rows.iter().filter(|row| row.kind == "pirq").count();
    ensure!(
        listed >= pirqs,
        "{listed} of {pirqs} pirqs are in the table: {rows:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read() {
        let read =
            row("     9   27 event       -      0   1         2113          4     0 masked no-eoi");
        let read = read.unwrap();
        assert_eq!((read.port, read.irq, read.number), (Some(9), 27, None));
        assert_eq!((read.domain, read.cpu, read.events), (Some(0), 1, 2113));
        assert_eq!(read.state, ["masked", "no-eoi"]);
        let timer =
            row("     3   17 virq        0      -   0          900          0     0").unwrap();
        assert!(timer.is("virq", 0) && timer.state.is_empty() && timer.domain.is_none());
        assert!(row("     3   17 virq").is_none());
    }
}
