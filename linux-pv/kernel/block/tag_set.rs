// SPDX-License-Identifier: GPL-2.0

//! Tag sets: the hardware queues of a device, and the requests that each can have in flight.

use core::pin::Pin;

use kernel::{
    bindings as k,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

use super::{
    operations::{
        Operations,
        OperationsVTable, //
    },
    request::Pdu, //
};

/// Shape of a [`TagSet`].
#[derive(Clone, Copy)]
pub struct TagSetOptions {
    /// Number of hardware queues, at least 1. Queues in excess of the number of CPUs are not used.
    pub hw_queues: u32,
    /// Requests in flight per hardware queue, at least 1 and at most 10240.
    pub depth: u32,
}

/// A tag set (`struct blk_mq_tag_set`) with the driver's data.
///
/// # Invariants
///
/// `inner` is initialised, and its `driver_data` points to `data`.
#[pin_data(PinnedDrop)]
pub struct TagSet<T: Operations> {
    #[pin]
    inner: Opaque<k::blk_mq_tag_set>,
    data: T::TagSetData,
    #[pin]
    _pin: core::marker::PhantomPinned,
}

// SAFETY: The block layer synchronises what it does with a tag set; `data` is `Send` and `Sync`.
unsafe impl<T: Operations> Send for TagSet<T> {}

// SAFETY: The block layer synchronises what it does with a tag set; `data` is `Send` and `Sync`.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    /// Makes a tag set, and allocates the requests of all queues.
    pub fn new(options: TagSetOptions, data: T::TagSetData) -> impl PinInit<Self, Error> {
        let init = move |slot: *mut Self| {
            // SAFETY: `slot` is valid for writes; only addresses of fields are computed.
            let (inner, data_slot) = unsafe { (&raw mut (*slot).inner, &raw mut (*slot).data) };
            // SAFETY: The field is valid for writes.
            unsafe { data_slot.write(data) };
            let set = k::blk_mq_tag_set {
                ops: &OperationsVTable::<T>::VTABLE,
                nr_hw_queues: options.hw_queues,
                nr_maps: 1,
                queue_depth: options.depth,
                cmd_size: size_of::<Pdu<T>>() as u32,
                numa_node: k::NUMA_NO_NODE,
                driver_data: data_slot.cast(),
                ..pin_init::zeroed()
            };
            // SAFETY: The field is valid for writes.
            unsafe { inner.write(Opaque::new(set)) };
            // SAFETY: The fields that a driver has to set are set, all others are zero, and the set
            // does not move.
            to_result(unsafe { k::blk_mq_alloc_tag_set(Opaque::cast_into(inner)) }).inspect_err(
                |_| {
                    // SAFETY: Initialised above, and not dropped otherwise, since the value as a
                    // whole is not initialised.
                    unsafe { core::ptr::drop_in_place(data_slot) };
                },
            )
        };
        // SAFETY: On success all fields are initialised (the marker needs nothing), on failure
        // none. The value does not move afterwards.
        unsafe { pin_init::pin_init_from_closure(init) }
    }

    /// The driver's data.
    pub fn data(&self) -> &T::TagSetData {
        &self.data
    }

    /// The number of requests that a hardware queue can have in flight.
    pub fn depth(&self) -> u32 {
        // SAFETY: By the type invariant the set is initialised; the field is constant.
        unsafe { (*self.raw()).queue_depth }
    }

    /// The first CPU whose requests go to hardware queue `queue`. With as many queues as CPUs it is
    /// the only one, and the block layer need not redirect completions if the device interrupts it.
    pub fn first_cpu(&self, queue: u32) -> Option<u32> {
        let cpus = kernel::cpu::nr_cpu_ids();
        // SAFETY: By the type invariant the set is initialised, and its map has an entry for each
        // CPU. The map is replaced only if the number of queues changes, which does not happen.
        (0..cpus).find(|cpu| unsafe { *(*self.raw()).map[0].mq_map.add(*cpu as usize) == queue })
    }

    pub(super) fn raw(&self) -> *mut k::blk_mq_tag_set {
        self.inner.get()
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for TagSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant the set is initialised. Disks hold a reference to it, so
        // there is none any more.
        unsafe { k::blk_mq_free_tag_set(self.inner.get()) };
    }
}
