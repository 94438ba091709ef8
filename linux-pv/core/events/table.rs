// SPDX-License-Identifier: GPL-2.0

//! The channel of a port: a table of rows, which are made when a port of theirs is bound and stay.

use core::{
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering::{
            AcqRel,
            Acquire,
            Release, //
        },
    },
};

use kernel::{
    bindings as k,
    sync::rcu, //
};

use xen_abi::event_channel::fifo::NR_CHANNELS;

use xen_core::error::{
    Error,
    Result, //
};

use crate::channel::Channel;

/// Ports of a row: as many as fill a page.
const PER_ROW: usize = k::PAGE_SIZE / size_of::<AtomicPtr<Channel>>();

/// Rows for all ports that there are in any ABI.
const ROWS: usize = NR_CHANNELS as usize / PER_ROW;

struct Row([AtomicPtr<Channel>; PER_ROW]);

const _: () = assert!(size_of::<Row>() == k::PAGE_SIZE);

static TABLE: [AtomicPtr<Row>; ROWS] = [const { AtomicPtr::new(ptr::null_mut()) }; ROWS];

/// A port's place, if its row was made.
#[inline]
fn place(port: u32) -> Option<&'static AtomicPtr<Channel>> {
    let row = TABLE.get(port as usize / PER_ROW)?.load(Acquire);
    // SAFETY: A row is null, or a page that is initialised and stays.
    let row = unsafe { row.as_ref() }?;
    row.0.get(port as usize % PER_ROW)
}

/// The channel of a port.
#[inline]
pub(crate) fn channel(_: &rcu::Guard, port: u32) -> Option<&Channel> {
    // SAFETY: A place is null, or has a channel that is freed a grace period after it was taken
    // out, so not while the guard lives.
    unsafe { place(port)?.load(Acquire).as_ref() }
}

/// Sets the channel of a port. Allocates a row if there is none, with these flags.
pub(crate) fn set(port: u32, channel: &Channel, gfp: k::gfp_t) -> Result {
    if place(port).is_none() {
        let row = TABLE.get(port as usize / PER_ROW).ok_or(Error::EINVAL)?;
        make(row, gfp)?;
    }
    let place = place(port).ok_or(Error::EINVAL)?;
    place.store(ptr::from_ref(channel).cast_mut(), Release);
    Ok(())
}

/// Makes a row. If somebody else was faster, there is one already.
fn make(row: &AtomicPtr<Row>, gfp: k::gfp_t) -> Result {
    // SAFETY: Allocates a page, in the context that the flags are for.
    let page = unsafe { k::get_zeroed_page_noprof(gfp) };
    if page == 0 {
        return Err(Error::ENOMEM);
    }
    // Zeroes are null pointers.
    let new = ptr::with_exposed_provenance_mut(page);
    if row
        .compare_exchange(ptr::null_mut(), new, AcqRel, Acquire)
        .is_err()
    {
        // SAFETY: The page was just allocated, and is in no table.
        unsafe { k::free_pages(page, 0) };
    }
    Ok(())
}

/// Takes a channel out of the table.
pub(crate) fn clear(port: u32, channel: &Channel) {
    if let Some(place) = place(port) {
        let channel = ptr::from_ref(channel).cast_mut();
        // Another one was never set in its place; if it was, it stays.
        let _ = place.compare_exchange(channel, ptr::null_mut(), AcqRel, Acquire);
    }
}

/// Takes all channels out, after a restore: all ports are new.
pub(crate) fn clear_all() {
    for row in &TABLE {
        // SAFETY: A row is null, or a page that is initialised and stays.
        for place in unsafe { row.load(Acquire).as_ref() }
            .into_iter()
            .flat_map(|row| &row.0)
        {
            place.store(ptr::null_mut(), Release);
        }
    }
}
