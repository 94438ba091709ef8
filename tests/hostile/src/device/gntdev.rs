// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/gntdev`: maps what another domain has granted.

use std::fs::File;
use std::io;
use std::sync::Arc;

use xen_abi::linux::gntdev::{GrantRef, MapGrantRef, UnmapGrantRef, ioctl};
use zerocopy::{FromBytes, IntoBytes};

use super::ioctl::call;
use super::mapping::Mapping;

/// The device file.
#[derive(Clone)]
pub struct Gntdev(Arc<File>);

/// Pages of grants, until it is dropped.
pub struct Granted {
    /// Goes first: a mapping is unmapped before the file forgets it.
    mapping: Option<Mapping>,
    file: Arc<File>,
    index: u64,
    count: u32,
}

impl Gntdev {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/gntdev")?;
        Ok(Self(Arc::new(file)))
    }

    /// Maps grants of a domain one after the other. It is an error if any of them cannot be mapped.
    pub fn map(&self, domid: u16, refs: &[u32], writable: bool) -> io::Result<Granted> {
        let count = u32::try_from(refs.len()).map_err(io::Error::other)?;
        let header = MapGrantRef {
            count,
            ..MapGrantRef::default()
        };
        // The references begin where the structure's own one is.
        let fixed = size_of::<MapGrantRef>() - size_of::<GrantRef>();
        let mut argument = header.as_bytes()[..fixed].to_vec();
        for &reference in refs {
            let domid = domid.into();
            argument.extend_from_slice(GrantRef { domid, reference }.as_bytes());
        }
        argument.resize(argument.len().max(size_of::<MapGrantRef>()), 0);
        // SAFETY: the kernel reads the structure and as many references behind it as `count` says, which are all there, and
        // writes the structure.
        unsafe { call(&self.0, ioctl::MAP_GRANT_REF, &mut argument) }?;
        let (header, _) =
            MapGrantRef::read_from_prefix(&argument).map_err(|_| io::ErrorKind::Other)?;
        let mut granted = Granted {
            mapping: None,
            file: self.0.clone(),
            index: header.index,
            count,
        };
        let mapping = Mapping::of(&self.0, header.index, refs.len(), writable)?;
        granted.mapping = Some(mapping);
        Ok(granted)
    }
}

impl Granted {
    /// The pages. They stay mapped as long as a clone exists, but cannot be mapped anew before.
    pub fn mapping(&self) -> Mapping {
        match &self.mapping {
            Some(mapping) => mapping.clone(),
            None => unreachable!("it is there from the beginning to the end"),
        }
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.mapping = None;
        let mut argument = UnmapGrantRef {
            index: self.index,
            count: self.count,
            pad: 0,
        };
        // SAFETY: the kernel reads the structure, and forgets a mapping that is not in this program's memory any more; if it
        // still is, it stays.
        let _ = unsafe { call(&self.file, ioctl::UNMAP_GRANT_REF, argument.as_mut_bytes()) };
    }
}
