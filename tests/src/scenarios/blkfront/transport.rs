// SPDX-License-Identifier: GPL-2.0

//! The ways in which data and rings are shared, each asked for by module parameters and seen in the xenstore,
//! and in each of them the data is right.

use anyhow::{Result, ensure};

use super::loss::expect;
use super::vbd::{Vbd, own_counter, own_word};
use super::{await_disk, start};
use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest};
use crate::matrix::Cell;
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new("blkfront.transport_{guest}", transport)
    .crosswise()
    .on_each(&[Cell::PVH, Cell::PV])
    .full()];

/// What to ask for and what to see.
struct Case {
    parameters: &'static str,
    queues: u32,
    ring_order: u32,
    persistent: bool,
    /// How our driver calls the way it lets the back end at the data.
    copy_mode: &'static str,
    /// A word for the disk's specification.
    option: &'static str,
}

const CASES: &[Case] = &[
    Case {
        parameters: "max_queues=1 max_ring_page_order=4",
        queues: 1,
        ring_order: 4,
        persistent: true,
        copy_mode: "persistent",
        option: "trusted",
    },
    Case {
        parameters: "max_queues=2 max_ring_page_order=1 feature_persistent=0",
        queues: 2,
        ring_order: 1,
        persistent: false,
        copy_mode: "none",
        option: "trusted",
    },
    Case {
        parameters: "feature_persistent=0 trusted=0",
        queues: 2,
        ring_order: 0,
        persistent: false,
        copy_mode: "bounce",
        option: "trusted",
    },
    Case {
        parameters: "feature_persistent=0",
        queues: 2,
        ring_order: 0,
        persistent: false,
        copy_mode: "bounce",
        option: "untrusted",
    },
];

fn transport(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::new("g1", ctx.mode()).vcpus(2), "")?;
    for case in CASES {
        guest.sh(&format!(
            "rmmod {0} && modprobe {0} {1}",
            ctx.driver.block_module(),
            case.parameters
        ))?;
        guest.attach(&Disk::file("a.img", "xvda").mib(64).option(case.option))?;
        await_disk(&guest, "xvda")?;
        one(ctx, &guest, case)?;
        guest.detach("xvda", "")?.ok()?;
    }
    guest.shutdown()
}

fn one(ctx: &Ctx<'_>, guest: &Domain, case: &Case) -> Result<()> {
    let vbd = Vbd::of(ctx.host, guest, "xvda")?;
    let Case {
        parameters, option, ..
    } = case;
    let said = |key: &str, otherwise: u32| -> Result<u32> {
        let value = vbd.front(key)?;
        Ok(if value.is_empty() {
            otherwise
        } else {
            value.parse()?
        })
    };
    let queues = said("multi-queue-num-queues", 1)?;
    ensure!(queues == case.queues, "{queues} queues with {parameters}");
    let order = said("ring-page-order", 0)?;
    ensure!(
        order == case.ring_order,
        "ring-page-order {order} with {parameters}"
    );
    let ring = if queues > 1 {
        "queue-0/ring-ref"
    } else {
        "ring-ref"
    };
    let pages = (0..16)
        .map(|page| vbd.front(&format!("{ring}{page}")))
        .collect::<Result<Vec<_>>>()?;
    let pages = pages.iter().filter(|page| !page.is_empty()).count();
    ensure!(
        pages == if order == 0 { 0 } else { 1 << order },
        "{pages} pages with {parameters}"
    );
    ensure!(said("feature-persistent", 0)? == u32::from(case.persistent));
    ensure!(vbd.front("protocol")? == "x86_64-abi");

    let books = guest.sh("agent probe ledger write /dev/xvda 2 /tmp/books")?;
    expect(
        &books,
        &[("failed", 0), ("lost", 0), ("torn", 0), ("unreadable", 0)],
    )?;
    // Data that is no whole page: its neighbours must not be touched, nor shown to an untrusted back end.
    guest.sh(
        "dd if=/dev/urandom of=/tmp/odd bs=512 count=37 2>/dev/null && \
         dd if=/tmp/odd of=/dev/xvda bs=18944 seek=100 oflag=direct 2>/dev/null && \
         dd if=/dev/xvda of=/tmp/back bs=18944 skip=100 count=1 iflag=direct 2>/dev/null && \
         cmp /tmp/odd /tmp/back",
    )?;
    if ctx.driver == Driver::Rust {
        let mode = own_word(guest, "xvda", "copy_mode")?;
        ensure!(
            mode == case.copy_mode,
            "copy mode {mode} with {parameters} and an {option} disk"
        );
        let copied = own_counter(guest, "xvda", "copied_bytes")?;
        ensure!(
            (copied > 0) == (mode != "none"),
            "{copied} bytes copied in mode {mode}"
        );
    }
    Ok(())
}
