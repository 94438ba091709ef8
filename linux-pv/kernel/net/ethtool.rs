// SPDX-License-Identifier: GPL-2.0

//! What `ethtool` asks a device.

use core::marker::PhantomData;

use kernel::bindings as k;
use kernel::error::from_result;
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

/// How packets are spread over receive queues, if the device can be told (RSS): by the Toeplitz hash of addresses
/// and ports, with a key, through a table of queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RssSize {
    /// Bytes of the key.
    pub key: u32,
    /// Entries of the table.
    pub table: u32,
}

/// The hash's key and table, to be filled in. What is not asked for is empty.
pub struct Rss<'a> {
    /// The key, as long as [`RssSize::key`] says.
    pub key: &'a mut [u8],
    /// A queue for each value of the hash modulo the table's length, [`RssSize::table`].
    pub table: &'a mut [u32],
}

/// What the user wants to have changed of them.
pub struct RssChange<'a> {
    /// Another key.
    pub key: Option<&'a [u8]>,
    /// Another table, of queues that are in use.
    pub table: Option<&'a [u32]>,
}

/// Fills a key with the machine's random one, which is the same for all devices.
pub fn random_rss_key(key: &mut [u8]) {
    // SAFETY: The slice is valid for writes of its length. No more than that many bytes have a random value.
    unsafe { b::netdev_rss_key_fill(key.as_mut_ptr().cast(), key.len()) }
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
        set_channels: if T::HAS_SET_QUEUES {
            Some(Self::set_channels)
        } else {
            None
        },
        get_ringparam: Some(Self::get_ringparam),
        get_rx_ring_count: Some(Self::get_rx_ring_count),
        get_rxfh_key_size: if T::HAS_SET_RSS {
            Some(Self::get_rxfh_key_size)
        } else {
            None
        },
        get_rxfh_indir_size: if T::HAS_SET_RSS {
            Some(Self::get_rxfh_indir_size)
        } else {
            None
        },
        get_rxfh: if T::HAS_SET_RSS {
            Some(Self::get_rxfh)
        } else {
            None
        },
        set_rxfh: if T::HAS_SET_RSS {
            Some(Self::set_rxfh)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    extern "C" fn get_channels(raw: *mut k::net_device, channels: *mut k::ethtool_channels) {
        // SAFETY: The kernel calls this for devices made by `Device::new`, with zeroed memory for the result.
        let (dev, channels) = unsafe { (Device::<T>::from_raw(raw), &mut *channels) };
        // A queue is a pair, polled together.
        channels.max_combined = dev.queues();
        channels.combined_count = dev.queues_in_use();
    }

    extern "C" fn set_channels(
        raw: *mut k::net_device,
        channels: *mut k::ethtool_channels,
    ) -> c_int {
        // SAFETY: As above; the numbers were checked against those of `get_channels`.
        let (dev, wanted) = unsafe { (Device::<T>::from_raw(raw), (*channels).combined_count) };
        from_result(|| T::set_queues(dev, wanted).map(|()| 0))
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

    extern "C" fn get_rx_ring_count(raw: *mut k::net_device) -> u32 {
        // SAFETY: As above.
        unsafe { Device::<T>::from_raw(raw) }.queues_in_use()
    }

    extern "C" fn get_rxfh_key_size(raw: *mut k::net_device) -> u32 {
        // SAFETY: As above.
        T::rss_size(unsafe { Device::<T>::from_raw(raw) }).key
    }

    extern "C" fn get_rxfh_indir_size(raw: *mut k::net_device) -> u32 {
        // SAFETY: As above.
        T::rss_size(unsafe { Device::<T>::from_raw(raw) }).table
    }

    extern "C" fn get_rxfh(
        raw: *mut k::net_device,
        parameters: *mut k::ethtool_rxfh_param,
    ) -> c_int {
        // SAFETY: As above.
        let (dev, parameters) = unsafe { (Device::<T>::from_raw(raw), &mut *parameters) };
        // SAFETY: The kernel has made room for as much as the sizes beside the pointers say.
        let rss = unsafe {
            Rss {
                key: slice_of(parameters.key, parameters.key_size),
                table: slice_of(parameters.indir, parameters.indir_size),
            }
        };
        parameters.hfunc = b::XEN_RS_RSS_TOEPLITZ;
        T::rss(dev, rss);
        0
    }

    extern "C" fn set_rxfh(
        raw: *mut k::net_device,
        parameters: *mut k::ethtool_rxfh_param,
        _message: *mut k::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: As above.
        let (dev, parameters) = unsafe { (Device::<T>::from_raw(raw), &*parameters) };
        from_result(|| {
            let size = T::rss_size(dev);
            let known = [b::XEN_RS_RSS_TOEPLITZ, b::XEN_RS_RSS_NO_CHANGE];
            if size.table == 0 || !known.contains(&parameters.hfunc) {
                return Err(EINVAL);
            }
            // SAFETY: What is not null has as many entries as the size beside the pointer says, and is used by
            // this call only.
            let (key, table) = unsafe {
                (
                    slice_of(parameters.key, parameters.key_size),
                    slice_of(parameters.indir, parameters.indir_size),
                )
            };
            let change = RssChange {
                key: (!parameters.key.is_null()).then_some(&*key),
                table: (!parameters.indir.is_null()).then_some(&*table),
            };
            // The sizes may have changed since the kernel asked for them.
            let fits = change.key.is_none_or(|key| key.len() == size.key as usize)
                && change
                    .table
                    .is_none_or(|table| table.len() == size.table as usize);
            if !fits {
                return Err(EINVAL);
            }
            T::set_rss(dev, &change)?;
            Ok(0)
        })
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

/// The values at a pointer, none if it is null.
///
/// # Safety
///
/// Unless it is null, `at` is valid for `count` values that nobody else refers to for `'a`.
unsafe fn slice_of<'a, V>(at: *mut V, count: u32) -> &'a mut [V] {
    if at.is_null() {
        return &mut [];
    }
    // SAFETY: By the requirement of this function.
    unsafe { core::slice::from_raw_parts_mut(at, count as usize) }
}
