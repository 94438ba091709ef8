// SPDX-License-Identifier: GPL-2.0

//! Root buses whose functions are another domain's.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::pci::{
    self,
    ChannelState,
    ErrorStep, //
};

use xen_ring::pciif::{
    Address,
    Channel,
    Recovery,
    Root,
    Step, //
};

use crate::bus::Device;

use super::{
    passed::Passed,
    Access, //
};

/// A root bus whose functions are another domain's. Dropping it removes its devices and the bus;
/// the [`Access`] is not called any more then.
///
/// All functions here may sleep, and call functions of devices' drivers.
pub struct RootBus {
    bus: pci::RootBus,
    at: Root,
}

impl RootBus {
    /// Makes a bus, looks for devices on it, and binds them to their drivers. `found` is called
    /// with each.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, which also stands for there being a bus of that number.
    pub fn new<Ctx>(
        parent: &Device<Ctx>,
        at: Root,
        access: Arc<dyn Access>,
        found: &mut dyn FnMut(Address),
    ) -> Result<Self> {
        let passed = Arc::new(Passed::new(access), GFP_KERNEL)?;
        let mut found = |devfn| found(Address { root: at, devfn });
        let bus = pci::RootBus::new(parent.as_ref(), at.domain, at.bus, passed, &mut found)?;
        Ok(Self { bus, at })
    }

    /// Where it is.
    pub fn at(&self) -> Root {
        self.at
    }

    /// Looks for devices that were not there before.
    pub fn rescan(&self, found: &mut dyn FnMut(Address)) {
        let root = self.at;
        self.bus.rescan(&mut |devfn| found(Address { root, devfn }));
    }

    /// Unbinds a function from its driver and removes it from the bus. Returns whether there was
    /// one.
    pub fn remove(&self, devfn: u8) -> bool {
        self.bus.remove(devfn)
    }

    /// Has the driver of a function take a step of the recovery from an error. `None` if there is
    /// no such function, or no driver. May sleep, as long as the driver likes.
    pub fn recover(&self, devfn: u8, step: Step, channel: Channel) -> Option<Recovery> {
        let step = match step {
            Step::Detected => ErrorStep::ErrorDetected(match channel {
                Channel::Normal => ChannelState::Normal,
                Channel::Frozen => ChannelState::Frozen,
                Channel::Failed => ChannelState::PermFailure,
            }),
            Step::MmioEnabled => ErrorStep::MmioEnabled,
            Step::SlotReset => ErrorStep::SlotReset,
            Step::Resume => ErrorStep::Resume,
        };
        let answer = self.bus.recover(devfn, step)?;
        let answer = answer.and_then(Recovery::from_number);
        Some(answer.unwrap_or(Recovery::None))
    }
}
