// SPDX-License-Identifier: GPL-2.0

//! What user programs and the device nodes in `/dev/xen` say to each other, the kernel's
//! `include/uapi/xen`.
//!
//! This is Linux's ABI, not Xen's: a hypervisor never sees it. Pointers and sizes are those of a 64-bit
//! program; none of the nodes serves 32-bit programs on a 64-bit kernel, as none ever did.

pub mod evtchn;
pub mod gntalloc;
pub mod gntdev;
pub mod privcmd;

/// Number of a request that carries `size` bytes and neither direction bit (`_IOC(_IOC_NONE, ...)` of
/// `asm-generic/ioctl.h`).
const fn ioc(class: u8, number: u32, size: usize) -> u32 {
    (size as u32) << 16 | (class as u32) << 8 | number
}

/// The same of one whose structure the program writes (`_IOW`).
const fn iow(class: u8, number: u32, size: usize) -> u32 {
    1 << 30 | ioc(class, number, size)
}

#[cfg(test)]
mod tests {
    use super::{evtchn, gntdev, iow, privcmd};

    /// Some of them written out: direction, size, class, number. The comparison with the headers has them all, and is not
    /// run where there are no headers.
    #[test]
    fn requests_have_the_kernels_numbers() {
        assert_eq!(privcmd::ioctl::HYPERCALL, 0x0030_5000);
        assert_eq!(evtchn::ioctl::BIND_VIRQ, 0x0004_4500);
        assert_eq!(evtchn::ioctl::RESET, 0x4505);
        assert_eq!(gntdev::ioctl::MAP_GRANT_REF, 0x0018_4700);
        assert_eq!(privcmd::ioctl::IRQFD, 0x4018_5008);
        assert_eq!(iow(0xff, 0xff, 0x3fff), 0x7fff_ffff);
    }
}
