// SPDX-License-Identifier: GPL-2.0

//! A disk as its back end and the xenstore know it.

use anyhow::{Context, Result};

use crate::guest::Domain;
use crate::host::Host;
use crate::remote::Place;

/// One disk of one guest. A restored guest has new ones.
pub struct Vbd {
    dom0: Place,
    domid: u32,
    number: u32,
}

/// What `xen-blkback` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Read requests.
    pub reads: u64,
    /// Write requests.
    pub writes: u64,
    /// Flushes and barriers.
    pub flushes: u64,
    /// Discards.
    pub discards: u64,
    /// Sectors of 512 bytes read.
    pub sectors_read: u64,
    /// Sectors of 512 bytes written.
    pub sectors_written: u64,
}

impl Counted {
    /// What came since.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
            flushes: self.flushes - earlier.flushes,
            discards: self.discards - earlier.discards,
            sectors_read: self.sectors_read - earlier.sectors_read,
            sectors_written: self.sectors_written - earlier.sectors_written,
        }
    }
}

impl Vbd {
    /// Finds a disk by the name the toolstack gave it.
    pub fn of(host: &Host, guest: &Domain, vdev: &str) -> Result<Self> {
        let (dom0, domid) = (host.dom0().clone(), guest.domid());
        let number = dom0
            .sh(&format!(
                "d=/local/domain/0/backend/vbd/{domid}; for n in $(xenstore-list $d); do \
                 [ \"$(xenstore-read $d/$n/dev)\" = {vdev} ] && echo $n; done"
            ))?
            .parse()
            .with_context(|| format!("the xenstore has no disk {vdev} of {}", guest.name()))?;
        Ok(Self {
            dom0,
            domid,
            number,
        })
    }

    /// A node of the back end.
    pub fn back(&self, key: &str) -> Result<String> {
        self.dom0
            .sh(&format!("xenstore-read {}/{key}", self.back_path()))
    }

    /// A node of the front end; empty if there is none.
    pub fn front(&self, key: &str) -> Result<String> {
        self.dom0.sh(&format!(
            "xenstore-read {}/{key} 2>/dev/null || true",
            self.front_path()
        ))
    }

    /// The back end's folder in the xenstore.
    pub fn back_path(&self) -> String {
        format!("/local/domain/0/backend/vbd/{}/{}", self.domid, self.number)
    }

    /// The front end's folder in the xenstore.
    pub fn front_path(&self) -> String {
        format!("/local/domain/{}/device/vbd/{}", self.domid, self.number)
    }

    /// What the back end has counted.
    pub fn counted(&self) -> Result<Counted> {
        let text = self.dom0.sh(&format!(
            "cd {}/statistics && cat rd_req wr_req f_req ds_req rd_sect wr_sect",
            self.device()
        ))?;
        let values: Vec<u64> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
        let [
            reads,
            writes,
            flushes,
            discards,
            sectors_read,
            sectors_written,
        ] = values[..]
        else {
            anyhow::bail!("blkback has other statistics than expected: {text}");
        };
        Ok(Counted {
            reads,
            writes,
            flushes,
            discards,
            sectors_read,
            sectors_written,
        })
    }

    /// How many persistent grants the back end has mapped, for each queue. Resets its other counters.
    pub fn persistent_grants(&self) -> Result<Vec<u32>> {
        // Its threads look at the switch ten times a second, and print at most every ten seconds each.
        let text = self.dom0.sh(&format!(
            "p=/sys/module/xen_blkback/parameters/log_stats; echo \"<6>paravane mark $$\" > /dev/kmsg; \
             echo 1 > $p; for i in $(seq $PACE); do sleep 0.7; done; echo 0 > $p; \
             dmesg | sed -n \"/paravane mark $$/,\\$p\" | sed -n 's/.*xen-blkback: ({}\\..*pg: *\\([0-9]*\\).*/\\1/p'",
            self.domid
        ))?;
        Ok(text.lines().map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Takes the disk from the back end's driver, as if that had died: it stops in the middle of what it does
    /// and tells nobody.
    pub fn unbind(&self) -> Result<()> {
        self.driver("unbind")
    }

    /// Gives the disk to the back end's driver again.
    pub fn bind(&self) -> Result<()> {
        self.driver("bind")
    }

    fn driver(&self, what: &str) -> Result<()> {
        let script = format!(
            "echo vbd-{}-{} > /sys/bus/xen-backend/drivers/vbd/{what}",
            self.domid, self.number
        );
        self.dom0.sh(&script).map(drop)
    }

    fn device(&self) -> String {
        format!(
            "/sys/bus/xen-backend/devices/vbd-{}-{}",
            self.domid, self.number
        )
    }
}

/// The counters our driver shows in debugfs, summed over a disk's queues.
pub fn own_counter(guest: &Domain, disk: &str, counter: &str) -> Result<u64> {
    let text = guest.sh(&format!(
        "awk '$1 == \"{counter}\" {{ n += $2 }} END {{ print n+0 }}' /sys/kernel/debug/xen/blkfront/{disk}/queue*"
    ))?;
    Ok(text.parse()?)
}

/// A word our driver shows in debugfs for a disk's first queue.
pub fn own_word(guest: &Domain, disk: &str, name: &str) -> Result<String> {
    guest.sh(&format!(
        "sed -n 's/^{name} //p' /sys/kernel/debug/xen/blkfront/{disk}/queue0"
    ))
}
