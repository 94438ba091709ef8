// SPDX-License-Identifier: GPL-2.0

//! The control ring: the requests that make the backend use a hash and an indirection table.
//!
//! There is one request at a time on the ring. Each is sent when the one before is answered; an
//! answer has the work item of [`crate::backend`] run. Nothing waits here.

use core::time::Duration;

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            AtomicFlag,
            Relaxed, //
        },
        Arc, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};
use kernel_ext::show::Show;
use xen::{
    bus::{
        Bound,
        Device,
        Dir,
        Failure,
        OrFail, //
    },
    domain::DomId,
    event::{
        Eoi,
        Event,
        EventChannel,
        Handler, //
    },
    grant::{
        Access,
        Grant, //
    },
    page::GrantablePage,
    ring::{
        Corrupt,
        SharedRing, //
    },
};
use xen_ring::netif::{
    control::{
        Algorithm,
        Answer,
        Control,
        HashTypes,
        Message,
        Refused, //
    },
    CtrlFrontRing, //
};

use crate::{
    backend::Updates,
    rss::{
        RssSettings,
        KEY_LEN,
        TABLE_LEN, //
    },
};

/// Time that the backend has for an answer.
const ANSWER_TIMEOUT: Delta = Delta::from_secs(5);

/// Handles the control ring's events.
struct OnAnswer {
    updates: Arc<Updates>,
    /// A request was sent and no event has come since.
    awaited: AtomicFlag,
}

impl Handler for OnAnswer {
    fn handle(&self, event: Event<'_>) -> Eoi {
        let awaited = self.awaited.xchg(false, Relaxed);
        if awaited {
            self.updates.schedule();
        }
        event.done(awaited)
    }
}

/// A connection of the control ring.
pub(crate) struct ControlLink {
    // The channel comes first: once it is closed, no handler is running.
    channel: Pin<KBox<EventChannel<OnAnswer>>>,
    ring: CtrlFrontRing<SharedRing>,
    control: Control,
    to: DomId,
    /// The settings that the backend uses.
    in_effect: Option<RssSettings>,
    transfer: Option<Transfer>,
}

/// Settings on their way to the backend.
struct Transfer {
    settings: RssSettings,
    step: Step,
    /// Hash types that the backend supports.
    types: HashTypes,
    /// The page that the request in flight names.
    _page: Option<Grant>,
    /// When the request in flight was sent.
    sent: Instant<Monotonic>,
}

/// The requests that make settings take effect, in their order.
#[derive(Clone, Copy)]
enum Step {
    SetAlgorithm,
    GetHashTypes,
    SetKey,
    SetTableSize,
    SetTable,
    SetHashTypes,
}

impl Step {
    fn next(self) -> Option<Self> {
        match self {
            Self::SetAlgorithm => Some(Self::GetHashTypes),
            Self::GetHashTypes => Some(Self::SetKey),
            Self::SetKey => Some(Self::SetTableSize),
            Self::SetTableSize => Some(Self::SetTable),
            Self::SetTable => Some(Self::SetHashTypes),
            Self::SetHashTypes => None,
        }
    }

    /// The request of this step, and the page that it names, granted to the backend.
    fn request(
        self,
        settings: &RssSettings,
        types: HashTypes,
        to: DomId,
    ) -> Result<(Message, Option<Grant>)> {
        let granted = |page: GrantablePage| Grant::new(page, to, Access::ReadOnly);
        Ok(match self {
            Self::SetAlgorithm => (Message::SetAlgorithm(Algorithm::Toeplitz), None),
            Self::GetHashTypes => (Message::GetHashTypes, None),
            Self::SetKey => {
                let page = GrantablePage::new(GFP_KERNEL)?;
                page.copy_in(0, &settings.key)?;
                let grant = granted(page)?;
                let message = Message::SetKey {
                    gref: grant.number(),
                    len: KEY_LEN as u32,
                };
                (message, Some(grant))
            }
            Self::SetTableSize => (Message::SetMappingSize(TABLE_LEN as u32), None),
            Self::SetTable => {
                let page = GrantablePage::new(GFP_KERNEL)?;
                for (entry, queue) in settings.table.iter().enumerate() {
                    page.write(entry * size_of::<u32>(), queue)?;
                }
                let grant = granted(page)?;
                let message = Message::SetMapping {
                    gref: grant.number(),
                    count: TABLE_LEN as u32,
                    first: 0,
                };
                (message, Some(grant))
            }
            Self::SetHashTypes => (Message::SetHashTypes(types.and(HashTypes::ALL)), None),
        })
    }
}

impl ControlLink {
    /// Makes ring and channel. May sleep.
    pub(crate) fn make(dev: &Device<Bound>, updates: &Arc<Updates>) -> Result<Self, Failure> {
        let to = dev.otherend_id();
        let ring = SharedRing::new(to, 1).or_fatal("allocating the control ring")?;
        let handler = OnAnswer {
            updates: updates.clone(),
            awaited: AtomicFlag::new(false),
        };
        let channel = EventChannel::new(dev, c"vif-ctrl", Ok::<_, Error>(handler));
        Ok(Self {
            channel: KBox::pin_init(channel, GFP_KERNEL).or_fatal("binding the event channel")?,
            ring: CtrlFrontRing::new(ring).map_err(|_| EINVAL)?,
            control: Control::new(),
            to,
            in_effect: None,
            transfer: None,
        })
    }

    /// Writes them to the xenstore.
    pub(crate) fn announce(&self, own: &Dir<'_>) -> Result<(), Failure> {
        for number in self.ring.mem().numbers() {
            own.write(c"ctrl-ring-ref", fmt!("{}", number))?;
        }
        own.write(c"event-channel-ctrl", fmt!("{}", self.channel.port()))?;
        Ok(())
    }

    /// Goes on with making `settings` take effect, as far as the backend has answered. Returns
    /// after how long to call this again although no answer has come; none if they are in effect.
    ///
    /// # Errors
    ///
    /// If the backend refuses, does not answer in time, or breaks the protocol.
    pub(crate) fn update(&mut self, settings: &RssSettings) -> Result<Option<Duration>> {
        let result = self.advance(settings);
        if result.is_err() {
            // Should the backend not let go of a page, page and grant are left to the kernel.
            self.transfer = None;
            self.in_effect = None;
        }
        result
    }

    fn advance(&mut self, settings: &RssSettings) -> Result<Option<Duration>> {
        loop {
            if self.transfer.is_none() {
                if self.in_effect.as_ref() == Some(settings) {
                    return Ok(None);
                }
                self.in_effect = None;
                self.send(settings.clone(), Step::SetAlgorithm, HashTypes::default())?;
            }
            let Some(answer) = self.answer()? else {
                let left = ANSWER_TIMEOUT.as_millis() - self.waited().as_millis();
                if left <= 0 {
                    pr_warn!("the backend does not answer on the control ring\n");
                    return Err(ETIMEDOUT);
                }
                return Ok(Some(Duration::from_millis(left as u64)));
            };
            let Some(done) = self.transfer.take() else {
                continue;
            };
            let types = match (done.step, answer) {
                (Step::GetHashTypes, Answer::HashTypes(types)) => types,
                (Step::GetHashTypes, _) => return Err(EIO),
                (_, Answer::Done) => done.types,
                _ => return Err(EIO),
            };
            match done.step.next() {
                Some(step) => self.send(done.settings, step, types)?,
                None => self.in_effect = Some(done.settings),
            }
        }
    }

    /// How long the request in flight is under way.
    fn waited(&self) -> Delta {
        self.transfer
            .as_ref()
            .map_or(Delta::ZERO, |transfer| transfer.sent.elapsed())
    }

    /// Puts the request of a step on the ring.
    fn send(&mut self, settings: RssSettings, step: Step, types: HashTypes) -> Result {
        let (message, page) = step.request(&settings, types, self.to)?;
        let request = self.control.ask(message).map_err(|_| EBUSY)?;
        self.ring.push(&request).map_err(|_| EIO)?;
        self.transfer = Some(Transfer {
            settings,
            step,
            types,
            _page: page,
            sent: Instant::now(),
        });
        self.channel.handler().awaited.store(true, Relaxed);
        if self.ring.push_requests().needed() {
            self.channel.notify();
        }
        Ok(())
    }

    /// The answer to the request in flight, if it has come.
    fn answer(&mut self) -> Result<Option<Answer>> {
        match self.take_response() {
            Ok(None) => Ok(None),
            Ok(Some(Ok(answer))) => Ok(Some(answer)),
            Ok(Some(Err(refused))) => {
                pr_info!("control request: {}\n", Show(refused));
                Err(EINVAL)
            }
            Err(corrupt) => {
                pr_alert!("control ring: {}\n", Show(corrupt));
                Err(EIO)
            }
        }
    }

    fn take_response(&mut self) -> Result<Option<Result<Answer, Refused>>, Corrupt> {
        let mut response = self.ring.responses()?.next();
        // An event is asked for, and the response may have come meanwhile.
        if response.is_none() && self.ring.final_check_for_responses()? {
            response = self.ring.responses()?.next();
        }
        let Some(response) = response else {
            return Ok(None);
        };
        match self.control.answered(&response) {
            Ok(answer) => Ok(Some(answer)),
            Err(corrupt) => Err(self.ring.poison(corrupt)),
        }
    }
}
