// SPDX-License-Identifier: GPL-2.0

//! The control ring: telling the back end how to spread the packets that we receive over our queues.
//!
//! Nobody waits for it in a hurry, so responses are looked for every few milliseconds and events ignored.

use core::time::Duration;

use kernel::prelude::*;
use kernel_ext::net::{random_rss_key, RssChange};
use kernel_ext::show::Show;
use xen::bus::{wait_until, Bound, Device, Dir, Failure, OrFail};
use xen::domain::DomId;
use xen::event::{Eoi, Event, EventChannel, Handler};
use xen::grant::{Access, Grant};
use xen::page::GrantablePage;
use xen::ring::{Corrupt, SharedRing};
use xen_ring::netif::control::{Algorithm, Answer, Control, HashTypes, Message, Refused};
use xen_ring::netif::CtrlFrontRing;

/// Bytes of the hash's key (`XEN_NETBK_MAX_HASH_KEY_SIZE`), enough for the addresses and ports of IPv6.
pub(crate) const KEY_LEN: usize = 40;
/// Entries of the table (`XEN_NETBK_MAX_HASH_MAPPING_SIZE`).
pub(crate) const TABLE_LEN: usize = 128;

/// How long the back end gets to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the user wants, across connections.
pub(crate) struct Spread {
    /// The back end is to be told.
    pub(crate) on: bool,
    pub(crate) key: [u8; KEY_LEN],
    /// A queue for each value of the hash modulo the length.
    pub(crate) table: [u32; TABLE_LEN],
}

impl Spread {
    /// The back end spreads packets as it likes.
    pub(crate) const fn new() -> Self {
        Self {
            on: false,
            key: [0; KEY_LEN],
            table: [0; TABLE_LEN],
        }
    }

    /// The table that goes round all queues.
    pub(crate) fn even(queues: u32) -> [u32; TABLE_LEN] {
        core::array::from_fn(|entry| (entry as u32).checked_rem(queues).unwrap_or(0))
    }

    /// With what is to be changed; with a random key and an even table if there was nothing before.
    pub(crate) fn with(&self, change: &RssChange<'_>, queues: u32) -> Self {
        let mut new = Self {
            on: true,
            key: self.key,
            table: self.table,
        };
        if !self.on {
            random_rss_key(&mut new.key);
            new.table = Self::even(queues);
        }
        if let Some(key) = change.key {
            if key.len() == KEY_LEN {
                new.key.copy_from_slice(key);
            }
        }
        if let Some(table) = change.table {
            if table.len() == TABLE_LEN {
                new.table.copy_from_slice(table);
            }
        }
        new
    }
}

/// What is called for the control ring's events, which nobody needs.
struct Ignore;

impl Handler for Ignore {
    fn handle(&self, event: Event<'_>) -> Eoi {
        // The kernel slows down a back end that sends many.
        event.spurious()
    }
}

/// A connection of the control ring.
pub(crate) struct ControlLink {
    // The channel comes first: once it is closed, no handler is running.
    channel: Pin<KBox<EventChannel<Ignore>>>,
    ring: CtrlFrontRing<SharedRing>,
    control: Control,
    to: DomId,
}

impl ControlLink {
    /// Makes ring and channel. May sleep.
    pub(crate) fn make(dev: &Device<Bound>) -> Result<Self, Failure> {
        let to = dev.otherend_id();
        let ring = SharedRing::new(to, 1).or_fatal("allocating the control ring")?;
        let channel = EventChannel::new(dev, c"vif-ctrl", Ok::<_, Error>(Ignore));
        Ok(Self {
            channel: KBox::pin_init(channel, GFP_KERNEL).or_fatal("binding the event channel")?,
            ring: CtrlFrontRing::new(ring).map_err(|_| EINVAL)?,
            control: Control::new(),
            to,
        })
    }

    /// Tells the back end about them.
    pub(crate) fn announce(&self, own: &Dir<'_>) -> Result<(), Failure> {
        for number in self.ring.mem().numbers() {
            own.write(c"ctrl-ring-ref", fmt!("{}", number))?;
        }
        own.write(c"event-channel-ctrl", fmt!("{}", self.channel.port()))?;
        Ok(())
    }

    /// Tells the back end what the user wants. May sleep.
    pub(crate) fn apply(&mut self, spread: &Spread) -> Result {
        if !spread.on {
            return self.done(Message::SetAlgorithm(Algorithm::None));
        }
        self.done(Message::SetAlgorithm(Algorithm::Toeplitz))?;
        let Answer::HashTypes(types) = self.ask(Message::GetHashTypes)? else {
            return Err(EIO);
        };
        let page = GrantablePage::new(GFP_KERNEL)?;
        page.copy_in(0, &spread.key)?;
        self.with_page(page, |gref| Message::SetKey {
            gref,
            len: KEY_LEN as u32,
        })?;
        let page = GrantablePage::new(GFP_KERNEL)?;
        for (entry, queue) in spread.table.iter().enumerate() {
            page.write(entry * size_of::<u32>(), queue)?;
        }
        self.done(Message::SetMappingSize(TABLE_LEN as u32))?;
        self.with_page(page, |gref| Message::SetMapping {
            gref,
            count: TABLE_LEN as u32,
            first: 0,
        })?;
        self.done(Message::SetHashTypes(types.and(HashTypes::ALL)))
    }

    /// Asks for something that a page belongs to.
    fn with_page(&mut self, page: GrantablePage, message: impl FnOnce(u32) -> Message) -> Result {
        // Should the back end not let go of it, page and grant are left to the kernel.
        let grant = Grant::new(page, self.to, Access::ReadOnly)?;
        self.done(message(grant.number()))
    }

    fn done(&mut self, message: Message) -> Result {
        match self.ask(message)? {
            Answer::Done => Ok(()),
            _ => Err(EIO),
        }
    }

    /// Puts a request on the ring and waits for the response.
    fn ask(&mut self, message: Message) -> Result<Answer> {
        let request = self.control.ask(message).map_err(|_| EBUSY)?;
        self.ring.push(&request).map_err(|_| EIO)?;
        if self.ring.push_requests().needed() {
            self.channel.notify();
        }
        let mut answer = Ok(None);
        let there = wait_until(PATIENCE, || {
            answer = self.answer();
            !matches!(answer, Ok(None))
        });
        match answer {
            Ok(Some(Ok(answer))) => Ok(answer),
            Ok(Some(Err(refused))) => {
                pr_info!("control request: {}\n", Show(refused));
                Err(EINVAL)
            }
            Ok(None) => {
                debug_assert!(!there);
                pr_warn!("the back end does not answer on the control ring\n");
                Err(ETIMEDOUT)
            }
            Err(corrupt) => {
                pr_alert!("control ring: {}\n", Show(corrupt));
                Err(EIO)
            }
        }
    }

    /// The response, if it has come.
    fn answer(&mut self) -> Result<Option<Result<Answer, Refused>>, Corrupt> {
        let response = self.ring.responses()?.next();
        match response.map(|response| self.control.answered(&response)) {
            None => {
                // An event is asked for all the same, since a back end may count on it.
                self.ring.final_check_for_responses()?;
                Ok(None)
            }
            Some(Ok(answer)) => Ok(Some(answer)),
            Some(Err(corrupt)) => Err(self.ring.poison(corrupt)),
        }
    }
}
