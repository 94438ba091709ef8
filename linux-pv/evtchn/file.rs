// SPDX-License-Identifier: GPL-2.0

//! An open file: the requests of a process.
//!
//! Requests that bind and unbind exclude each other, and so do writes, by the lock of `channels`.
//! It may be held for long (hypercalls, a handler that is running), but nothing that a reader or an
//! event waits for takes it.

use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};
use kernel_ext::{
    chardev::{
        error,
        OpenFile,
        Opener,
        Poll,
        Ready,
        SignalQueue,
        Wait, //
    },
    user, //
};
use xen::{
    devfile::{
        self,
        ListedStats,
        Shared, //
    },
    domain::DomId,
    event::port::{
        self,
        Port, //
    },
};
use xen_abi::{
    errno,
    linux::evtchn::{
        self as abi,
        ioctl, //
    },
    xen::domid, //
};
use xen_devfile::restrict::Restriction;

use crate::{
    channels::Channels,
    pending::{
        Pending,
        MAX_BYTES, //
    },
    stats::Stats, //
};

/// An open file.
#[pin_data]
pub(crate) struct File {
    #[pin]
    channels: Mutex<Channels>,
    pending: Arc<Pending>,
    /// The name of the ports' interrupts in `/proc/interrupts`.
    name: CString,
    /// After the ports, so that what they hold stays visible until they are gone.
    stats: ListedStats<Self>,
}

#[vtable]
impl OpenFile for File {
    type Shared = Shared<Self>;

    const STREAM: bool = true;
    const NOWAIT: bool = true;

    fn open(shared: Arc<Shared<Self>>, opener: Opener) -> Result<Pin<KBox<Self>>> {
        let name = CString::try_from_fmt(fmt!("evtchn:{}", opener.name()))?;
        let pending = Pending::new()?;
        let stats = Stats {
            pending: pending.clone(),
            restriction: Restriction::none(),
            ports: Atomic::new(0),
        };
        let stats = shared.list(opener, stats)?;
        KBox::pin_init(
            pin_init!(Self {
                channels <- new_mutex!(Channels::default(), "evtchn channels"),
                pending,
                name,
                stats,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn read(&self, to: &mut IovIterDest<'_>, wait: Wait) -> Result<usize> {
        self.pending.read(to, wait)
    }

    /// Takes the ports that may send the next event. All numbers are copied before the first event
    /// is ended.
    fn write(&self, from: &mut IovIterSource<'_>) -> Result<usize> {
        let count = from.len().min(MAX_BYTES) / size_of::<u32>();
        let mut few = [0; 32];
        let mut many = KVec::new();
        let ports: &mut [u32] = match few.get_mut(..count) {
            Some(few) => few,
            None => {
                many.resize(count, 0, GFP_KERNEL)?;
                &mut many
            }
        };
        if ports.is_empty() {
            return Ok(0);
        }
        user::copy_from_iter(from, ports)?;
        let channels = self.channels.lock();
        for port in ports.iter() {
            channels.end_event(*port);
        }
        Ok(size_of_val(ports))
    }

    #[inline]
    fn ioctl(&self, request: u32, argument: usize) -> Result<isize> {
        let mut channels = self.channels.lock();
        let result = match request {
            ioctl::BIND_VIRQ => self.bind_virq(&mut channels, argument),
            ioctl::BIND_INTERDOMAIN => self.bind_interdomain(&mut channels, argument),
            ioctl::BIND_UNBOUND_PORT => self.bind_unbound(&mut channels, argument),
            ioctl::BIND_STATIC => self.bind_static(&mut channels, argument),
            ioctl::UNBIND => unbind(&mut channels, argument),
            ioctl::NOTIFY => notify(&channels, argument),
            ioctl::RESET => {
                self.pending.reset();
                Ok(0)
            }
            ioctl::RESTRICT_DOMID => self.restrict(argument),
            _ => Err(error(errno::ENOSYS)),
        };
        self.stats.ports.store(channels.count(), Relaxed);
        result
    }

    fn poll<'a>(&'a self, poll: Poll<'a>) -> Ready {
        self.pending.poll(poll)
    }

    fn signals(&self) -> &SignalQueue {
        self.pending.signals()
    }
}

impl devfile::Driver for File {
    const PATH: &'static CStr = c"xen/evtchn";
    const C_MODULE: &'static str = "xen_evtchn";

    type Data = ();
    type Stats = Stats;
}

impl File {
    /// Most requests are refused for a file that is restricted, whatever domain they name.
    fn unrestricted(&self) -> Result {
        if self.stats.restriction.is_some() {
            return Err(EACCES);
        }
        Ok(())
    }

    fn bind(&self, channels: &mut Channels, port: Port) -> Result<isize> {
        let number = channels.bind(port, &self.name, &self.pending)?;
        Ok(number as isize)
    }

    fn bind_virq(&self, channels: &mut Channels, argument: usize) -> Result<isize> {
        self.unrestricted()?;
        let args: abi::BindVirq = user::read(argument)?;
        self.bind(channels, Port::bind_virq(args.virq)?)
    }

    fn bind_interdomain(&self, channels: &mut Channels, argument: usize) -> Result<isize> {
        let args: abi::BindInterdomain = user::read(argument)?;
        if !self.stats.restriction.allows(args.remote_domain) {
            return Err(EACCES);
        }
        let domain = DomId::new(args.remote_domain as u16);
        self.bind(channels, Port::bind_interdomain(domain, args.remote_port)?)
    }

    fn bind_unbound(&self, channels: &mut Channels, argument: usize) -> Result<isize> {
        self.unrestricted()?;
        let args: abi::BindUnboundPort = user::read(argument)?;
        let domain = DomId::new(args.remote_domain as u16);
        self.bind(channels, Port::alloc_unbound(domain)?)
    }

    /// Unlike the others it returns 0: the process has named the port.
    fn bind_static(&self, channels: &mut Channels, argument: usize) -> Result<isize> {
        let args: abi::Port = user::read(argument)?;
        if channels.has(args.port) {
            return Err(error(errno::EISCONN));
        }
        self.bind(channels, Port::established(args.port))?;
        Ok(0)
    }

    /// Called with the lock of the channels held, so that nothing is bound meanwhile.
    fn restrict(&self, argument: usize) -> Result<isize> {
        self.unrestricted()?;
        let args: abi::RestrictDomid = user::read(argument)?;
        if args.domid == 0 || args.domid >= domid::FIRST_RESERVED {
            return Err(EINVAL);
        }
        let set = self.stats.restriction.set_once(args.domid);
        set.map_err(|_| EACCES)?;
        Ok(0)
    }
}

fn unbind(channels: &mut Channels, argument: usize) -> Result<isize> {
    let args: abi::Port = user::read(argument)?;
    if args.port >= port::limit() {
        return Err(EINVAL);
    }
    channels.unbind(args.port)?;
    Ok(0)
}

fn notify(channels: &Channels, argument: usize) -> Result<isize> {
    let args: abi::Port = user::read(argument)?;
    channels.notify(args.port)?;
    Ok(0)
}
