// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/evtchn`: events to and from another domain.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use xen_abi::linux::evtchn::{BindInterdomain, BindUnboundPort, Port as PortNumber, ioctl};
use zerocopy::IntoBytes;

use super::ioctl::call;

/// The device file, with the ports that were bound by it. They are closed when it is dropped.
pub struct Evtchn(File);

/// A port that is bound to another domain's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(u32);

impl Evtchn {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/evtchn")?;
        Ok(Self(file))
    }

    /// Connects to another domain's port.
    pub fn bind(&self, domid: u16, port: u32) -> io::Result<Port> {
        let mut argument = BindInterdomain {
            remote_domain: domid.into(),
            remote_port: port,
        };
        // SAFETY: the kernel reads the structure.
        let port = unsafe { call(&self.0, ioctl::BIND_INTERDOMAIN, argument.as_mut_bytes()) }?;
        u32::try_from(port).map(Port).map_err(io::Error::other)
    }

    /// Makes a port that another domain may connect to. `ENOSPC` if the domain has no more.
    pub fn bind_unbound(&self, domid: u16) -> io::Result<Port> {
        let mut argument = BindUnboundPort {
            remote_domain: domid.into(),
        };
        // SAFETY: the kernel reads the structure.
        let port = unsafe { call(&self.0, ioctl::BIND_UNBOUND_PORT, argument.as_mut_bytes()) }?;
        u32::try_from(port).map(Port).map_err(io::Error::other)
    }

    /// Closes a port.
    pub fn unbind(&self, port: Port) -> io::Result<()> {
        let mut argument = PortNumber { port: port.0 };
        // SAFETY: the kernel reads the structure.
        unsafe { call(&self.0, ioctl::UNBIND, argument.as_mut_bytes()) }.map(drop)
    }

    /// Sends an event.
    pub fn notify(&self, port: Port) -> io::Result<()> {
        let mut argument = PortNumber { port: port.0 };
        // SAFETY: the kernel reads the structure.
        unsafe { call(&self.0, ioctl::NOTIFY, argument.as_mut_bytes()) }.map(drop)
    }

    /// Waits for events, takes them, and permits the next ones. False if none came in time.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit))? == 0 {
            return Ok(false);
        }
        let mut ports = [0; 4 * 64];
        let read = (&self.0).read(&mut ports)?;
        (&self.0).write_all(&ports[..read])?;
        Ok(true)
    }
}
