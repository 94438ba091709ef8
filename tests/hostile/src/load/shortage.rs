// SPDX-License-Identifier: GPL-2.0

//! What a guest has only so many of: grant references and event channels. All are taken but as many as are asked for.
//!
//! The program says how many it has, as `held=3`, and then waits to be killed, which gives them back.

use std::io;
use std::thread::park;

use rustix::io::Errno;

use crate::device::{Evtchn, Gntalloc};

/// Whom pages are granted to, and who may connect to ports: dom0, which does neither.
const PEER: u16 = 0;

/// Takes all grant references but `left`.
pub fn hold_grants(left: usize) -> io::Result<()> {
    let file = Gntalloc::open()?;
    let pages = take_all(|| file.allocate(PEER))?;
    hold(&pages, left, |page| file.free(page))
}

/// Takes all event channels but `left`.
pub fn hold_ports(left: usize) -> io::Result<()> {
    let file = Evtchn::open()?;
    let ports = take_all(|| file.bind_unbound(PEER))?;
    hold(&ports, left, |port| file.unbind(port))
}

/// Takes one after the other until there are none left.
fn take_all<T>(take: impl Fn() -> io::Result<T>) -> io::Result<Vec<T>> {
    let mut taken = Vec::new();
    loop {
        match take() {
            Ok(one) => taken.push(one),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOSPC) => return Ok(taken),
            Err(error) => return Err(error),
        }
    }
}

/// Gives `left` of them back and keeps the others.
fn hold<T: Copy>(
    taken: &[T],
    left: usize,
    give_back: impl Fn(T) -> io::Result<()>,
) -> io::Result<()> {
    let held = taken.len().checked_sub(left).ok_or_else(|| {
        io::Error::other(format!("{left} cannot be left, there are {}", taken.len()))
    })?;
    taken[held..].iter().try_for_each(|&one| give_back(one))?;
    println!("held={held}");
    loop {
        park();
    }
}
