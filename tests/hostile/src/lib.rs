// SPDX-License-Identifier: GPL-2.0

//! Backends of block devices and network interfaces that do whatever they can to hurt the guest, in dom0's user space.
//!
//! A seed makes a [plan]: which nodes of the xenstore are wrong, which lies are told on the rings, how the backend ends.
//! [`script`] carries it out on one device, from its first node to its removal. The pieces are the device's [folders]
//! in the xenstore, a [ring] that need not obey its rules, a [disk](block) and an [interface](net), and
//! [what no backend may see](secret). In the guest the [load] uses the devices meanwhile.
//!
//! The program itself judges what only a backend can see: whether the frontend connects to a backend that has been honest so far,
//! whether pages show more than they should, whether the frontend closes. What the guest has become is for the scenarios to judge
//! (`hostile.…`). It is part of the agent's binary (`agent hostile …`).

#![deny(unsafe_code)]

mod block;
mod console;
#[allow(unsafe_code)]
mod device;
mod finding;
mod folders;
mod load;
mod net;
mod plan;
mod ring;
mod script;
mod secret;
mod service;
mod storm;
mod values;

use std::io;
use std::time::Duration;

use block::hold::Then;
use folders::Device;
use plan::{Lie, Plan};
use script::Script;

/// Runs it; `args` begins with what is to be done.
pub fn main(args: &[String]) -> io::Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [class @ ("block" | "net"), domid, number, seed] => run(class, domid, number, seed, None),
        ["only", class, domid, number, seed, trust, ref lies @ ..] => {
            run(class, domid, number, seed, Some(only(trust, lies)?))
        }
        ["need", class, domid, number, seed] => {
            run(class, domid, number, seed, Some(Plan::to_a_guest_in_need()))
        }
        ["storm", class, domid, number, seconds] => {
            let plan = Plan::storming(time(seconds)?);
            run(class, domid, number, "0", Some(plan))
        }
        ["leave", class, domid, number, ms] => {
            let plan = Plan::leaving(milliseconds(ms)?);
            run(class, domid, number, ms, Some(plan))
        }
        ["keep", domid, number] => run("net", domid, number, "0", Some(Plan::keeping())),
        ["hold", domid, number] => hold(domid, number, Then::Closes),
        ["hold", domid, number, "removed"] => hold(domid, number, Then::IsRemoved),
        ["honest", domid, number, seconds, ref words @ ..] => {
            let device = device("vbd", domid, number)?;
            let all = block::honest::Peculiarities::read(words).ok_or_else(usage)?;
            block::honest::run(&device, time(seconds)?, &all, pace())
        }
        ["console", domid, seconds] => {
            console::run(domid.parse().map_err(|_| usage())?, time(seconds)?)
        }
        ["storm", domid, port, seconds] => storm::run(
            domid.parse().map_err(|_| usage())?,
            port.parse().map_err(|_| usage())?,
            time(seconds)?,
        ),
        ["use", "durably", path] => load::write_durably(path),
        ["use", "memory"] => load::watch_memory(),
        ["use", "disks"] => load::use_disks(),
        ["use", "interfaces"] => load::use_interfaces(),
        ["use", "grants", left] => load::hold_grants(left.parse().map_err(|_| usage())?),
        ["use", "ports", left] => load::hold_ports(left.parse().map_err(|_| usage())?),
        _ => Err(usage()),
    }
}

fn hold(domid: &str, number: &str, then: Then) -> io::Result<()> {
    let device = device("vbd", domid, number)?;
    println!("{}", block::hold::run(&device, then, pace())?);
    Ok(())
}

fn run(class: &str, domid: &str, number: &str, seed: &str, plan: Option<Plan>) -> io::Result<()> {
    let class = match class {
        "block" => "vbd",
        "net" => "vif",
        _ => return Err(usage()),
    };
    let script = Script {
        device: device(class, domid, number)?,
        seed: seed.parse().map_err(|_| usage())?,
        plan,
        pace: pace(),
    };
    let report = script
        .run()
        .map_err(|error| io::Error::new(error.kind(), format!("seed={seed} {error}")))?;
    println!("{report}");
    Ok(())
}

/// The plan of a backend that is `trusted` or `untrusted` and tells no lies but these.
fn only(trust: &str, lies: &[&str]) -> io::Result<Plan> {
    let trusted = match trust {
        "trusted" => true,
        "untrusted" => false,
        _ => return Err(usage()),
    };
    let lies: Option<Vec<Lie>> = lies.iter().map(|name| Lie::named(name)).collect();
    Ok(Plan::only(trusted, lies.ok_or_else(usage)?))
}

fn device(class: &'static str, domid: &str, number: &str) -> io::Result<Device> {
    Ok(Device {
        domid: domid.parse().map_err(|_| usage())?,
        class,
        number: number.parse().map_err(|_| usage())?,
    })
}

fn milliseconds(text: &str) -> io::Result<Duration> {
    Ok(Duration::from_millis(text.parse().map_err(|_| usage())?))
}

fn time(seconds: &str) -> io::Result<Duration> {
    Ok(Duration::from_secs(seconds.parse().map_err(|_| usage())?))
}

/// The machine's slowness, as everything that the host starts is told.
fn pace() -> u32 {
    let pace = std::env::var("PACE").ok();
    pace.and_then(|pace| pace.parse().ok()).unwrap_or(1)
}

fn usage() -> io::Error {
    io::Error::other(
        "usage: hostile block DOMID NUMBER SEED | hostile net DOMID NUMBER SEED | \
         hostile only block|net DOMID NUMBER SEED trusted|untrusted LIE... | \
         hostile honest DOMID NUMBER SECONDS WORD... | hostile hold DOMID NUMBER [removed] | hostile keep DOMID NUMBER | \
         hostile console DOMID SECONDS | hostile use memory | \
         hostile use durably PATH | \
         hostile need block|net DOMID NUMBER SEED | hostile leave block|net DOMID NUMBER MS | \
         hostile storm block|net DOMID NUMBER SECONDS | \
         hostile storm DOMID PORT SECONDS | \
         hostile use disks | hostile use interfaces | hostile use grants|ports LEFT",
    )
}
