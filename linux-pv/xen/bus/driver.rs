// SPDX-License-Identifier: GPL-2.0

//! What a driver on the xenbus implements.

use kernel::{
    prelude::*,
    types::ForeignOwnable, //
};

use kernel_ext::module::InModule;

use super::{
    Bound,
    Device,
    DeviceId,
    Failure,
    IdTable,
    State, //
};

/// The data of driver `T`, borrowed during a callback: `ArcBorrow<'_, X>` if it is an `Arc<X>`.
pub(super) type Borrowed<'a, T> = <<T as Driver>::Data as ForeignOwnable>::Borrowed<'a>;

/// A driver of a kind of devices.
///
/// All callbacks may sleep. The bus calls `probe` and `remove` once a device, with nothing else
/// running for it; `otherend_changed` runs in the xenwatch thread, never twice at a time. While one
/// of `otherend_changed` and `resume` runs, allocations start no I/O (see
/// [`NoIo`](kernel_ext::sync::NoIo)).
pub trait Driver: InModule + 'static {
    /// What is kept for a device from `probe` to `remove`, mostly an `Arc`.
    type Data: ForeignOwnable + Send + Sync;

    /// The kinds of devices.
    const IDS: IdTable;

    /// The driver's name on the bus; the first kind of device if none is given.
    const NAME: Option<&'static CStr> = None;

    /// Starts driving a device. The other end is known, but its changes are not reported until this
    /// has returned. May be called with `Device::state` of an earlier life (see
    /// `xl save`/`restore` and rebinding).
    fn probe(dev: &Device<Bound>, id: &DeviceId) -> Result<Self::Data, Failure>;

    /// The other end has changed its state.
    fn otherend_changed(
        data: Borrowed<'_, Self>,
        dev: &Device<Bound>,
        state: State,
    ) -> Result<(), Failure>;

    /// The device goes away, or the driver. Nothing may use the device when this returns; `data` is
    /// released right after it. [`Device::has_vanished`] tells whether the other end is gone
    /// already.
    fn remove(data: Borrowed<'_, Self>, dev: &Device<Bound>) {
        let _ = (data, dev);
    }

    /// The domain was restored, possibly elsewhere: the other end is another one, and all grants
    /// and event channels are gone.
    fn resume(data: Borrowed<'_, Self>, dev: &Device<Bound>) -> Result<(), Failure> {
        let _ = (data, dev);
        Ok(())
    }

    /// Whether the device, being connected, can be used; booting waits for it.
    fn is_ready(data: Borrowed<'_, Self>, dev: &Device<Bound>) -> bool {
        let _ = (data, dev);
        true
    }
}
