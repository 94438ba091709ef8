// SPDX-License-Identifier: GPL-2.0

//! What the lock of an exchange guards: the link with the operation in flight, and an answer that
//! was taken out of the page for another task.

use xen_ring::pciif::{
    Recovery,
    Refusal,
    Report, //
};

use super::OpResult;
use crate::{
    link::Link,
    stats::Stats, //
};

/// See the module.
pub(super) struct ExchangeState {
    pub(super) link: Option<Link>,
    /// Counts links.
    serial: u32,
    /// What came of the operation of the task that sleeps, taken out of the page in atomic context.
    pub(super) left: Option<OpResult>,
}

impl ExchangeState {
    pub(super) const fn new() -> Self {
        Self {
            link: None,
            serial: 0,
            left: None,
        }
    }

    /// Replaces the link; returns the old one, to be dropped without the lock.
    pub(super) fn replace_link(&mut self, link: Option<Link>) -> Option<Link> {
        self.serial = self.serial.wrapping_add(1);
        self.left = None;
        core::mem::replace(&mut self.link, link)
    }

    pub(super) fn is_in_flight(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| link.page.is_in_flight())
    }

    pub(super) fn has_report(&self) -> bool {
        let link = self.link.as_ref();
        link.is_some_and(|link| link.page.has_report())
    }

    /// The report in the page, if there is one, and the number of the link.
    pub(super) fn report(&self) -> Option<(u32, Option<Report>)> {
        if !self.has_report() {
            return None;
        }
        let report = self.link.as_ref().and_then(|link| link.page.report());
        Some((self.serial, report))
    }

    /// Replies to a report that came over the link with this number.
    pub(super) fn reply(&self, serial: u32, recovery: Recovery) {
        if let (Some(link), true) = (&self.link, self.serial == serial) {
            link.page.reply(recovery);
            link.channel.notify();
        }
    }

    /// Gives up on the operation in flight. Further ones are refused until it is answered.
    pub(super) fn abandon(&mut self) {
        if let Some(link) = &mut self.link {
            link.page.abandon();
        }
    }

    /// The answer to the operation in flight, if it has come. An event that was polled away may
    /// have been one for a report too.
    pub(super) fn take(&mut self) -> Option<OpResult> {
        let link = self.link.as_mut()?;
        let result = link.page.take()?;
        if link.page.has_report() {
            link.channel.handler().schedule();
        }
        Some(result)
    }

    /// What came of the operation of the task that sleeps, if anything has.
    pub(super) fn take_for_sleeper(&mut self, stats: &Stats) -> Option<OpResult> {
        if let Some(result) = self.left.take() {
            return Some(result);
        }
        if self.link.is_none() {
            return Some(Err(Refusal::Gone));
        }
        if !self.is_in_flight() {
            // There is another link since.
            stats.lost.one();
            return Some(Err(Refusal::Gone));
        }
        self.take()
    }
}
