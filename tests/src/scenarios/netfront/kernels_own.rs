// SPDX-License-Identifier: GPL-2.0

//! The kernel's own tests of network devices (`tools/testing/selftests/net` of its source), with dom0 as the other end.
//!
//! Left out is what does not apply here: checksums left to the device are not on the wire between a guest and dom0, so
//! the sending half of `csum` runs with checksums of the stack; devices of ours have no hardware that coalesces, so
//! `gro` runs in its mode `sw`.

use std::time::Duration;

use agent::message::Exit;
use anyhow::{Result, ensure};

use super::forms::set_mtu;
use super::{GUEST, start, start_down};

use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Guest};
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4, ipv6};
use crate::remote::Place;
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.kernels_own_device_test_passes", device).full(),
    Scenario::new("netfront.kernels_own_checksum_tests_pass", checksums).full(),
    Scenario::new("netfront.kernels_own_zerocopy_tests_pass_{guest}", zerocopy)
        .on_each(&[Cell::PV, Cell::PVH])
        .full(),
    Scenario::new("netfront.kernels_own_coalescing_tests_pass", coalescing).full(),
];

/// Where the tests are in dom0.
const IN_DOM0: &str = "/payload/lib/selftests";
/// Where they are in a guest.
const IN_GUEST: &str = "/lib/selftests";

/// How long one test may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A test's exit status when it has seen packets made one that must not be: no matter of timing.
const TOO_MANY: Exit = Exit::Code(42);
/// How often a test of coalescing is tried, as by the kernel's own `gro.py`: packets that come with a pause between
/// them are not made one.
const ATTEMPTS: u32 = 6;

/// Kernels that are built here have none.
fn there_are_tests(ctx: &Ctx<'_>) -> Result<()> {
    if ctx.host.dom0().sh(&format!("ls {IN_DOM0}"))?.is_empty() {
        return skip("the source of this kernel was unpacked without tests");
    }
    Ok(())
}

/// A family of addresses, and the two ends.
struct Ends {
    family: &'static str,
    guest: String,
    dom0: String,
}

fn ends() -> [Ends; 2] {
    [
        Ends {
            family: "4",
            guest: ipv4(0, GUEST),
            dom0: ipv4(0, 1),
        },
        Ends {
            family: "6",
            guest: ipv6(0, GUEST),
            dom0: ipv6(0, 1),
        },
    ]
}

/// Addresses, features and statistics through `ip` and `ethtool`.
fn device(ctx: &mut Ctx<'_>) -> Result<()> {
    there_are_tests(ctx)?;
    let guest = start_down(ctx, Guest::pv("g1").vcpus(2).nic(Nic::new()), "")?;
    let output = guest.run_for(LIMIT, &format!("sh {IN_GUEST}/netdevice.sh"))?;
    let said = output.ok()?.stdout;
    let count = |word: &str| said.lines().filter(|line| line.starts_with(word)).count();
    ctx.note(format!(
        "{} passed, {} not supported by the device",
        count("PASS"),
        count("XFAIL")
    ));
    ensure!(count("FAIL") == 0 && count("PASS") > 3, "{said}");
    guest.shutdown()
}

/// Frames with right and with wrong checksums of every length come in, and go out.
fn checksums(ctx: &mut Ctx<'_>) -> Result<()> {
    there_are_tests(ctx)?;
    let guest = start(ctx, Guest::pv("g1").vcpus(2).nic(Nic::new()), "")?;
    let dom0 = ctx.host.dom0();
    guest.sh("ethtool -K eth0 gro off")?;
    dom0.sh("ethtool -K xenbr0 gro off; true")?;
    let mut passed = 0;
    for ends in ends() {
        let (guest_end, dom0_end) = (&ends.guest, &ends.dom0);
        let base = format!("-{} -n 100", ends.family);
        let inward = format!("{base} -S {dom0_end} -D {guest_end}");
        for what in ["-t", "-t -E", "", "-E"] {
            pair(
                (
                    &guest,
                    &format!("{IN_GUEST}/csum -i eth0 {inward} -r 1 -R -L 5 {what}"),
                ),
                (
                    dom0,
                    &format!("{IN_DOM0}/csum -i xenbr0 {inward} -r 1 -T {what}"),
                ),
            )?;
            passed += 1;
        }
        guest.sh("ethtool -K eth0 tx off")?;
        let outward = format!("{base} -L 5 -S {guest_end} -D {dom0_end}");
        for what in ["-U -r 1", "-U -Z"] {
            pair(
                (
                    dom0,
                    &format!("{IN_DOM0}/csum -i xenbr0 {outward} -R {what}"),
                ),
                (
                    &guest,
                    &format!("{IN_GUEST}/csum -i eth0 {outward} -T {what}"),
                ),
            )?;
            passed += 1;
        }
        guest.sh("ethtool -K eth0 tx on")?;
    }
    ctx.note(format!("{passed} passed"));
    guest.shutdown()
}

/// A receiver that listens on port 34000, and a sender.
fn pair(receiver: (&Place, &str), sender: (&Place, &str)) -> Result<()> {
    let job = receiver.0.spawn(&format!("exec {}", receiver.1))?;
    receiver.0.wait_for(
        "the receiver to listen",
        Duration::from_secs(10),
        "grep -c :84D0 /proc/net/udp /proc/net/udp6 | cut -d: -f2 | sort -n | tail -n 1",
        |listeners| listeners != "0",
    )?;
    sender.0.sh(sender.1)?;
    job.wait_for(LIMIT)?.ok()?;
    Ok(())
}

/// A process's own pages are sent, and it is notified when it may change them: they have been granted, not copied.
fn zerocopy(ctx: &mut Ctx<'_>) -> Result<()> {
    there_are_tests(ctx)?;
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode()).vcpus(2).nic(Nic::new()),
        "",
    )?;
    let dom0 = ctx.host.dom0();
    // Datagrams that have to be cut into several packets are copied by the stack.
    set_mtu(ctx, &guest, 65517)?;
    guest.sh("sysctl -wq net.core.optmem_max=1000000")?;
    let (receives, sends) = (guest.lengthened(6), guest.lengthened(4));
    for ends in ends() {
        for protocol in ["tcp", "udp"] {
            let common = format!("-{} -S {} -D {} -C 0", ends.family, ends.guest, ends.dom0);
            let receiver = dom0.spawn(&format!(
                "exec {IN_DOM0}/msg_zerocopy {common} -t {receives} -r {protocol}"
            ))?;
            guest.pace().sleep(Duration::from_millis(700));
            let sent = guest.run_for(
                LIMIT,
                &format!("{IN_GUEST}/msg_zerocopy {common} -t {sends} -z -Z 1 {protocol}"),
            )?;
            let said = sent.ok()?.stderr;
            let received = receiver.wait_for(LIMIT)?.ok()?.stderr;
            ctx.note(format!(
                "{protocol} {}: sent {}; received {}",
                ends.family,
                said.lines().last().unwrap_or_default(),
                received.lines().last().unwrap_or_default()
            ));
        }
    }
    guest.shutdown()
}

/// Tests of every family of addresses.
const COMMON: [&str; 19] = [
    "data_same",
    "data_lrg_sml",
    "data_sml_lrg",
    "data_lrg_1byte",
    "data_burst",
    "ack",
    "flags_psh",
    "flags_syn",
    "flags_rst",
    "flags_urg",
    "flags_cwr",
    "tcp_csum",
    "tcp_seq",
    "tcp_ts",
    "tcp_opt",
    "ip_ecn",
    "ip_tos",
    "large_max",
    "large_rem",
];
const ONLY_V4: [&str; 10] = [
    "ip_csum",
    "ip_ttl",
    "ip_opt",
    "ip_frag4",
    "ip_id_df1_inc",
    "ip_id_df1_fixed",
    "ip_id_df0_inc",
    "ip_id_df0_fixed",
    "ip_id_df1_inc_fixed",
    "ip_id_df1_fixed_inc",
];
const ONLY_V6: [&str; 3] = ["ip_frag6", "ip_v6ext_same", "ip_v6ext_diff"];

/// Received packets are made one where they may be, and nowhere else.
fn coalescing(ctx: &mut Ctx<'_>) -> Result<()> {
    there_are_tests(ctx)?;
    let guest = start(ctx, Guest::pv("g1").vcpus(2).nic(Nic::new()), "")?;
    set_mtu(ctx, &guest, 4096)?;
    guest.sh(
        "cd /sys/class/net/eth0 && echo 200000 > gro_flush_timeout && echo 10 > napi_defer_hard_irqs",
    )?;
    let (mut passed, mut again, mut failed) = (0, 0, vec![]);
    for ends in ends() {
        let own: &[&str] = if ends.family == "4" {
            &ONLY_V4
        } else {
            &ONLY_V6
        };
        for test in COMMON.iter().chain(own) {
            let mut attempt = 1;
            let why = loop {
                match gro(ctx.host.dom0(), &guest, &ends, test)? {
                    None => break None,
                    Some((status, _)) if status != TOO_MANY && attempt < ATTEMPTS => attempt += 1,
                    Some((_, why)) => break Some(why),
                }
            };
            again += attempt - 1;
            match why {
                None => passed += 1,
                Some(why) => failed.push(format!("{test} of IPv{}: {why}", ends.family)),
            }
        }
    }
    ctx.note(format!(
        "{passed} passed, {again} attempts more than one each"
    ));
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    guest.shutdown()
}

/// Runs a test once. A failure is its exit status and what it said.
fn gro(dom0: &Place, guest: &Domain, ends: &Ends, test: &str) -> Result<Option<(Exit, String)>> {
    let vif = guest.vif(0);
    let mac = guest.sh("cat /sys/class/net/eth0/address")?;
    let own = dom0.sh("cat /sys/class/net/xenbr0/address")?;
    let args = format!(
        "--ipv{} --dmac {mac} --smac {own} --daddr {} --saddr {} --test {test}",
        ends.family, ends.guest, ends.dom0
    );
    let job = guest.spawn(&format!(
        "exec {IN_GUEST}/gro {args} --rx --iface eth0 > /tmp/gro 2>&1"
    ))?;
    guest.wait_for(
        "the receiver",
        Duration::from_secs(10),
        "cat /tmp/gro",
        |said| said.contains("ready"),
    )?;
    dom0.sh(&format!("{IN_DOM0}/gro {args} --iface {vif}"))?;
    let output = job.wait_for(LIMIT)?;
    if output.succeeded() {
        return Ok(None);
    }
    let said = guest.sh("cat /tmp/gro")?;
    Ok(Some((output.exit, said)))
}
