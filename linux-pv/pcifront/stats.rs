// SPDX-License-Identifier: GPL-2.0

//! What is counted: `/sys/kernel/debug/xen_pcifront_rs-pci-N/accesses` has one `name value` a line.

use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::Arc;
use kernel::time::Delta;
use kernel_ext::count::{Counts, SharedCounter};
use kernel_ext::counters;
use xen_ring::pciif::{Answer, Refusal, Request, Step};

use crate::exchange::Wire;

counters! {
    /// What a device has done since it was attached.
    pub(crate) struct Stats: SharedCounter {
        /// Reads of configuration space.
        reads,
        /// Writes.
        writes,
        /// Operations that enabled or disabled MSI.
        msi,
        /// Operations that enabled or disabled MSI-X.
        msix,
        /// Operations that were not done, whatever the reason. Looking for devices where there are none is among them.
        refused,
        /// Of these, for want of a device.
        no_device,
        /// Of these, answered with numbers that make no sense.
        nonsense,
        /// Of these, given up on.
        timeouts,
        /// Of these, not begun, since an earlier one was given up on or there is no back end.
        gone,
        /// Of these, under way when the domain was suspended.
        lost,
        /// Operations given up on that were answered later.
        late_answers,
        /// Operations of somebody who could not sleep.
        hasty,
        /// Answers that such a one took in for somebody who slept.
        helped,
        /// The longest time an operation took, queuing included, in microseconds.
        longest_us,
        /// The sum of these times.
        total_us,
        /// Errors of devices that the back end reported.
        errors_detected,
        /// Further steps of recovering from them: their registers work again.
        errors_mmio_enabled,
        /// The slot was reset.
        errors_slot_reset,
        /// All is well.
        errors_resume,
        /// Reports that made no sense.
        bad_reports,
    }
}

impl Stats {
    /// Counts an operation.
    pub(crate) fn count(
        &self,
        request: &Request<'_>,
        outcome: &Result<Answer, Refusal>,
        took: Delta,
    ) {
        match request {
            Request::Read(_) => &self.reads,
            Request::Write(..) => &self.writes,
            Request::EnableMsi | Request::DisableMsi => &self.msi,
            Request::EnableMsix(_) | Request::DisableMsix => &self.msix,
        }
        .one();
        let took = u64::try_from(took.as_micros_ceil()).unwrap_or(0);
        self.longest_us.at_least(took);
        self.total_us.add(took);
        let Err(refusal) = outcome else {
            return;
        };
        self.refused.one();
        match refusal {
            Refusal::NoDevice => self.no_device.one(),
            Refusal::Nonsense => self.nonsense.one(),
            Refusal::Gone => self.gone.one(),
            _ => (),
        }
    }

    /// Counts a step of recovering from an error.
    pub(crate) fn step(&self, step: Step) {
        match step {
            Step::Detected => &self.errors_detected,
            Step::MmioEnabled => &self.errors_mmio_enabled,
            Step::SlotReset => &self.errors_slot_reset,
            Step::Resume => &self.errors_resume,
        }
        .one();
    }
}

/// The file in debugfs; it goes when this is dropped.
pub(crate) struct Files {
    _file: Pin<KBox<File<Arc<Wire>>>>,
    _dir: Dir,
}

impl Files {
    /// Makes it. May sleep.
    pub(crate) fn new(number: u64, wire: &Arc<Wire>) -> Result<Self> {
        let dir = Dir::new(&CString::try_from_fmt(fmt!(
            "xen_pcifront_rs-pci-{}",
            number
        ))?);
        let file = dir.read_callback_file(c"accesses", Ok::<_, Error>(wire.clone()), &show);
        Ok(Self {
            _file: KBox::pin_init(file, GFP_KERNEL)?,
            _dir: dir,
        })
    }
}

fn show(wire: &Arc<Wire>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    wire.stats.show(f)
}
