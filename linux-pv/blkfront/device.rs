// SPDX-License-Identifier: GPL-2.0

//! A device, from probe to remove: the steps that [`xen::bus::Frontend`] asks for.
//!
//! | step | what is done to the disk |
//! |---|---|
//! | offer, connect | rings are made; at the first connection the Linux disk is too |
//! | backend is Connected again | the disk's size is read anew |
//! | quiesce, close | new requests fail; those in flight may be answered, then fail too |
//! | resume, offer, connect | requests wait meanwhile; unanswered ones are submitted again |
//! | remove | what is still to be written is written, the disk is removed |

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    block::RequestList,
    show::Show, //
};
use xen::{
    bus::{
        Bound,
        Device,
        Failure,
        FrontendDriver,
        FrontendHandle,
        IdTable,
        Integer,
        OrFail,
        Protocol,
        State, //
    },
    domain, //
};
use xen_ring::blkif::vdev::{
    Placement,
    XENVBD_MAJOR, //
};

use crate::{
    connect::Offer,
    disk::Vdisk,
    limits::limits,
    queue::Blk,
    vbd::{
        fail,
        Link,
        Vbd, //
    },
};

/// A device.
pub(crate) struct Blkfront {
    /// The number that requests name the disk by.
    handle: u16,
    /// Where it belongs among the disks.
    placement: Placement,
    /// The rings, since the first offer.
    vbd: Option<Arc<Vbd>>,
    /// Since the first connection.
    disk: Option<Vdisk>,
    /// Requests that the backend before the resume had not answered.
    unanswered: RequestList<Blk>,
}

kernel_ext::in_module!(Blkfront);

impl FrontendDriver for Blkfront {
    type Offer = Offer;

    const IDS: IdTable = xen::device_ids![c"vbd"];

    const PROTOCOL: Protocol = Protocol {
        // C's driver makes an offer to a backend that is Connected, too.
        offer_when: &[State::InitWait, State::Connected],
        connects_first: false,
        reconfigures: false,
        // The disk is dead then, and a file system on it shut down.
        reopens: false,
    };

    fn probe(dev: &Device<Bound>, _handle: FrontendHandle<Self>) -> Result<Self, Failure> {
        let node = dev.node();
        let Integer(number) = match node.read_opt(c"virtual-device") {
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
        Ok(Self {
            // Our folder is called like the number that requests have to carry.
            handle: dev.number().ok_or(EINVAL)? as u16,
            placement,
            vbd: None,
            disk: None,
            unanswered: RequestList::new(),
        })
    }

    fn offer(&mut self, dev: &Device<Bound>) -> Result<Offer, Failure> {
        let offer = Offer::make(dev, self.vbd.as_ref(), self.handle, &self.placement)?;
        self.vbd = Some(offer.vbd.clone());
        Ok(offer)
    }

    fn connect(&mut self, dev: &Device<Bound>, offer: Offer) -> Result<(), Failure> {
        match &self.disk {
            None => self.connect_first(dev, offer),
            Some(disk) => reconnect(dev, offer, disk),
        }
    }

    fn connected(&mut self, _dev: &Device<Bound>) -> Result<(), Failure> {
        if let Some(disk) = &self.disk {
            // Before all that is newer.
            while let Some(rq) = self.unanswered.pop() {
                rq.requeue(false);
            }
            disk.disk().queue().kick_requeue_list();
            disk.disk().unquiesce();
            disk.announce();
            disk.watch_idle();
        }
        Ok(())
    }

    /// That can only mean that the disk's size has changed.
    fn backend_connected(&mut self, _dev: &Device<Bound>) {
        if let Some(disk) = &self.disk {
            disk.announce();
        }
    }

    fn quiesce(&mut self) {
        if let Some(vbd) = &self.vbd {
            vbd.quiesce();
        }
    }

    fn is_idle(&self) -> bool {
        self.vbd.as_ref().is_none_or(|vbd| vbd.in_flight() == 0)
    }

    fn close(&mut self) {
        if let Some(vbd) = &self.vbd {
            // The rings stay granted until the device is removed, since the backend may still use
            // them.
            vbd.shut("closed");
        }
        self.fail_unanswered();
        if let Some(disk) = &self.disk {
            disk.mark_dead();
        }
    }

    fn resume(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        let (Some(vbd), Some(disk)) = (&self.vbd, &self.disk) else {
            // Nothing was connected yet.
            return Ok(());
        };
        disk.disk().quiesce();
        vbd.disconnect(&mut self.unanswered, || Link::Suspended);
        disk.moved(dev.otherend())?;
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.disk
            .as_ref()
            .is_some_and(|disk| disk.disk().is_added())
    }

    fn remove(&mut self, backend_alive: bool) {
        if !backend_alive {
            self.disconnect_for_good();
        }
        self.fail_unanswered();
        if let (Some(vbd), Some(disk)) = (&self.vbd, &self.disk) {
            // This thread waits neither for the backend nor for file systems that do.
            if !vbd.retired.is_empty() {
                vbd.retired.leave_bios();
                disk.disk().bury();
            } else if !backend_alive {
                disk.disk().mark_dead();
            }
        }
        self.disk = None;
    }
}

impl Drop for Blkfront {
    fn drop(&mut self) {
        self.disk = None;
        self.disconnect_for_good();
    }
}

/// In a domain with emulated devices, the toolstack may have meant a disk to be one of those. A PVH
/// domain has none, so its CD-ROMs are disks of this driver.
fn refuse_emulated(dev: &Device<Bound>, number: u32) -> Result<(), Failure> {
    if !domain::is_hvm() || domain::is_pvh() {
        return Ok(());
    }
    // Extended numbers have a bit above those of any major.
    if domain::has_pv_and_legacy_disk_devices() && number < 1 << 28 && number >> 8 != XENVBD_MAJOR {
        pr_info!("HVM does not support vbd {} as xen block device\n", number);
        return Err(Failure::silent(ENODEV));
    }
    let kind = dev.node().read_value(c"device-type").or_silent()?;
    if kind.as_bytes().starts_with(b"cdrom") {
        pr_info!(
            "vbd {} is a CD-ROM: left to the domain's emulated drive\n",
            number
        );
        return Err(Failure::silent(ENODEV));
    }
    Ok(())
}

impl Blkfront {
    /// The first connection makes the disk.
    fn connect_first(&mut self, dev: &Device<Bound>, offer: Offer) -> Result<(), Failure> {
        let agreed = offer.agree(dev, None)?;
        let (vbd, slots) = (offer.vbd.clone(), offer.slots());
        let disk = Vdisk::new(
            &vbd,
            &self.placement,
            &agreed,
            slots,
            dev.as_ref(),
            dev.otherend(),
        )
        .or_fatal("making the disk")?;
        let rings = offer.accept(dev, &agreed, disk.disk().tag_set())?;
        agreed.log(&vbd, rings);
        self.disk = Some(disk);
        Ok(())
    }

    /// Fails what waits for a backend that will not come, and lets the disk fail the rest.
    fn fail_unanswered(&mut self) {
        fail(core::mem::take(&mut self.unanswered));
        if let Some(disk) = &self.disk {
            disk.disk().unquiesce();
        }
    }

    /// Ends all connections, and fails what the backend has not answered.
    fn disconnect_for_good(&mut self) {
        if let Some(vbd) = &self.vbd {
            let mut requests = RequestList::new();
            vbd.disconnect(&mut requests, || Link::Disconnected);
            fail(requests);
        }
    }
}

/// A connection to the backend of another host, or of a restored snapshot, for the disk that there
/// is.
///
/// What the old backend had not answered is submitted again. It may have carried such a request
/// out already: then it is carried out twice, with the same data. What it had answered is not
/// touched again, and requests that came meanwhile wait, so nothing overtakes.
fn reconnect(dev: &Device<Bound>, offer: Offer, disk: &Vdisk) -> Result<(), Failure> {
    let data = disk.disk().tag_set().data();
    let agreed = offer.agree(dev, Some(data.max_segments as u32))?;
    disk.disk()
        .queue()
        .update_limits(&limits(&agreed))
        .or_fatal("changing the limits of the queue")?;
    disk.disk().set_read_only(agreed.disk.read_only);
    let vbd = offer.vbd.clone();
    let rings = offer.accept(dev, &agreed, disk.disk().tag_set())?;
    agreed.log(&vbd, rings);
    Ok(())
}
