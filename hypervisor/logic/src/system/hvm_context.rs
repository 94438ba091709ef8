// SPDX-License-Identifier: GPL-2.0

//! The context of a hardware-assisted domain: records with the state of its vCPUs ([`xen_abi::hvm::save`]). The
//! toolstack sets the first registers of a domain by them, saves and restores it.
//!
//! The records are those that Xen writes for a domain without a device model, in the same order: by type, and of a type by
//! vCPU. What each has, and what of it is loaded, is in [`vcpu`].

mod vcpu;

use super::{Errno, Platform, Result, System};
use crate::mem::frames::DomId;
use crate::system::vcpu::VcpuId;
use alloc::vec::Vec;
use core::ops::Range;
use vcpu::{MAX_VCPU_BYTES, RECORDS};
use xen_abi::hvm::save::{Descriptor, FILE_MAGIC, FILE_VERSION, Header, code};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A record within a context.
struct Record {
    descriptor: Descriptor,
    /// Its bytes.
    body: Range<usize>,
}

/// Appends a record, a fixed part and what follows it.
fn append<T: IntoBytes + Immutable>(
    to: &mut Vec<u8>,
    typecode: u16,
    instance: u32,
    record: &T,
    rest: &[u8],
) {
    let descriptor = Descriptor {
        typecode,
        instance: instance as u16,
        length: (size_of::<T>() + rest.len()) as u32,
    };
    to.extend_from_slice(descriptor.as_bytes());
    to.extend_from_slice(record.as_bytes());
    to.extend_from_slice(rest);
}

/// Reads a record. A shorter one, of an older version, is extended by zeroes.
///
/// # Errors
///
/// [`Errno::EINVAL`] for a longer one.
fn read<T: FromBytes + IntoBytes>(bytes: &[u8]) -> Result<T> {
    let mut value = T::new_zeroed();
    let to = value
        .as_mut_bytes()
        .get_mut(..bytes.len())
        .ok_or(Errno::EINVAL)?;
    to.copy_from_slice(bytes);
    Ok(value)
}

/// The records of a context without the last one, and the header first.
///
/// # Errors
///
/// [`Errno::ENODATA`] for a context without header or end, [`Errno::EINVAL`] for a header of another format.
fn records(bytes: &[u8]) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut at = 0usize;
    loop {
        let head = bytes.get(at..).ok_or(Errno::ENODATA)?;
        let (descriptor, _) = Descriptor::read_from_prefix(head).map_err(|_| Errno::ENODATA)?;
        if records.is_empty() && descriptor.typecode != code::HEADER {
            return Err(Errno::ENODATA);
        }
        if descriptor.typecode == code::END {
            return Ok(records);
        }
        let start = at + size_of::<Descriptor>();
        let end = start.checked_add(descriptor.length as usize);
        let end = end
            .filter(|end| *end <= bytes.len())
            .ok_or(Errno::ENODATA)?;
        if records.is_empty() {
            let header: Header = read(&bytes[start..end])?;
            if (header.magic, header.version) != (FILE_MAGIC, FILE_VERSION) {
                return Err(Errno::EINVAL);
            }
        }
        records.push(Record {
            descriptor,
            body: start..end,
        });
        at = end;
    }
}

/// The bytes of a record of a valid context, by its type and instance.
pub fn find_record(context: &[u8], key: (u16, u16)) -> Option<&[u8]> {
    let records = records(context).ok()?;
    let mut records = records.into_iter();
    let found = records.find(|record| {
        let Descriptor {
            typecode, instance, ..
        } = record.descriptor;
        (typecode, instance) == key
    });
    context.get(found?.body)
}

/// Whether there are records of a type.
pub fn is_known(typecode: u16) -> bool {
    RECORDS.contains(&typecode)
}

impl<P: Platform> System<P> {
    /// Most bytes of a domain's context.
    pub fn hvm_context_size(&self, id: DomId) -> Result<usize> {
        let vcpus = self.domain(id)?.vcpus.len();
        Ok(2 * size_of::<Descriptor>() + size_of::<Header>() + vcpus * MAX_VCPU_BYTES)
    }

    /// A domain's context. No CPU runs its vCPUs.
    ///
    /// # Errors
    ///
    /// [`Errno::EINVAL`] for a domain that is being destroyed, [`Errno::ENOMEM`], and those of
    /// [`Platform::vcpu_registers`].
    pub fn save_hvm_context(&mut self, id: DomId) -> Result<Vec<u8>> {
        let vcpus = self.living_domain(id)?.vcpus.len() as u32;
        let mut context = Vec::new();
        let size = self.hvm_context_size(id)?;
        context.try_reserve(size).map_err(|_| Errno::ENOMEM)?;
        let header = Header {
            magic: FILE_MAGIC,
            version: FILE_VERSION,
            changeset: u64::MAX,
            cpuid: self.host.signature,
            gtsc_khz: self.host.tsc_khz,
        };
        append(&mut context, code::HEADER, 0, &header, &[]);
        // The counters of all vCPUs are read at the same instant.
        let tsc = self.platform.tsc();
        for typecode in RECORDS {
            for vcpu in 0..vcpus {
                let vcpu = VcpuId { domain: id, vcpu };
                self.save_record(&mut context, typecode, vcpu, tsc)?;
            }
        }
        append(&mut context, code::END, 0, &(), &[]);
        Ok(context)
    }

    /// Loads a context. No CPU runs the domain's vCPUs. All of them are down afterwards but those with a record of a
    /// processor. Nothing is changed if anything in it is invalid.
    ///
    /// # Errors
    ///
    /// [`Errno::ENODATA`] for a context without header or end, [`Errno::EINVAL`] for what cannot be loaded, and those of
    /// [`Platform::set_vcpu_registers`].
    pub fn load_hvm_context(&mut self, id: DomId, bytes: &[u8]) -> Result<()> {
        self.living_domain(id)?;
        let records = records(bytes)?;
        for record in &records {
            self.check_record(id, record.descriptor, &bytes[record.body.clone()])?;
        }
        for vcpu in 0..self.domain(id)?.vcpus.len() as u32 {
            self.vcpu_down(VcpuId { domain: id, vcpu })?;
        }
        let tsc = self.platform.tsc();
        // A vCPU is brought up once all of its records are loaded.
        let mut up = Vec::new();
        for Record { descriptor, body } in records {
            let vcpu = VcpuId {
                domain: id,
                vcpu: descriptor.instance.into(),
            };
            self.load_record(descriptor.typecode, vcpu, &bytes[body], tsc)?;
            if descriptor.typecode == code::CPU {
                up.push(vcpu);
            }
        }
        for vcpu in up {
            self.vcpu_up(vcpu)?;
        }
        Ok(())
    }
}
