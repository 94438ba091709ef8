// SPDX-License-Identifier: GPL-2.0

//! A back end that is slow, lies, floods, and dies: the program `test-pciback` in dom0, which has one device.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::counter;
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Driver, Guest};
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "pcifront.hostile_backend_does_no_harm",
    does_no_harm,
)];

/// What makes the front end of the kernel access configuration space where it may sleep.
const RESCAN: &str = "echo 1 > /sys/bus/pci/rescan";

/// What reads it where it must not.
const READ: &str = "sha256sum < /sys/bus/pci/devices/0000:00:01.0/config";

/// The program's device, as the guest knows it.
struct Backend<'a> {
    guest: &'a Domain,
    /// The two ends' folders in the xenstore.
    back: String,
    front: String,
}

impl<'a> Backend<'a> {
    /// Makes the device. Its front end is there, but not the program.
    fn announce(guest: &'a Domain) -> Result<Self> {
        let domid = guest.domid();
        let back = format!("/local/domain/0/backend/pci/{domid}/0");
        let front = format!("/local/domain/{domid}/device/pci/0");
        guest.dom0.sh(&format!(
            "xenstore-write {back}/frontend {front} {back}/frontend-id {domid} {back}/online 1 \
             {back}/root_num 1 {back}/root-0 0000:00 {back}/num_devs 1 {back}/vdev-0 0000:00:01.00 {back}/state 3 && \
             xenstore-chmod -r {back} n0 r{domid} && \
             xenstore-write {front}/backend {back} {front}/backend-id 0 && xenstore-chmod -r {front} n{domid} r0 && \
             xenstore-write {front}/state 1"
        ))?;
        Ok(Self { guest, back, front })
    }

    fn await_front(&self, state: u32) -> Result<()> {
        self.guest
            .dom0
            .wait_for(
                "the front end's state",
                Duration::from_secs(30),
                &format!("xenstore-read {}/state", self.front),
                |found| found == state.to_string(),
            )
            .map(drop)
    }

    /// Starts the program and says that it is connected.
    fn start(&self) -> Result<()> {
        self.await_front(3)?;
        let Self { back, front, .. } = self;
        let domid = self.guest.domid();
        self.guest.dom0.sh(&format!(
            "rm -f /tmp/pci-in /tmp/pci-out; mkfifo /tmp/pci-in && \
             {{ setsid /payload/bin/test-pciback {domid} $(xenstore-read {front}/pci-op-ref) \
             $(xenstore-read {front}/event-channel) < /tmp/pci-in >> /tmp/pci-out 2>&1 & }} && \
             {{ setsid sleep 1000 > /tmp/pci-in & echo $! > /tmp/pci-holder; }} && \
             until grep -q ready /tmp/pci-out; do sleep 0.1; done && xenstore-write {back}/state 4"
        ))?;
        self.await_front(4)
    }

    /// Has the program do something, and returns what it says.
    fn tell(&self, line: &str) -> Result<String> {
        self.guest.dom0.sh(&format!(
            "echo ready > /tmp/pci-out; echo '{line}' > /tmp/pci-in; \
             until grep -qE 'done|asleep' /tmp/pci-out; do sleep 0.1; done; grep -v done /tmp/pci-out | tail -1"
        ))
    }

    /// The program ends, as if it had crashed.
    fn kill(&self) -> Result<()> {
        self.guest
            .dom0
            .sh("kill -9 $(pidof test-pciback); kill $(cat /tmp/pci-holder)")
            .map(drop)
    }
}

fn does_no_harm(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C driver waits for each access of a back end that does not answer");
    }
    let guest = ctx.host.create(Guest::pv("g1").vcpus(2))?;
    let backend = Backend::announce(&guest)?;
    // Loading waits for the back end to connect, and the program can only be started when the front end is there.
    guest.sh(&format!(
        "setsid modprobe {} >/dev/null 2>&1 </dev/null &",
        ctx.driver.pci_module()
    ))?;
    backend.start()?;
    guest.await_passed(1)?;
    let content = guest.sh(READ)?;
    ensure!(guest.sh("cat /sys/bus/pci/devices/0000:00:01.0/vendor")? == "0x1234");

    slow(&guest, &backend, RESCAN, 1)?;
    slow(&guest, &backend, READ, 2)?;
    ensure!(
        guest.sh(READ)? == content,
        "a late answer was taken for another's"
    );

    both_ways(ctx, &guest, &content)?;
    lies(&guest, &backend, &content)?;
    reports(&guest, &backend)?;

    backend.tell("storm 20000")?;
    ensure!(
        guest.sh(READ)? == content,
        "an honest answer came out wrong"
    );

    let text = guest.sh("cat /sys/kernel/debug/xen/pcifront/pci-0/accesses")?;
    ctx.note(text.split_whitespace().collect::<Vec<_>>().join(" "));

    // The program is killed, then its folder in the xenstore is removed.
    backend.kill()?;
    let started = guest.pace().now();
    guest.sh(&format!("{RESCAN}; {READ}; {READ}"))?;
    let took = guest.pace().since(&started);
    ctx.note(format!(
        "accesses to a dead back end took {took:.1?} in all"
    ));
    ensure!(took < Duration::from_secs(5), "dead: {took:.1?}");
    let Backend { back, .. } = &backend;
    ctx.host
        .dom0()
        .sh(&format!("xenstore-write {back}/state 6"))?;
    guest.await_passed(0)?;
    backend.await_front(6)?;
    guest.sh(&format!(
        "echo pci-0 > /sys/bus/xen/drivers/pcifront/unbind && rmmod {}",
        ctx.driver.pci_module()
    ))?;
    let owned = guest.sh(
        "cd /sys/kernel/debug/xen/objects && for f in *; do [ $f = deferred ] || [ $(cat $f) = 0 ] || echo $f $(cat $f); done",
    )?;
    ensure!(owned.is_empty(), "our modules still own {owned}");
    ctx.host
        .dom0()
        .sh(&format!("xenstore-rm {back}; rm -f /tmp/pci-*"))?;
    guest.shutdown()
}

/// The back end sleeps for six seconds while the guest accesses configuration space many times: that takes as long as one
/// unanswered access, and all is well when it has woken up.
fn slow(guest: &Domain, backend: &Backend<'_>, access: &str, times: u64) -> Result<()> {
    let (gone, timeouts) = (counter(guest, "gone")?, counter(guest, "timeouts")?);
    backend.tell("sleep 6000")?;
    let started = guest.pace().now();
    guest.sh(&format!("{access} || true"))?;
    let own = guest.pace().since(&started);
    let took = guest.pace().now().wall.saturating_sub(started.wall);
    ensure!(
        took > Duration::from_millis(1500) && own < Duration::from_millis(5000),
        "{access}: {took:.1?}, of the machine's own time {own:.1?}"
    );
    ensure!(
        counter(guest, "timeouts")? == timeouts + 1,
        "{access} waited more than once"
    );
    ensure!(
        counter(guest, "gone")? > gone,
        "{access} was one access only"
    );
    std::thread::sleep(Duration::from_secs(7).saturating_sub(took));
    backend.tell("honest")?;
    guest.sh(READ)?;
    ensure!(
        counter(guest, "late_answers")? == times,
        "the late answer was not noticed"
    );
    let said = guest.sh("dmesg | grep -cE 'not responding!!!|responds again'")?;
    ensure!(said == (2 * times).to_string(), "{said} messages");
    Ok(())
}

/// Accesses where the caller may sleep and in atomic context, at the same time.
fn both_ways(ctx: &mut Ctx<'_>, guest: &Domain, content: &str) -> Result<()> {
    let timeouts = counter(guest, "timeouts")?;
    let rounds = ctx.rounds(3, 30);
    guest.sh(&format!(
        "(for n in $(seq {rounds}); do {RESCAN}; done) & rescans=$!; \
         while kill -0 $rescans 2>/dev/null; do [ \"$({READ})\" = '{content}' ] || exit 1; done; wait"
    ))
    .context("an answer went to another's operation")?;
    ensure!(counter(guest, "timeouts")? == timeouts);
    Ok(())
}

fn lies(guest: &Domain, backend: &Backend<'_>, content: &str) -> Result<()> {
    let bad_answers = counter(guest, "bad_answers")?;
    for lie in [
        "garbage",
        "error -1",
        "error -22",
        "error 7",
        "error -2147483648",
    ] {
        backend.tell(lie)?;
        guest.sh(&format!("for n in 1 2 3; do {READ}; done; true"))?;
    }
    backend.tell("honest")?;
    ensure!(
        counter(guest, "bad_answers")? > bad_answers,
        "lies were believed"
    );
    ensure!(
        guest.sh(READ)? == content,
        "lies have left something behind"
    );
    Ok(())
}

fn reports(guest: &Domain, backend: &Backend<'_>) -> Result<()> {
    // A device without a driver, one that is not there, a bus that is not, and no report at all.
    for report in [
        "6 2 0 8",
        "9 1 0 8",
        "6 2 0 16",
        "6 2 7 8",
        "99 2 0 8",
        "6 99 0 8",
        "6 2 0 100000",
    ] {
        let reply = backend.tell(&format!("report {report}"))?;
        // PCI_ERS_RESULT_NONE
        ensure!(reply == "reply 1", "report {report}: {reply}");
    }
    ensure!(counter(guest, "bad_reports")? == 3);
    ensure!(counter(guest, "errors_detected")? == 3);
    Ok(())
}
