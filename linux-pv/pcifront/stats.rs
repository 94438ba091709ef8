// SPDX-License-Identifier: GPL-2.0

//! Counters of accesses, and the debugfs file that shows them.

use kernel::{
    fmt,
    prelude::*,
    sync::Arc,
    time::Delta, //
};
use kernel_ext::{
    count::{
        Counts,
        SharedCounter, //
    },
    counters,
    debugfs::{
        File,
        Folder, //
    },
};
use xen_ring::pciif::{
    Answer,
    Refusal,
    Request,
    Step, //
};

use crate::exchange::Exchange;

counters! {
    /// What a device has done since it was attached.
    pub(crate) struct Stats: SharedCounter {
        /// Reads of configuration space.
        reads,
        /// Writes of configuration space.
        writes,
        /// Operations that enabled or disabled MSI.
        msi,
        /// Operations that enabled or disabled MSI-X.
        msix,
        /// Operations that were not done. A scan for devices that do not exist
        /// counts here too.
        refused,
        /// Of these, because there is no such device.
        no_device,
        /// Of these, because the backend's answer was malformed.
        bad_answers,
        /// Of these, because the backend did not answer in time.
        timeouts,
        /// Of these, not begun, because an earlier one had no answer or there is no backend.
        gone,
        /// Of these, under way when the domain was suspended.
        lost,
        /// Answers that came after the timeout.
        late_answers,
        /// Operations in atomic context, which poll for the answer.
        atomic_accesses,
        /// Answers that such an operation took in for a task that sleeps.
        helped,
        /// The longest time an operation took, waiting for its turn included, in microseconds.
        longest_us,
        /// The sum of these times.
        total_us,
        /// Errors of devices that the backend reported.
        errors_detected,
        /// Further steps of recovering from them: their registers work again.
        errors_mmio_enabled,
        /// The slot was reset.
        errors_slot_reset,
        /// The device works normally again.
        errors_resume,
        /// Malformed reports of devices' errors.
        bad_reports,
    }
}

impl Stats {
    /// Counts an operation.
    pub(crate) fn count(
        &self,
        request: &Request<'_>,
        result: &Result<Answer, Refusal>,
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
        let Err(refusal) = result else {
            return;
        };
        self.refused.one();
        match refusal {
            Refusal::NoDevice => self.no_device.one(),
            Refusal::Nonsense => self.bad_answers.one(),
            Refusal::Gone => self.gone.one(),
            _ => (),
        }
    }

    /// Counts a step of recovering from a device's error.
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

/// The file `accesses` in `/sys/kernel/debug/xen/pcifront/pci-N`, with one `name value` a line.
/// Dropping it removes the file.
pub(crate) type AccessesFile = Pin<KBox<File<Arc<Exchange>>>>;

/// Makes the file of the device with this number on the xenbus. May sleep.
pub(crate) fn accesses_file(number: u64, exchange: &Arc<Exchange>) -> Result<AccessesFile> {
    let folder = Folder::new(fmt!("xen/pcifront/pci-{}", number))?;
    KBox::pin_init(
        File::new(folder, c"accesses", exchange.clone(), show),
        GFP_KERNEL,
    )
}

fn show(exchange: &Arc<Exchange>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    exchange.stats.show(f)
}
