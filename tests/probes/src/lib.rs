// SPDX-License-Identifier: GPL-2.0

//! Small programs that scenarios run in dom0 and in guests to learn what no stock tool tells:
//!
//! - `ledger` writes numbered blocks and keeps the books on what was acknowledged ([`ledger`]);
//! - `kernel-int` prints variables of the running kernel, such as the number of free grants ([`kernel_int`]).
//!
//! They are part of the agent's binary (`agent probe …`), to spare the images another one. What does not live
//! here: deciding whether what they tell is right, which the scenarios do.

#![forbid(unsafe_code)]

pub mod kernel_int;
pub mod ledger;

use std::io;

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
        ["kernel-int", ref names @ ..] if !names.is_empty() => {
            for (name, value) in kernel_int::read(names)? {
                println!("{name} {value}");
            }
            Ok(())
        }
        _ => Err(usage()),
    }
}

fn usage() -> io::Error {
    io::Error::other(
        "usage: probe ledger write DEVICE SECONDS TABLE | probe ledger check DEVICE TABLE | \
         probe kernel-int VARIABLE...",
    )
}
