// SPDX-License-Identifier: GPL-2.0

//! What the guest receives.

use std::io;

use fastrand::Rng;
use xen_abi::io::netif::{ExtraInfo, RxRequest, RxResponse, extra, gso, rx_flag};
use zerocopy::{FromBytes, IntoBytes};

use super::frame;
use super::transmit::Served;
use crate::device::{Gntdev, Granted, Mapping, PAGE};
use crate::plan::{Lie, Plan};
use crate::ring::{self, LiarRing};
use crate::secret;

/// Frames at a time.
const BURST: u32 = 8;

/// Pages at most that are kept mapped for no reason.
const MAX_KEPT: usize = 32;

impl ring::Response for RxResponse {
    fn bend(&mut self, rng: &mut Rng) {
        match rng.u8(..8) {
            0 => self.id = rng.u16(..),
            1 => self.id ^= 1 << rng.u8(..8),
            2 => self.offset = rng.u16(..),
            3 => self.flags = rng.u16(..),
            4 => self.flags |= rx_flag::MORE_DATA,
            5 => self.flags |= rx_flag::EXTRA_INFO,
            6 => self.status = rng.i16(..),
            _ => self.status = [0, 1, 13, 4095, 4097, i16::MAX, i16::MIN][rng.usize(..7)],
        }
    }
}

/// The receive half of a queue.
pub struct Receive {
    ring: LiarRing<RxRequest, RxResponse, Mapping>,
    /// What the ring is in.
    pub pages: Granted,
    kept: Vec<Granted>,
}

impl Receive {
    /// Over a ring.
    pub fn new(pages: Granted) -> io::Result<Self> {
        Ok(Self {
            ring: LiarRing::new(pages.mapping())?,
            pages,
            kept: Vec::new(),
        })
    }

    /// Sends some frames, as far as there are buffers.
    pub fn serve(
        &mut self,
        guest: (&Gntdev, u16),
        plan: &Plan,
        answered: &mut u32,
        rng: &mut Rng,
    ) -> io::Result<Served> {
        let mut served = Served::default();
        for _ in 0..rng.u32(..BURST) {
            let lie = plan.lie(*answered, rng);
            let Some(request) = self.ring.take() else {
                break;
            };
            served.any = true;
            *answered += 1;
            let frame = match lie {
                Some(Lie::Content) => frame::wrong(rng),
                _ => frame::right(rng),
            };
            let offset = rng.usize(..=(PAGE - frame.len())) & !1;
            if lie != Some(Lie::Early) {
                self.write(guest, &request, offset, &frame, plan, lie)?;
            }
            let mut response = RxResponse {
                id: request.id,
                offset: offset as u16,
                flags: 0,
                status: frame.len() as i16,
            };
            if lie == Some(Lie::Content) && rng.bool() {
                response.flags = rx_flag::CSUM_BLANK | rx_flag::DATA_VALIDATED;
            }
            match lie {
                Some(Lie::Content) if rng.bool() => self.put_with_extra(response, rng),
                lie => self.ring.answer(response, lie, rng),
            }
            if lie == Some(Lie::Storm) {
                served.events += rng.u32(..3000);
            }
        }
        served.any |= self.ring.put_late_sometimes(rng);
        self.ring.publish();
        Ok(served)
    }

    /// Puts a frame into a buffer.
    fn write(
        &mut self,
        (grants, domid): (&Gntdev, u16),
        request: &RxRequest,
        offset: usize,
        frame: &[u8],
        plan: &Plan,
        lie: Option<Lie>,
    ) -> io::Result<()> {
        let page = grants.map(domid, &[request.gref], true)?;
        if !plan.trusted {
            secret::look_for(&page.mapping(), "a buffer")?;
        }
        page.mapping().write_bytes(offset, frame);
        if matches!(lie, Some(Lie::Keep | Lie::Scribble)) && self.kept.len() < MAX_KEPT {
            self.kept.push(page);
        }
        Ok(())
    }

    /// Puts a response with extras of any kind behind it.
    fn put_with_extra(&mut self, mut response: RxResponse, rng: &mut Rng) {
        response.flags |= rx_flag::EXTRA_INFO;
        self.ring.put(response);
        for more in (0..rng.u8(1..4)).rev() {
            // Each of them takes a slot, and so a buffer.
            if self.ring.take().is_none() {
                return;
            }
            let mut detail = [0; 6];
            rng.fill(&mut detail);
            let kind = rng.u8(..extra::MAX + 2);
            if kind == extra::GSO && rng.bool() {
                detail = [0, 0, gso::TCPV4, 0, 0, 0];
                detail[..2].copy_from_slice(&rng.u16(..1500).to_ne_bytes());
            }
            let extra = ExtraInfo {
                kind,
                flags: u8::from(more > 0 && rng.u8(..8) > 0),
                detail,
            };
            let slot = RxResponse::read_from_bytes(extra.as_bytes());
            self.ring.put(slot.unwrap_or_default());
        }
    }

    /// Mappings that were kept although their pages were answered for.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Sends what was held back, and writes to buffers that were given back.
    pub fn use_what_is_left(&mut self, rng: &mut Rng) {
        self.ring.put_late();
        self.ring.publish();
        for page in &self.kept {
            page.mapping()
                .write_bytes(rng.usize(..PAGE), &frame::wrong(rng));
        }
    }
}
