// SPDX-License-Identifier: GPL-2.0

//! The control ring: what it asks for is done by saying so.

use std::io;

use fastrand::Rng;
use xen_abi::io::netif::{CtrlRequest, CtrlResponse, ctrl, ctrl_status, hash_flag};

use crate::device::{Granted, Mapping};
use crate::plan::Plan;
use crate::ring::{self, LiarRing};

impl ring::Response for CtrlResponse {
    fn bend(&mut self, rng: &mut Rng) {
        match rng.u8(..6) {
            0 => self.id = rng.u16(..),
            1 => self.id = self.id.wrapping_add(1),
            2 => self.kind = rng.u16(..12),
            3 => self.status = rng.u32(..),
            4 => self.status = rng.u32(..4),
            _ => self.data = rng.u32(..),
        }
    }
}

/// The control ring of an interface.
pub struct Control {
    ring: LiarRing<CtrlRequest, CtrlResponse, Mapping>,
    _pages: Granted,
}

impl Control {
    /// Over a ring.
    pub fn new(pages: Granted) -> io::Result<Self> {
        Ok(Self {
            ring: LiarRing::new(pages.mapping())?,
            _pages: pages,
        })
    }

    /// Answers what is there; returns whether there was anything. Here every response may be a lie, for there are few.
    pub fn serve(&mut self, plan: &Plan, rng: &mut Rng) -> bool {
        let mut any = false;
        while let Some(request) = self.ring.take() {
            any = true;
            let response = CtrlResponse {
                id: request.id,
                kind: request.kind,
                status: ctrl_status::SUCCESS,
                data: match request.kind {
                    ctrl::GET_HASH_FLAGS => hash_flag::IPV4 | hash_flag::IPV4_TCP,
                    ctrl::GET_HASH_MAPPING_SIZE => 128,
                    _ => 0,
                },
            };
            let lie = plan.lie(u32::MAX, rng);
            self.ring.answer(response, lie, rng);
        }
        self.ring.publish();
        self.ring.await_request();
        any
    }
}
