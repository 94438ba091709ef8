// SPDX-License-Identifier: GPL-2.0

//! Small programs that scenarios run in dom0 and in guests to learn what no stock tool tells:
//!
//! - `ledger` writes numbered blocks and keeps the books on what was acknowledged ([`ledger`]);
//! - `switches` and `faults` do work whose speed depends on the hypervisor, and print the rate ([`work`]);
//! - `kernel-int` prints variables of the running kernel, such as the number of free grants ([`kernel_int`]).
//!
//! They are part of the agent's binary (`agent probe …`), to spare the images another one. What does not live
//! here: deciding whether what they tell is right, which the scenarios do.

#![forbid(unsafe_code)]

pub mod kernel_int;
pub mod ledger;
pub mod work;

use std::io;
use std::time::Duration;

/// Runs a program; `args` begins with its name.
pub fn main(args: &[String]) -> io::Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ledger", "write", device, seconds, table] => {
            let seconds = seconds.parse().map_err(|_| usage())?;
            let outcome = ledger::write(device.as_ref(), seconds, table.as_ref())?;
            print!("{outcome}");
            Ok(())
        }
        ["ledger", "check", device, table] => {
            let outcome = ledger::check(device.as_ref(), table.as_ref())?;
            print!("{outcome}");
            Ok(())
        }
        ["switches", first, second, milliseconds] => {
            let processor = |text: &str| text.parse().map_err(|_| usage());
            let both = [processor(first)?, processor(second)?];
            println!("rate={:.3}", work::switches(both, time(milliseconds)?)?);
            Ok(())
        }
        ["faults", milliseconds] => {
            println!("rate={:.3}", work::faults(time(milliseconds)?)?);
            Ok(())
        }
        ["kernel-int", ref names @ ..] if !names.is_empty() => {
            for (name, value) in kernel_int::read(names)? {
                println!("{name} {value}");
            }
            Ok(())
        }
        _ => Err(usage()),
    }
}

fn time(milliseconds: &str) -> io::Result<Duration> {
    let milliseconds = milliseconds.parse().map_err(|_| usage())?;
    Ok(Duration::from_millis(milliseconds))
}

fn usage() -> io::Error {
    io::Error::other(
        "usage: probe ledger write DEVICE SECONDS TABLE | probe ledger check DEVICE TABLE | \
         probe switches CPU CPU MILLISECONDS | probe faults MILLISECONDS | probe kernel-int VARIABLE...",
    )
}
