// SPDX-License-Identifier: GPL-2.0

//! What the guest sends: it is looked at and answered.

use std::io;

use fastrand::Rng;
use xen_abi::io::netif::{ExtraInfo, TxRequest, TxResponse, extra, rsp, tx_flag};
use zerocopy::FromBytes;

use crate::device::{Gntdev, Granted, Mapping};
use crate::plan::{Lie, Plan};
use crate::ring::{self, LiarRing};
use crate::secret;

/// Pages at most that are kept mapped for no reason.
const MAX_KEPT: usize = 64;

impl ring::Response for TxResponse {
    fn bend(&mut self, rng: &mut Rng) {
        match rng.u8(..6) {
            0 => self.id = rng.u16(..),
            1 => self.id ^= 1 << rng.u8(..16),
            2 => self.id = self.id.wrapping_add(rng.u16(..4)),
            3 => self.status = rng.i16(..),
            4 => self.status = rsp::NULL,
            _ => self.status = rsp::ERROR,
        }
    }
}

type Slot = [u8; size_of::<TxRequest>()];

/// The transmit half of a queue.
pub struct Transmit {
    ring: LiarRing<Slot, TxResponse, Mapping>,
    /// What the ring is in.
    pub pages: Granted,
    /// The next slot is an extra.
    extra_follows: bool,
    kept: Vec<Granted>,
}

impl Transmit {
    /// Over a ring.
    pub fn new(pages: Granted) -> io::Result<Self> {
        Ok(Self {
            ring: LiarRing::new(pages.mapping())?,
            pages,
            extra_follows: false,
            kept: Vec::new(),
        })
    }

    /// Answers what is there. `answered` counts responses.
    pub fn serve(
        &mut self,
        (grants, domid): (&Gntdev, u16),
        plan: &Plan,
        answered: &mut u32,
        rng: &mut Rng,
    ) -> io::Result<Served> {
        let mut served = Served::default();
        while let Some(slot) = self.ring.take() {
            served.any = true;
            let lie = plan.lie(*answered, rng);
            *answered += 1;
            let response = if self.extra_follows {
                let (extra, _) = ExtraInfo::read_from_prefix(&slot).unwrap_or_default();
                self.extra_follows = extra.flags & extra::FLAG_MORE != 0;
                TxResponse {
                    id: 0,
                    status: rsp::NULL,
                }
            } else {
                let request = TxRequest::read_from_bytes(&slot).unwrap_or_default();
                self.extra_follows = request.flags & tx_flag::EXTRA_INFO != 0;
                let keep = lie == Some(Lie::Keep)
                    && self.kept.len() < MAX_KEPT
                    && (plan.keeps_packets || !plan.trusted);
                if keep || !plan.trusted {
                    let page = grants.map(domid, &[request.gref], false)?;
                    if !plan.trusted {
                        secret::look_for(&page.mapping(), "a page that is sent")?;
                    }
                    self.kept.extend(keep.then_some(page));
                }
                TxResponse {
                    id: request.id,
                    status: rsp::OKAY,
                }
            };
            self.ring.answer(response, lie, rng);
            if lie == Some(Lie::Storm) {
                served.events += rng.u32(..3000);
            }
        }
        served.any |= self.ring.put_late_sometimes(rng);
        self.ring.publish();
        self.ring.await_request();
        Ok(served)
    }

    /// Mappings that were kept although their pages were answered for.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Sends what was held back.
    pub fn send_late(&mut self) {
        self.ring.put_late();
        self.ring.publish();
    }
}

/// What was done.
#[derive(Default)]
pub struct Served {
    /// There was something to do.
    pub any: bool,
    /// So many events too many are to be sent.
    pub events: u32,
}
