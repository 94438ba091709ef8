// SPDX-License-Identifier: GPL-2.0

//! The PCI root buses that a backend lists in the xenstore, and the functions on them.

use kernel::{
    prelude::*,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
};
use kernel_ext::show::Show;
use xen::{
    bus::{
        Bound,
        Device,
        Failure,
        Key,
        OrFail,
        State, //
    },
    pci::RootBus, //
};
use xen_ring::pciif::{
    Address,
    Recovery,
    Report,
    Root,
    MAX_LISTED, //
};

use crate::exchange::Exchange;

/// The root buses of a backend. The lock is held while functions come and go.
#[pin_data]
pub(crate) struct Roots {
    #[pin]
    all: Mutex<KVec<RootBus>>,
}

impl Roots {
    /// Without buses.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self { all <- new_mutex!(KVec::new(), "pcifront::roots") }),
            GFP_KERNEL,
        )
    }

    /// Scans all buses that the backend lists, after making those that do not exist. May sleep.
    pub(crate) fn scan(
        &self,
        dev: &Device<Bound>,
        exchange: &Arc<Exchange>,
    ) -> Result<(), Failure> {
        let backend = dev.otherend_node();
        let count = backend
            .read_opt::<u32>(c"root_num")
            .or_fatal("Error reading number of PCI roots")?;
        let Some(count) = count else {
            dev.error(ENOENT, fmt!("No PCI Roots found, trying 0000:00"));
            return self.scan_one(dev, exchange, Root { domain: 0, bus: 0 });
        };
        if count > MAX_LISTED {
            return Err(EINVAL).or_fatal("Error reading number of PCI roots: there are too many");
        }
        for index in 0..count {
            let key = Key::new(fmt!("root-{}", index))?;
            let value = backend.read_value(&key);
            let Some(root) = value.ok().and_then(|value| Root::parse(value.as_bytes())) else {
                dev.fatal(EINVAL, fmt!("Error reading PCI root {}", index));
                return Err(Failure::silent(EINVAL));
            };
            self.scan_one(dev, exchange, root)?;
        }
        Ok(())
    }

    fn scan_one(
        &self,
        dev: &Device<Bound>,
        exchange: &Arc<Exchange>,
        at: Root,
    ) -> Result<(), Failure> {
        let device = exchange.device();
        let mut found = |at: Address| {
            dev_info!(device, "New device on {} found.\n", Show(at));
        };
        let mut all = self.all.lock();
        if let Some(root) = all.iter().find(|root| root.at() == at) {
            dev_info!(device, "Rescanning PCI Frontend Bus {}\n", Show(at));
            root.rescan(&mut found);
            return Ok(());
        }
        #[cfg(not(CONFIG_PCI_DOMAINS))]
        if at.domain != 0 {
            dev.fatal(
                EINVAL,
                fmt!(
                    "PCI Root in non-zero PCI Domain! domain={}. \
                     Please compile with CONFIG_PCI_DOMAINS",
                    at.domain
                ),
            );
            return Err(Failure::silent(EINVAL));
        }
        dev_info!(device, "Creating PCI Frontend Bus {}\n", Show(at));
        // Room first: a bus without room in the list could not be removed again.
        all.reserve(1, GFP_KERNEL)?;
        let root = RootBus::new(dev, at, exchange.clone(), &mut found).map_err(|error| {
            dev.fatal(error, fmt!("Error scanning PCI root {}", Show(at)));
            Failure::silent(error)
        })?;
        all.push(root, GFP_KERNEL)?;
        Ok(())
    }

    /// Removes the functions that the backend is about to take away. May sleep.
    pub(crate) fn detach(&self, dev: &Device<Bound>) -> Result<(), Failure> {
        let backend = dev.otherend_node();
        let count = backend
            .read::<u32>(c"num_devs")
            .or_fatal("Error reading number of PCI devices")?;
        if count > MAX_LISTED {
            return Err(EINVAL).or_fatal("Error reading number of PCI devices: there are too many");
        }
        for index in 0..count {
            let key = Key::new(fmt!("state-{}", index))?;
            if backend.read_or(&key, State::Unknown) != State::Closing {
                continue;
            }
            let key = Key::new(fmt!("vdev-{}", index))?;
            let value = backend.read_value(&key);
            let at = value
                .ok()
                .and_then(|value| Address::parse(value.as_bytes()));
            let Some(at) = at else {
                dev.fatal(EINVAL, fmt!("Error reading PCI device {}", index));
                return Err(Failure::silent(EINVAL));
            };
            let all = self.all.lock();
            if let Some(root) = all.iter().find(|root| root.at() == at.root) {
                root.remove(at.devfn);
            }
        }
        Ok(())
    }

    /// Has the driver of a function take a step of recovering from an error. None if there is no
    /// such function, or its driver has no recovery. May sleep.
    pub(crate) fn recover(&self, report: &Report) -> Option<Recovery> {
        let all = self.all.lock();
        let root = all.iter().find(|root| root.at() == report.at.root)?;
        root.recover(report.at.devfn, report.step, report.channel)
    }

    /// Removes all buses. May sleep.
    pub(crate) fn remove_all(&self) {
        self.all.lock().clear();
    }
}
