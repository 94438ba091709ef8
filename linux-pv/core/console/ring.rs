// SPDX-License-Identifier: GPL-2.0

//! One console's page. All calls are made with the console's lock held, and wait for nothing.
//!
//! The ring is attached to anew each time, so it goes on wherever the page says: after a restore,
//! which gives a domain another page, with another daemon, and with one that has written illegal
//! indices and now writes legal ones.

use xen_core::shared_page::SharedPage;

use xen_ring::{
    console::{
        patience::{
            Patience,
            Wait, //
        },
        ConsoleFront,
        MAX_OUTPUT, //
    },
    Corrupt, //
};

/// A console. Without a page it does not exist.
pub(crate) struct Ring {
    page: Option<SharedPage>,
    port: u32,
    irq: u32,
    patience: Patience,
    /// Up to where the daemon had read when it was last looked at.
    taken: u32,
    /// How many events in a row had no visible reason.
    idle_events: u32,
    /// The log has it that the indices are illegal.
    corrupt_is_said: bool,
}

/// What became of output.
pub(crate) enum Put {
    /// There is no such console.
    Absent,
    /// No daemon takes output yet.
    NotConnected,
    /// The daemon's index is illegal.
    Corrupt { is_news: bool },
    /// So many bytes are in the ring.
    Taken {
        count: usize,
        port: u32,
        /// To be logged: the daemon had stopped.
        reads_again: bool,
        /// The rest is worth a wait.
        is_waited_for: bool,
    },
}

/// What became of a request for input.
pub(crate) enum Get {
    /// There is no such console.
    Absent,
    /// The daemon's index is illegal.
    Corrupt { irq: u32, is_news: bool },
    /// So many bytes were read.
    Read {
        count: usize,
        port: u32,
        irq: u32,
        /// The event that led here had no reason.
        is_spurious: bool,
    },
}

impl Ring {
    /// No console.
    pub(crate) const fn absent() -> Self {
        Self {
            page: None,
            port: 0,
            irq: 0,
            patience: Patience::new(),
            taken: 0,
            idle_events: 0,
            corrupt_is_said: false,
        }
    }

    /// A console that its daemon is told of by event channel `port`.
    pub(crate) const fn new(page: SharedPage, port: u32) -> Self {
        Self {
            page: Some(page),
            port,
            ..Self::absent()
        }
    }

    /// Whether the console exists.
    pub(crate) fn is_there(&self) -> bool {
        self.page.is_some()
    }

    /// The event channel; 0 for none.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// The interrupt that the event channel is bound to; 0 for none.
    pub(crate) fn irq(&self) -> u32 {
        self.irq
    }

    /// The daemon is told by another event channel from now on.
    pub(crate) fn set_port(&mut self, port: u32) {
        self.port = port;
    }

    /// The event channel is bound to an interrupt.
    pub(crate) fn set_irq(&mut self, irq: u32) {
        self.irq = irq;
    }

    /// The page.
    pub(crate) fn page(&self) -> Option<SharedPage> {
        self.page
    }

    fn front(&self) -> Option<ConsoleFront<SharedPage>> {
        ConsoleFront::attach(self.page?).ok()
    }

    fn is_news(&mut self, _: Corrupt) -> bool {
        let is_said = core::mem::replace(&mut self.corrupt_is_said, true);
        !is_said
    }

    /// Writes what there is room for. `panics` tells that the kernel does.
    pub(crate) fn put(&mut self, bytes: &[u8], panics: bool) -> Put {
        let Some(mut front) = self.front() else {
            return Put::Absent;
        };
        if !front.is_connected() {
            return Put::NotConnected;
        }
        if panics {
            self.patience.panic();
        }
        match front.write(bytes) {
            Ok(count) => Put::Taken {
                count,
                port: self.port,
                reads_again: self.patience.found_room(count),
                is_waited_for: self.patience.is_left(),
            },
            Err(corrupt) => Put::Corrupt {
                is_news: self.is_news(corrupt),
            },
        }
    }

    /// Whether to wait for room, at a time in nanoseconds; `None` if there is room, or no ring.
    pub(crate) fn wait(&mut self, now: u64) -> Option<Wait> {
        match self.front()?.unread() {
            Ok(MAX_OUTPUT) => Some(self.patience.wait(now)),
            _ => None,
        }
    }

    /// Reads input.
    pub(crate) fn get(&mut self, to: &mut [u8]) -> Get {
        let Some(mut front) = self.front() else {
            return Get::Absent;
        };
        let (port, irq) = (self.port, self.irq);
        let count = match front.read(to) {
            Ok(count) => count,
            Err(corrupt) => {
                let is_news = self.is_news(corrupt);
                return Get::Corrupt { irq, is_news };
            }
        };
        // An event is spurious if it brings no input, and the daemon has read no output either.
        // One such is no sign: it may have been on its way while `taken` was written.
        let taken = front.taken();
        if taken != self.taken {
            self.taken = taken;
            self.idle_events = 0;
        }
        let is_spurious = count == 0 && self.idle_events > 1;
        if count == 0 {
            self.idle_events = self.idle_events.saturating_add(1);
        }
        Get::Read {
            count,
            port,
            irq,
            is_spurious,
        }
    }
}
