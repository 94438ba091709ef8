// SPDX-License-Identifier: GPL-2.0

//! The drivers of the device files in dom0's `/dev/xen`, under a program that does what the toolstack does all day.
//!
//! Only one driver can make a node, and no driver that is in use can be unloaded. The toolstack's daemons use them all the
//! time, and a xenstored that ends takes what it knows with it. So the guest whose memory is mapped is created first, and
//! never runs; then the daemons are ended for good. Neither the guest nor the load needs them.

mod matrix;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::subject::{Sample, Setup, Site, Subject};
use crate::guest::{Driver, Guest, Mode};
use crate::host::Host;
use crate::remote::Place;
use crate::topology::Topology;
use crate::traffic::Line;
use matrix::Cell;

/// The load generator: `tests/devfile/load.c`.
const LOAD: &str = "/payload/bin/devfile-load";

/// How often each driver runs each cell unless told otherwise.
pub const ROUNDS: u32 = 10;

/// How long a cell runs each time unless told otherwise.
pub const SLICE: Duration = Duration::from_millis(300);

/// Ends the toolstack's daemons.
const END_DAEMONS: &str = "\
for p in /proc/[0-9]*; do case \"$(cat $p/comm 2>/dev/null)\" in \
oxenstored|xenconsoled) kill -9 ${p#/proc/} || exit 1 ;; esac; done";

/// The comparison of the device files' drivers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Devfile;

impl Subject for Devfile {
    type Cell = Cell;
    type Site<'h> = InDom0<'h>;
    const COMMAND: &'static str = "devfile";
    const TITLE: &'static str = "Benchmark of the toolstack's device files";
    const DOMAIN: &'static str = "dom0";
    const WARM: Duration = Duration::from_millis(60);
    /// Dom0 has as many processors.
    const LANES: [u32; 2] = [1, 2];

    fn name(driver: Driver) -> &'static str {
        match driver {
            Driver::C => "C modules",
            Driver::Rust => "Rust modules",
        }
    }

    fn modules(driver: Driver) -> Vec<&'static str> {
        let modules = match driver {
            Driver::C => ["xen_evtchn", "xen_gntalloc", "xen_gntdev", "xen_privcmd"],
            Driver::Rust => [
                "xen_evtchn_rs",
                "xen_gntalloc_rs",
                "xen_gntdev_rs",
                "xen_privcmd_rs",
            ],
        };
        modules.to_vec()
    }

    fn cells(lanes: u32, quick: bool) -> Vec<Cell> {
        matrix::cells(lanes, quick)
    }

    fn topology(mode: Mode) -> Topology {
        match mode {
            Mode::Pv => Topology {
                xen_args: "dom0_vcpus_pin",
                ..Topology::PV
            },
            // Both of its processors are on the machine's only one: with two the emulator loses a PVH dom0 in mid-run
            // (see [`Topology::placement`]).
            Mode::Pvh | Mode::Hvm => Topology {
                cpus: 1,
                ..Topology::PVH
            },
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let (c, rust) = (Self::modules(Driver::C), Self::modules(Driver::Rust));
        vec![
            (
                "modules",
                format!("{} against {}", c.join(", "), rust.join(", ")),
            ),
            (
                "what is mapped and copied",
                "memory and grants of a PVH guest that never runs".into(),
            ),
        ]
    }

    fn method() -> Vec<&'static str> {
        vec![
            "Both sets of modules run in the same dom0 of the same boot, one after the other. The guest is created first, then \
             the toolstack's daemons are ended, so that nobody has the device files open when the modules are exchanged. Before \
             anything is measured under the modules just loaded, it is shown that what is written to the guest's memory \
             by one way is read by the others.",
            "The load is our own program, `tests/devfile/load.c`: one thread, or two with a file and a processor of their own each. \
             Dom0 has two virtual processors, which stay on the machine's two in a PV dom0 and share the only one in a PVH dom0. The interrupts of a thread's event channels go to its processor. An event goes from one port of dom0's \
             to another and back; each time it is sent, read, and answered.",
            "Grants are entries that the program writes into the guest's table, in its stead. Dom0 maps no grants of its own: \
             Xen would take the page away from where a PVH domain had it.",
            "Xen counts no hypercalls. What is counted, by kprobes in dom0 and in passes that are not timed, are calls of the \
             functions of the kernel that both drivers map, unmap and copy by, and answers to events. An operation is \
             a hypercall, a batch that is mapped and unmapped (or granted and taken back), a request to copy, or an \
             event there and back.",
        ]
    }

    fn site<'h>(&'h self, host: &'h Host, _mode: Mode) -> Result<InDom0<'h>> {
        let guest = host.create_paused(&Guest::pvh("bench-devfile"))?;
        host.dom0()
            .sh(&format!(
                "{END_DAEMONS}\n{}\n{}",
                retried("umount /proc/xen"),
                // It uses a table of privcmd's.
                remove(&[&["xenfs"], &Self::modules(Driver::C)[..]].concat())
            ))
            .context("the device files cannot be taken from the toolstack")?;
        Ok(InDom0 { host, guest })
    }
}

/// Dom0, whose device files no process uses.
pub struct InDom0<'h> {
    host: &'h Host,
    /// The number of the guest whose memory is mapped.
    guest: u32,
}

impl Site<Cell> for InDom0<'_> {
    fn place(&self) -> &Place {
        self.host.dom0()
    }

    fn load(&self, setup: Setup) -> Result<()> {
        // Dom0's setup has seen to it that modprobe loads the modules of one kind only, unless told to ignore that.
        self.place()
            .sh(&format!(
                "for module in {}; do modprobe -i $module || exit 1; done\n\
                 for node in evtchn gntalloc gntdev privcmd; do [ -c /dev/xen/$node ] || {{ echo no $node >&2; exit 1; }}; done\n\
                 exec {LOAD} {} prove",
                Devfile::modules(setup.driver).join(" "),
                self.guest
            ))
            .map(drop)
    }

    fn unload(&self, driver: Driver) -> Result<()> {
        self.place()
            .sh(&remove(&Devfile::modules(driver)))
            .map(drop)
    }

    fn run(&self, warm: Duration, time: Duration, cells: &[Cell]) -> Result<Vec<Sample<Cell>>> {
        let words: Vec<_> = cells.iter().map(Cell::to_string).collect();
        let script = format!(
            "exec {LOAD} {} {} {} {}",
            self.guest,
            warm.as_millis(),
            time.as_millis(),
            words.join(" ")
        );
        let limit = Duration::from_secs(30) + (warm + time) * 4 * u32::try_from(cells.len())?;
        let output = self.place().run_for(limit, &script)?.ok()?;
        let samples: Vec<_> = cells
            .iter()
            .zip(output.stdout.lines())
            .map(|(cell, line)| sample(*cell, line))
            .collect::<Result<_>>()
            .with_context(|| format!("the load generator's results make no sense: {output}"))?;
        ensure!(
            samples.len() == cells.len(),
            "results are missing: {output}"
        );
        Ok(samples)
    }

    /// Dom0 is not lost without the machine.
    fn renew(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Without a toolstack there is nothing to be tidied: the machine ends.
    fn leave(self) -> Result<()> {
        Ok(())
    }
}

/// A script that removes modules one after the other.
fn remove(modules: &[&str]) -> String {
    let (modules, rmmod) = (modules.join(" "), retried("rmmod $module"));
    format!("for module in {modules}; do {rmmod}; done")
}

/// A script that retries a command for some seconds: what a process has open is released a little after its end.
fn retried(command: &str) -> String {
    format!(
        "n=0; until {command} 2>/dev/null; do n=$((n+1)); \
         [ $n -lt $((50 * PACE)) ] || {{ {command}; exit 1; }}; sleep 0.1; done"
    )
}

/// One line of the load generator.
fn sample(cell: Cell, line: &str) -> Result<Sample<Cell>> {
    let line: Line = line.parse()?;
    let name: String = line.get("cell")?;
    ensure!(name == cell.to_string(), "{name} instead of {cell}");
    let rate: f64 = line.get("rate")?;
    ensure!(rate > 0.0, "nothing was done: {line}");
    Ok(Sample {
        cell,
        rate,
        processor: None,
        total: line.get("total")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_printed() {
        let cells = matrix::cells(1, false);
        let (first, second) = (cells[0], cells[1]);
        let line = format!("cell={first} rate=3000.500 total=1024");
        let found = sample(first, &line).unwrap();
        assert_eq!((found.rate, found.total), (3000.5, 1024));
        assert!(sample(second, &line).is_err());
        assert!(sample(first, &format!("cell={first} rate=0.000 total=0")).is_err());
        assert!(sample(first, "open: No such file or directory").is_err());
    }

    #[test]
    fn no_module_is_of_both_kinds() {
        let [c, rust] = [Driver::C, Driver::Rust].map(Devfile::modules);
        assert_eq!(c.len(), rust.len());
        assert!(rust.iter().all(|module| !c.contains(module)));
    }
}
