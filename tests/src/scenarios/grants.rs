// SPDX-License-Identifier: GPL-2.0

//! The grant table of guests on an overlay kernel: traffic through it, all that its functions do, and what a user sees of it.
//!
//! The module `xen_grant_test` (`linux-pv/granttest`) uses what the kernel exports for drivers: in one domain, or in two.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Guest, Mode};
use crate::matrix::{Cell, Kernels};
use crate::nic::{Nic, ipv4};
use crate::overlay;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::traffic::{self, Server, expect};

/// Each kind of guest.
const GUESTS: &[Cell] = &[Cell::PV, Cell::PVH, Cell::HVM.full()];

/// The C object has no file, corrupts its list of free references, and writes beyond it with odd limits.
const OURS: Kernels = Kernels::Profiles(&[overlay::OURS]);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("grants.do_what_they_are_for_{guest}", do_what_they_are_for)
        .on_each(GUESTS)
        .only_on(Kernels::OURS_AND_C)
        .by_default(),
    Scenario::new("grants.carry_traffic_over_save_{guest}", carry_traffic)
        .on_each(GUESTS)
        .only_on(Kernels::OURS_AND_C),
    Scenario::new(
        "grants.kept_pages_are_listed_{guest}",
        kept_pages_are_listed,
    )
    .on_each(GUESTS)
    .only_on(OURS),
    Scenario::new("grants.mistakes_are_found_{guest}", mistakes_are_found)
        .on_each(GUESTS)
        .only_on(OURS),
    Scenario::new("grants.odd_limits_are_used_up_{guest}", odd_limits)
        .on_each(GUESTS)
        .only_on(OURS),
    Scenario::new("grants.version_2_works_{guest}", version_2)
        .on_each(GUESTS)
        .only_on(OURS),
];

/// The file with what is granted.
const FILE: &str = "/sys/kernel/debug/xen/grants";

/// The parameter for how many deferred grants are tried each second.
const TRIES: &str = "/sys/module/grant_table/parameters/free_per_iteration";

/// How long the module's tests may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A command that loads or unloads the module, and what the module says of it.
fn said(place: &Place, command: &str) -> Result<String> {
    const LINES: &str = "dmesg | grep -o 'xen_grant_test: .*'";
    let script = format!("n=$({LINES} | wc -l); {command} && {LINES} | tail -n +$((n + 1))");
    let said = place.run_for(LIMIT, &script)?.ok()?.stdout;
    ensure!(
        said.contains("xen_grant_test: passed ") && !said.contains("FAILED"),
        "a test of the module has failed:\n{said}"
    );
    Ok(said)
}

/// Loads the module.
fn load(place: &Place, parameters: &str) -> Result<String> {
    said(place, &format!("modprobe xen_grant_test {parameters}"))
}

/// Unloads it, if it has something to say then.
fn unload(place: &Place) -> Result<String> {
    said(place, "rmmod xen_grant_test")
}

/// The module's tests that need no other domain.
fn test(guest: &Domain, parameters: &str) -> Result<String> {
    let said = load(guest, &format!("domid={} {parameters}", guest.domid()))?;
    guest.sh("rmmod xen_grant_test")?;
    Ok(said)
}

/// Has one domain grant pages to another, and that one map and change them. The module stays loaded in both.
fn share((from, granter): (&Place, u32), (to, user): (&Place, u32), count: u64) -> Result<()> {
    let said = load(from, &format!("peer={user} count={count}"))?;
    let refs = said
        .lines()
        .find_map(|line| line.strip_prefix("xen_grant_test: refs "))
        .with_context(|| format!("the module names no references:\n{said}"))?;
    load(to, &format!("peer={granter} refs={refs}")).map(drop)
}

/// The file's text.
fn file(guest: &Domain) -> Result<String> {
    guest.sh(&format!("cat {FILE}"))
}

/// The number before a word, or words, of a text.
fn number(text: &str, word: &str) -> Result<u64> {
    let before = text.split(&format!(" {word}")).next().unwrap_or_default();
    let number = before.rsplit([' ', '\n']).next().unwrap_or_default();
    number
        .parse()
        .with_context(|| format!("no number before {word:?} in:\n{text}"))
}

/// The rows of the table that begins with a line, as words.
fn rows<'t>(text: &'t str, head: &str) -> Vec<Vec<&'t str>> {
    let rows = text.lines().skip_while(|line| !line.starts_with(head));
    let rows = rows.skip(1).map(|line| line.split_whitespace().collect());
    rows.take_while(|row: &Vec<&str>| row.first().is_some_and(|word| *word != "deferred"))
        .collect()
}

/// Every function, before a save and after it.
fn do_what_they_are_for(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::new("g1", ctx.mode()).vcpus(2))?;
    let is_ours = overlay::is_ours(ctx.host);
    let before = if is_ours {
        file(&guest)?
    } else {
        String::new()
    };
    for saved in [false, true] {
        if saved {
            guest.save("/disks/saved")?;
            guest.restore("/disks/saved")?;
        }
        test(&guest, "")?;
        let (domain, dom0) = ((&*guest, guest.domid()), (ctx.host.dom0(), 0));
        for (from, to) in [(domain, dom0), (dom0, domain)] {
            share(from, to, 20)?;
            unload(to.0)?;
            unload(from.0)?;
        }
    }
    if is_ours {
        // Those that are deferred are tried each second of the guest's clock.
        guest.wait_for(
            "no grant to be deferred",
            Duration::from_secs(20),
            &format!("sed -n 2p {FILE}"),
            |line| line.starts_with("0 deferred, "),
        )?;
        let after = file(&guest)?;
        ctx.note(after.replace('\n', "; "));
        ensure!(
            number(&after, "in use")? == number(&before, "in use")?
                && number(&after, "in lists")? == number(&before, "in lists")?,
            "references were lost: {before}, then {after}"
        );
        // Two of each run's tests in a PV domain, which can map what it has granted.
        let deferred = if ctx.mode() == Mode::Pv { 4 } else { 0 };
        ensure!(
            number(&after, "deferred,")? == 0 && number(&after, "revoked later")? == deferred,
            "deferred grants: {after}"
        );
        ensure!(
            number(&after, "mistakes")? == 0,
            "the kernel's drivers make mistakes: {after}"
        );
    }
    guest.shutdown()
}

/// A disk and a network interface at work while the guest is saved and restored: not a byte is wrong.
fn carry_traffic(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(1, 4);
    let guest = Guest::new("g1", ctx.mode())
        .vcpus(2)
        .disk(Disk::file("ledger.img", "xvda").mib(16))
        .nic(Nic::new());
    let guest = ctx.host.create(guest)?;
    guest.load_blkfront(ctx.driver, "")?;
    guest.load_netfront(ctx.driver, "")?;
    guest.bring_up("eth0", 0, 2)?;
    let _server = Server::start(ctx.host.dom0())?;
    let seconds = guest.lengthened(10 * (rounds + 1));
    let ledger = guest.spawn(&format!(
        "agent probe ledger write /dev/xvda {seconds} /tmp/books"
    ))?;
    // The clock of the streams stands still while the guest does.
    let time = 8_000 * (rounds + 1);
    let streams = traffic::spawn_both_ways(&guest, &ipv4(0, 1), 2, time)?;
    for _ in 0..rounds {
        ctx.host.pace().sleep(Duration::from_secs(4));
        if overlay::is_ours(ctx.host) {
            let text = file(&guest)?;
            let peers = rows(&text, "peer ");
            let dom0 = peers.iter().find(|row| row[0] == "0");
            let granted: u64 = dom0
                .and_then(|row| row.get(1))
                .with_context(|| format!("dom0 was granted nothing: {text}"))?
                .parse()?;
            // The rings, and the buffers that wait for packets.
            ensure!(granted > 100, "dom0 was granted only {granted}: {text}");
            ctx.note(text.replace('\n', "; "));
        }
        guest.save("/disks/saved")?;
        guest.restore("/disks/saved")?;
        guest.await_carrier("eth0")?;
    }
    for stream in streams {
        let line = stream
            .result(Duration::from_millis(u64::from(time) * 4))
            .context("a stream did not survive")?;
        ensure!(line.get::<u64>("total")? > 1_000_000, "{line}");
    }
    let books = ledger
        .wait_for(Duration::from_secs(u64::from(seconds) + 90))?
        .ok()?
        .stdout;
    for what in ["failed", "lost", "torn", "unreadable"] {
        let is_none = books.lines().any(|line| line == format!("{what} 0"));
        ensure!(is_none, "{what} in the ledger: {books}");
    }
    let line = traffic::run(&guest, &format!("ping {} --sizes 0,1472,65507", ipv4(0, 1)))?;
    expect(&line, &[("answered", 3)])?;
    test(&guest, "")?;
    guest.shutdown()
}

/// Pages that dom0 does not let go of: they are listed with their age, and freed when it does.
fn kept_pages_are_listed(ctx: &mut Ctx<'_>) -> Result<()> {
    const KEPT: u64 = 45;
    let guest = ctx.host.create(Guest::new("g1", ctx.mode()))?;
    let dom0 = ctx.host.dom0();
    share((&guest, guest.domid()), (dom0, 0), KEPT)?;
    let text = file(&guest)?;
    let peers = rows(&text, "peer ");
    let row = peers
        .iter()
        .find(|row| row[0] == "0")
        .with_context(|| format!("no row of dom0: {text}"))?;
    let numbers: Vec<u64> = row.iter().filter_map(|word| word.parse().ok()).collect();
    // Of the module's, every second one is read-only; the toolstack has granted rings.
    ensure!(
        numbers[1] >= KEPT && numbers[2] >= KEPT / 2 && numbers[3] >= KEPT,
        "dom0's row is wrong: {text}"
    );
    unload(&guest)?;
    ctx.host.pace().sleep(Duration::from_secs(5));
    let text = file(&guest)?;
    ctx.note(text.replace('\n', "; "));
    let kept = rows(&text, "deferred ");
    ensure!(
        number(&text, "deferred,")? == KEPT && kept.len() as u64 == KEPT,
        "{KEPT} pages are kept: {text}"
    );
    for row in &kept {
        let seconds: u64 = row.get(2).context("no age")?.parse()?;
        ensure!(
            row[1] == "0" && (2..300).contains(&seconds),
            "a row is wrong: {row:?}"
        );
    }
    // All at the next try, instead of ten a second.
    ensure!(guest.sh(&format!("cat {TRIES}"))? == "10");
    guest.sh(&format!("echo 0 > {TRIES}"))?;
    unload(dom0)?;
    guest.wait_for(
        "the pages to be freed",
        Duration::from_secs(20),
        &format!("sed -n 2p {FILE}"),
        |line| line.starts_with(&format!("0 deferred, {KEPT} revoked later, 0 leaked")),
    )?;
    ensure!(rows(&file(&guest)?, "deferred ").is_empty());
    guest.shutdown()
}

/// A driver that frees a reference twice is named, and the table works on.
fn mistakes_are_found(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::new("g1", ctx.mode()))?;
    test(&guest, "mistakes=1")?;
    let log = guest.sh("dmesg")?;
    for said in [
        "is free, and cannot be freed: a mistake of its driver",
        "is free, and cannot be ended: a mistake of its driver",
        "is in a list, and cannot be ended: a mistake of its driver",
        "test_make_mistakes",
    ] {
        ensure!(log.contains(said), "the log lacks {said:?}:\n{log}");
    }
    let made = number(&file(&guest)?, "mistakes")?;
    ensure!(made == 6, "{made} mistakes were found, not 6");
    test(&guest, "")?;
    ensure!(number(&file(&guest)?, "mistakes")? == made);
    guest.shutdown()
}

/// A limit at which C's list of references is too short: all references of the table can be used.
fn odd_limits(ctx: &mut Ctx<'_>) -> Result<()> {
    for frames in [5, 9] {
        let guest = Guest::new("g1", ctx.mode()).line(&format!("max_grant_frames = {frames}"));
        let guest = ctx.host.create(guest)?;
        let said = test(&guest, "fill=1")?;
        let last = format!("the last one {}", frames * 512 - 1);
        ensure!(said.contains(&last), "not {last}: {said}");
        let log = guest.sh("dmesg")?;
        let reached = format!("max_grant_frames reached cur={frames} extra=1 limit={frames}");
        ensure!(log.contains(&reached), "the log lacks {reached:?}: {log}");
        let text = file(&guest)?;
        let head = format!(
            "version 1, {frames} of {frames} frames, {} references",
            frames * 512
        );
        ensure!(text.starts_with(&head), "not {head:?}: {text}");
        guest.shutdown()?;
    }
    Ok(())
}

/// Entries of version 2, with their status words in frames of their own.
fn version_2(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = Guest::new("g1", ctx.mode())
        .vcpus(2)
        .args("grant_table.version=2");
    let guest = ctx.host.create(guest)?;
    let text = file(&guest)?;
    ensure!(text.starts_with("version 2, "), "another version: {text}");
    for saved in [false, true] {
        if saved {
            guest.save("/disks/saved")?;
            guest.restore("/disks/saved")?;
        }
        let said = test(&guest, "fill=1")?;
        ctx.note(said.lines().next().unwrap_or_default().to_owned());
    }
    guest.shutdown()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version 1, 2 of 64 frames, 1024 references\n\
        3 deferred, 4 revoked later, 0 leaked, 0 mistakes of drivers\n\
        8 reserved, 1000 free, 5 in lists, 11 in use, 3 deferred\n\
        peer      granted  read-only   used-now\n\
        0              11          1          2\n\
        deferred  peer     seconds\n\
        1025      7        12\n";

    #[test]
    fn the_file_is_read_as_it_is_written() {
        assert_eq!(number(TEXT, "deferred,").unwrap(), 3);
        assert_eq!(number(TEXT, "revoked later").unwrap(), 4);
        assert_eq!(number(TEXT, "in lists").unwrap(), 5);
        assert!(number(TEXT, "eggs").is_err());
        assert_eq!(rows(TEXT, "peer "), [["0", "11", "1", "2"]]);
        assert_eq!(rows(TEXT, "deferred  "), [["1025", "7", "12"]]);
    }
}
