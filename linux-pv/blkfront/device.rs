// SPDX-License-Identifier: GPL-2.0

//! The life of a device: what the driver does when the bus calls.
//!
//! | back end | front end |
//! |---|---|
//! | InitWait | makes an offer of rings, becomes Initialised |
//! | Connected | reads what the disk is, connects, makes the disk, becomes Connected |
//! | Connected again | adapts the disk's size |
//! | Closing, Closed | fails new I/O, waits for what is in flight, becomes Closed |
//! | its folder is gone | as before, without waiting |
//!
//! When the domain is resumed elsewhere all this happens again, with the disk that there is: see
//! [`crate::recover`].

use core::time::Duration;

use kernel::prelude::*;
use kernel::sync::{new_mutex, Arc, Mutex};
use kernel_ext::block::RequestList;
use kernel_ext::show::Show;
use xen::bus::{self, wait_until, Bound, Device, DeviceId, Failure, IdTable, OrFail, State};
use xen::domain;
use xen_ring::blkif::vdev::{Placement, XENVBD_MAJOR};

use crate::connect::{disconnect, Offer};
use crate::disk::Vdisk;
use crate::queue::{Blk, Core, Link};

/// How long a back end that closes gets to answer what is in flight.
const PATIENCE: Duration = Duration::from_secs(5);

/// The driver, to the bus.
pub(crate) struct Blkfront;

/// A device from probe to remove.
#[pin_data]
pub(crate) struct Vbd {
    /// The number that requests name the disk by.
    pub(crate) handle: u16,
    /// Where it belongs among the disks.
    pub(crate) placement: Placement,
    #[pin]
    pub(crate) life: Mutex<Life>,
}

/// How far a device is.
pub(crate) struct Life {
    /// Offered to the back end, which has not connected yet.
    pub(crate) offer: Option<Offer>,
    /// Since the first offer.
    pub(crate) core: Option<Arc<Core>>,
    /// Since the first connection.
    pub(crate) disk: Option<Vdisk>,
    /// Requests that the back end before had not answered.
    pub(crate) pending: RequestList<Blk>,
    /// The back end has closed, or is gone: there is no way back.
    pub(crate) closed: bool,
}

#[vtable]
impl bus::Driver for Blkfront {
    type Data = Arc<Vbd>;

    const IDS: IdTable = xen::device_ids![c"vbd"];

    fn probe(dev: &Device<Bound>, _id: &DeviceId) -> Result<Arc<Vbd>, Failure> {
        let node = dev.node();
        let number = match node.read_opt::<u32>(c"virtual-device") {
            Ok(Some(number)) => number,
            _ => node
                .read(c"virtual-device-ext")
                .or_fatal("reading virtual-device")?,
        };
        refuse_emulated(dev, number)?;
        let placement = Placement::of(number).map_err(|bad| {
            pr_warn!("vdevice {:#x}: {}; ignoring\n", number, Show(bad));
            Failure::silent(ENODEV)
        })?;
        // Our folder is called like the number that requests have to carry.
        let handle = dev.number().ok_or(EINVAL)? as u16;
        let life = Life {
            offer: None,
            core: None,
            disk: None,
            pending: RequestList::new(),
            closed: false,
        };
        let vbd = pin_init!(Vbd { handle, placement, life <- new_mutex!(life) });
        let vbd = Arc::pin_init(vbd, GFP_KERNEL)?;
        dev.begin_again(PATIENCE);
        Ok(vbd)
    }

    fn otherend_changed(
        vbd: kernel::sync::ArcBorrow<'_, Vbd>,
        dev: &Device<Bound>,
        state: State,
    ) -> Result<(), Failure> {
        let mut life = vbd.life.lock();
        if life.closed {
            return Ok(());
        }
        match state {
            State::InitWait if dev.state() == State::Initialising => vbd.offer(dev, &mut life),
            State::Connected => {
                if !matches!(dev.state(), State::Initialised | State::Connected) {
                    vbd.offer(dev, &mut life)?;
                }
                vbd.connected(dev, &mut life)
            }
            State::Closing => life.close(dev, PATIENCE),
            // While we are Initialising there is nothing to close, and this may be how the back end was
            // left: see `Device::begin_again`.
            State::Closed if !matches!(dev.state(), State::Closed | State::Initialising) => {
                life.close(dev, PATIENCE)
            }
            State::Unknown => life.check_for_loss(dev),
            _ => Ok(()),
        }
    }

    fn resume(vbd: kernel::sync::ArcBorrow<'_, Vbd>, dev: &Device<Bound>) -> Result<(), Failure> {
        vbd.life.lock().resume(dev)
    }

    fn is_ready(vbd: kernel::sync::ArcBorrow<'_, Vbd>, _dev: &Device<Bound>) -> bool {
        let life = vbd.life.try_lock();
        life.is_some_and(|life| {
            life.disk
                .as_ref()
                .is_some_and(|disk| disk.disk().is_added())
        })
    }

    fn remove(vbd: kernel::sync::ArcBorrow<'_, Vbd>, dev: &Device<Bound>) {
        let mut life = vbd.life.lock();
        let alive = !life.closed && !dev.has_vanished() && dev.otherend_state() == State::Connected;
        life.remove(dev, alive);
    }
}

/// In a domain with emulated devices, whoever set it up may have meant a disk to be one of those.
fn refuse_emulated(dev: &Device<Bound>, number: u32) -> Result<(), Failure> {
    if !domain::is_hvm() {
        return Ok(());
    }
    // Extended numbers have a bit above those of any major.
    if domain::has_pv_and_legacy_disk_devices() && number < 1 << 28 && number >> 8 != XENVBD_MAJOR {
        pr_info!("HVM does not support vbd {} as xen block device\n", number);
        return Err(Failure::silent(ENODEV));
    }
    let kind = dev.node().read_value(c"device-type").or_silent()?;
    if kind.as_bytes().starts_with(b"cdrom") {
        return Err(Failure::silent(ENODEV));
    }
    Ok(())
}

impl Vbd {
    fn offer(&self, dev: &Device<Bound>, life: &mut Life) -> Result<(), Failure> {
        // One that the back end did not take up ends before there is another.
        life.offer = None;
        let offer = Offer::make(dev, life.core.as_ref(), self.handle, &self.placement)?;
        life.core = Some(offer.core.clone());
        life.offer = Some(offer);
        Ok(())
    }

    fn connected(&self, dev: &Device<Bound>, life: &mut Life) -> Result<(), Failure> {
        match (life.offer.take(), &life.disk) {
            (Some(offer), None) => self.connect(dev, life, offer),
            (Some(offer), Some(_)) => life.recover(dev, offer),
            // The back end says that something has changed, which can only be the size.
            (None, Some(disk)) => {
                disk.announce();
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// The first connection.
    fn connect(&self, dev: &Device<Bound>, life: &mut Life, offer: Offer) -> Result<(), Failure> {
        let agreed = offer.agree(dev, None)?;
        let (core, slots) = (offer.core.clone(), offer.slots());
        let disk = Vdisk::new(
            &core,
            &self.placement,
            &agreed,
            slots,
            dev.as_ref(),
            dev.otherend(),
        )
        .or_fatal("making the disk")?;
        offer.accept(dev, &agreed, disk.disk().tag_set())?;
        agreed.log(&core);
        dev.switch_state(State::Connected);
        disk.announce();
        disk.watch_idle();
        life.disk = Some(disk);
        Ok(())
    }
}

impl Life {
    /// The back end closes, or has done so.
    fn close(&mut self, dev: &Device<Bound>, patience: Duration) -> Result<(), Failure> {
        self.closed = true;
        self.offer = None;
        if let Some(disk) = &self.disk {
            // New I/O fails from here on.
            disk.disk().mark_dead();
        }
        if let Some(core) = &self.core {
            wait_until(patience, || core.in_flight() == 0);
            // The rings stay granted until the device goes, since the back end may still use them.
            core.shut("closed");
        }
        self.fail_pending();
        dev.frontend_closed();
        Ok(())
    }

    /// Whether the back end's folder has vanished, with or without its domain, so that nobody will ever
    /// answer. This is no step of the protocol, but what is left of a driver domain that was destroyed.
    fn check_for_loss(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        let connected = dev.state() == State::Connected;
        let gone = dev
            .otherend_node()
            .exists(c"state")
            .is_ok_and(|exists| !exists);
        if connected && gone {
            pr_warn!("{:?}: the back end has vanished\n", dev.nodename());
            return self.close(dev, Duration::ZERO);
        }
        Ok(())
    }

    /// Fails what waits for a back end that will not come, and lets the disk go on to fail the rest.
    fn fail_pending(&mut self) {
        crate::queue::fail(core::mem::take(&mut self.pending));
        if let Some(disk) = &self.disk {
            disk.disk().unquiesce();
        }
    }

    /// The device goes, or the driver. If the back end is alive, what is still to be written to the disk
    /// is written, and the back end then gets to close its side, so that all memory can be freed at once.
    fn remove(&mut self, dev: &Device<Bound>, alive: bool) {
        self.closed = true;
        self.offer = None;
        if !alive {
            if let Some(core) = &self.core {
                crate::queue::fail(disconnect(core, || Link::Disconnected));
            }
            if let Some(disk) = &self.disk {
                disk.disk().mark_dead();
            }
        }
        self.fail_pending();
        self.disk = None;
        if alive {
            dev.frontend_closed();
            dev.wait_while(PATIENCE, |state| {
                matches!(state, State::Connected | State::Closing)
            });
        }
        if let Some(core) = self.core.take() {
            crate::queue::fail(disconnect(&core, || Link::Disconnected));
        }
    }
}
