// SPDX-License-Identifier: GPL-2.0

//! What QEMU's monitor is asked: the state of the processors after a failure, saving a machine and going on from that.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{KEPT, MONITOR, Machine};
use crate::snapshot;

/// How often the processors are looked at after a failure.
const STATES: usize = 5;

/// How long QEMU's monitor may take to answer.
const MONITOR_LIMIT: Duration = Duration::from_secs(10);

/// How long QEMU may take to write or read what is in its memory.
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);

impl Machine {
    /// Gives QEMU's monitor a command. Returns what it says, between a repetition of the command and a prompt.
    pub fn monitor(&mut self, command: &str) -> Result<String> {
        let mut stream = self.connect(MONITOR)?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        // QEMU drops what it has not read when the other end goes: the next prompt says that it has.
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let limit = self.pace.limit(MONITOR_LIMIT);
        let (mut said, mut part) = (Vec::new(), [0; 4096]);
        while said.windows(7).filter(|part| part == b"(qemu) ").count() < 2 {
            match stream.read(&mut part) {
                Ok(0) => bail!("QEMU's monitor is gone"),
                Ok(len) => said.extend_from_slice(&part[..len]),
                Err(_) if !limit.is_over() => {}
                Err(error) => {
                    let message = format!("QEMU's monitor was asked {command:?} {}", limit.spent());
                    return Err(error).context(message);
                }
            }
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Writes down what the processors and the interrupt controllers are at, to find the cause of a failure by. The processors
    /// are looked at several times: one that always does the same hangs. Returns a line for each of where it was, for a report
    /// whose reader has no more than that.
    pub fn record_state(&mut self) -> Result<Vec<String>> {
        let mut file = File::create(self.dir.join("machine.log"))?;
        let controllers = ["info pic", "info irq"].map(str::to_owned);
        let processors = (0..self.cpus).map(|cpu| format!("info lapic {cpu}"));
        let registers = std::iter::repeat_n("info registers -a".to_owned(), STATES);
        let mut places = vec![Vec::new(); self.cpus as usize];
        for command in controllers.into_iter().chain(processors).chain(registers) {
            let said = self.monitor(&command)?;
            // It repeats the command letter by letter, and moves the cursor in between.
            let said = said.rsplit('\u{1b}').next().unwrap_or_default();
            writeln!(file, "{command}\n{said}")?;
            // Only registers have places.
            for (at, place) in places.iter_mut().zip(said.lines().filter_map(place)) {
                at.push(place);
            }
            thread::sleep(Duration::from_millis(50));
        }
        let lines = places.into_iter().enumerate().map(|(cpu, mut at)| {
            at.dedup();
            format!("processor {cpu}: {}", at.join(", "))
        });
        Ok(lines.collect())
    }

    /// Saves the machine, which goes on then: processors, devices and memory in the file [`snapshot::STATE`], and what has been
    /// written to the root disk in [`snapshot::ROOT`], both with `.kept` after their names.
    pub fn save(&mut self) -> Result<()> {
        let state = format!("{}.kept", snapshot::STATE);
        self.monitor("stop")?;
        self.migration(&format!("migrate -d file:/vm/run/{state}"))?;
        // QEMU has written all it knows about the disk and does not touch it until it goes on.
        let root = self.dir.join(snapshot::ROOT);
        fs::copy(&root, self.dir.join(format!("{}.kept", snapshot::ROOT)))
            .context("cannot copy dom0's root disk")?;
        self.monitor("cont").map(drop)
    }

    /// Goes on from the snapshot with which QEMU was started. The connection to dom0's agent has to be made
    /// before: the agent would see a port without a reader.
    pub fn go_on(&mut self) -> Result<()> {
        self.migration(&format!("migrate_incoming file:{KEPT}/{}", snapshot::STATE))?;
        // It was stopped when it was saved.
        self.monitor("cont").map(drop)
    }

    /// Has QEMU write or read a machine's state, each page at a place of its own in the file (docs/devel/migration/mapped-ram).
    fn migration(&mut self, command: &str) -> Result<()> {
        self.monitor("migrate_set_capability mapped-ram on")?;
        self.monitor("migrate_set_parameter max-bandwidth 100G")?;
        let said = self.monitor(command)?;
        self.wait_for("QEMU's migration", MIGRATION_LIMIT, |machine| {
            machine.check()?;
            let state = machine.monitor("info migrate")?;
            ensure!(
                !state.contains("failed"),
                "QEMU says to {command:?}: {said} {state}"
            );
            Ok(state.contains("completed").then_some(()))
        })
    }
}

/// Where a processor is, of the line of QEMU's registers that tells it; `None` for other lines.
fn place(line: &str) -> Option<String> {
    let field = |name: &str| {
        let mut fields = line.split_ascii_whitespace();
        fields.find_map(|field| field.strip_prefix(name))
    };
    let rip = field("RIP=")?;
    Some(match field("HLT=") {
        Some("1") => format!("{rip} halted"),
        _ => format!("{rip} {}", field("RFL=").unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_processor_is_where_its_registers_say() {
        let line = |hlt| {
            format!("RIP=ffffffff81234567 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT={hlt}")
        };
        assert_eq!(place(&line(1)).as_deref(), Some("ffffffff81234567 halted"));
        assert_eq!(
            place(&line(0)).as_deref(),
            Some("ffffffff81234567 00000246")
        );
        assert_eq!(place("RAX=0000000000000000 RBX=0000000000000000"), None);
    }
}
