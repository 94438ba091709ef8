// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` asks a device.

use core::marker::PhantomData;

use kernel::bindings as k;
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::sync::atomic::Relaxed;
use xen_bindings as b;

use super::{Device, Operations};

/// Bytes of a counter's name, with the zero at its end (`ETH_GSTRING_LEN`).
const NAME_LEN: usize = k::ETH_GSTRING_LEN as usize;

/// Takes the counters that `ethtool -S` shows, each time in the same order.
///
pub struct Counters<'a>(Into<'a>);

enum Into<'a> {
    Count(&'a mut usize),
    Names(&'a mut [[u8; NAME_LEN]]),
    Values(&'a mut [u64]),
}

impl Counters<'_> {
    /// The next counter. A name that is too long is cut off.
    pub fn add(&mut self, name: kernel::fmt::Arguments<'_>, value: u64) {
        match &mut self.0 {
            Into::Count(count) => **count += 1,
            Into::Names(names) => {
                if let Some((first, rest)) = core::mem::take(names).split_first_mut() {
                    *first = [0; NAME_LEN];
                    // One that does not fit is cut off; the last byte stays zero.
                    let mut text = Cut {
                        into: first,
                        len: 0,
                    };
                    let _ = kernel::fmt::Write::write_fmt(&mut text, name);
                    *names = rest;
                }
            }
            Into::Values(values) => {
                if let Some((first, rest)) = core::mem::take(values).split_first_mut() {
                    *first = value;
                    *values = rest;
                }
            }
        }
    }
}

struct Cut<'a> {
    into: &'a mut [u8; NAME_LEN],
    len: usize,
}

impl kernel::fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> kernel::fmt::Result {
        for byte in text.bytes() {
            if self.len + 1 < NAME_LEN {
                self.into[self.len] = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// The C callbacks of a driver.
pub(super) struct Ethtool<T: Operations>(PhantomData<T>);

impl<T: Operations> Ethtool<T> {
    pub(super) const TABLE: k::ethtool_ops = k::ethtool_ops {
        get_link: Some(b::ethtool_op_get_link),
        get_ts_info: Some(b::ethtool_op_get_ts_info),
        get_sset_count: Some(Self::get_sset_count),
        get_strings: Some(Self::get_strings),
        get_ethtool_stats: Some(Self::get_ethtool_stats),
        get_channels: Some(Self::get_channels),
        get_ringparam: Some(Self::get_ringparam),
        ..pin_init::zeroed()
    };

    extern "C" fn get_channels(raw: *mut k::net_device, channels: *mut k::ethtool_channels) {
        // SAFETY: The kernel calls this for devices made by `Device::new`, with zeroed memory for the result.
        let (dev, channels) = unsafe { (Device::<T>::from_raw(raw), &mut *channels) };
        // A queue is a pair, polled together.
        channels.max_combined = dev.queues();
        channels.combined_count = dev.queues_in_use();
    }

    extern "C" fn get_ringparam(
        _raw: *mut k::net_device,
        rings: *mut k::ethtool_ringparam,
        _more: *mut k::kernel_ethtool_ringparam,
        _message: *mut k::netlink_ext_ack,
    ) {
        // SAFETY: As above.
        let rings = unsafe { &mut *rings };
        let (receive, transmit) = T::RING_SLOTS;
        rings.rx_max_pending = receive;
        rings.rx_pending = receive;
        rings.tx_max_pending = transmit;
        rings.tx_pending = transmit;
    }

    extern "C" fn get_sset_count(raw: *mut k::net_device, set: c_int) -> c_int {
        if set as u32 != k::ethtool_stringset_ETH_SS_STATS {
            return EINVAL.to_errno();
        }
        // SAFETY: The kernel calls this for devices made by `Device::new`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        let mut count = 0;
        T::counters(dev, &mut Counters(Into::Count(&mut count)));
        dev.promised_names().store(count, Relaxed);
        count as c_int
    }

    extern "C" fn get_strings(raw: *mut k::net_device, set: u32, to: *mut u8) {
        if set != k::ethtool_stringset_ETH_SS_STATS {
            return;
        }
        // SAFETY: As above.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        let count = dev.promised_names().load(Relaxed);
        // SAFETY: The kernel has asked for their number before, under the same hold of the RTNL lock, and has made
        // room for as many.
        let names = unsafe { core::slice::from_raw_parts_mut(to.cast(), count) };
        T::counters(dev, &mut Counters(Into::Names(names)));
    }

    extern "C" fn get_ethtool_stats(
        raw: *mut k::net_device,
        stats: *mut k::ethtool_stats,
        to: *mut u64,
    ) {
        // SAFETY: As above; the request says how many values there is room for.
        let (dev, count) = unsafe { (Device::<T>::from_raw(raw), (*stats).n_stats as usize) };
        // SAFETY: As above.
        let values = unsafe { core::slice::from_raw_parts_mut(to, count) };
        T::counters(dev, &mut Counters(Into::Values(values)));
    }
}
