// SPDX-License-Identifier: GPL-2.0

//! A device that hostile backends make, and what the guest has left of it afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::Job;
use crate::context::Ctx;
use crate::guest::Domain;

/// What a hostile backend pretends to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A disk, `xvda`.
    Disk,
    /// A network interface, `eth0`.
    Interface,
}

impl Class {
    /// What the program is asked for.
    fn name(self) -> &'static str {
        match self {
            Self::Disk => "block",
            Self::Interface => "net",
        }
    }

    /// The device's number in the xenstore. That of `xvda` is 202 << 8 (xen-vbd-interface(7)).
    pub fn number(self) -> u32 {
        match self {
            Self::Disk => 202 << 8,
            Self::Interface => 0,
        }
    }

    /// Its name on the guest's bus.
    fn on_bus(self) -> String {
        let class = match self {
            Self::Disk => "vbd",
            Self::Interface => "vif",
        };
        format!("{class}-{}", self.number())
    }

    /// What uses it in the guest.
    pub fn load(self) -> &'static str {
        match self {
            Self::Disk => "exec agent hostile use disks",
            Self::Interface => "exec agent hostile use interfaces",
        }
    }
}

/// A function of the shell that tells what the drivers own, as they say; what was deferred is a running total.
const OWNED: &str = "owned() { ( cd /sys/kernel/debug/xen/objects && \
     for f in *; do [ $f = deferred ] || echo $f $(cat $f); done ) }";

/// What a guest's kernel says that has been hurt.
const COMPLAINTS: &str = "WARNING: |BUG: |kernel BUG|Oops|Call Trace|refcount_t|blocked for more";

/// What a kernel says when it is to end a grant whose page the other domain has mapped
/// (`gnttab_end_foreign_access_ref()`). It begins with "WARNING: ", but is no fault of the guest's.
const STILL_IN_USE: &str = "still in use!";

/// A function of the shell that leaves out what the kernel says when it injects a failure, from the first line to the end of the
/// trace, and when a caller that may not be told of failed memory is (`warn_alloc()`). All is kept in a file.
const WITHOUT_INJECTED: &str = "tee -a /tmp/injected | awk '\
     /FAULT_INJECTION: forcing a failure|page allocation failure|vmalloc error/ { skip = 1 } \
     !skip { print } \
     /<\\/TASK>/ { skip = 0 }' ";

/// What the guest's kernel may say that is no fault of the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: a backend has unmapped all pages that it had answered for.
    Nothing,
    /// That pages are mapped which it wants back: a backend has kept some.
    StillInUse,
    /// That allocations fail, which they are made to. It is kept in `/tmp/injected`.
    Injected,
}

impl Expected {
    /// Prints and forgets what the guest's kernel has said since the last time that should not be there.
    fn complaints(self) -> String {
        let (before, after) = match self {
            Self::Nothing => (String::new(), String::new()),
            Self::StillInUse => (String::new(), format!("| grep -v '{STILL_IN_USE}' ")),
            Self::Injected => (format!("| {WITHOUT_INJECTED}"), String::new()),
        };
        format!("dmesg -c {before}| grep -E '{COMPLAINTS}' {after}| head -20")
    }
}

/// The hostile backends' program in dom0.
const PROGRAM: &str = "/payload/bin/agent hostile";

/// How long the device may take to go, with all that was made for it.
const LIMIT: Duration = Duration::from_secs(60);

/// A guest for hostile backends.
pub struct Victim<'a> {
    guest: &'a Domain,
    class: Class,
    /// What the drivers own without the device.
    owned: String,
    /// Free references, of all that the table had then.
    in_use: i64,
}

impl<'a> Victim<'a> {
    /// Looks at a guest that has the driver and no device of that number.
    pub fn new(guest: &'a Domain, class: Class) -> Result<Self> {
        guest.sh(&Expected::StillInUse.complaints())?;
        Ok(Self {
            guest,
            class,
            owned: guest.sh(&format!("{OWNED}; owned"))?,
            in_use: grants(guest)?,
        })
    }

    /// Runs one seed and looks at what is left. Returns what the program says.
    pub fn run(&self, ctx: &Ctx<'_>, seed: u64) -> Result<String> {
        self.run_script(ctx, seed, &format!("{} {seed}", self.words()))
    }

    /// The same for a backend that does one thing only: `how` says whether it is trusted, and its lies.
    pub fn run_only(&self, ctx: &Ctx<'_>, seed: u64, how: &str) -> Result<String> {
        self.run_script(ctx, seed, &format!("only {} {seed} {how}", self.words()))
    }

    /// The same for an honest backend, while the guest may be short of what it needs for a device. What is left of it is not
    /// looked at.
    pub fn run_in_need(&self, ctx: &Ctx<'_>, seed: u64) -> Result<String> {
        self.run_program(ctx, seed, &format!("need {} {seed}", self.words()))
    }

    /// The same for a device that is taken away after so many milliseconds if there is no offer.
    pub fn run_shortly(&self, ctx: &Ctx<'_>, ms: u64) -> Result<String> {
        self.run_program(ctx, ms, &format!("leave {} {ms}", self.words()))
    }

    /// Starts a backend that sends events without work for so many seconds, once it is connected.
    pub fn start_storm(&self, ctx: &Ctx<'_>, seconds: u32) -> Result<Job> {
        let script = format!("exec {PROGRAM} storm {} {seconds}", self.words());
        ctx.host.dom0().spawn(&script)
    }

    /// Which device it is, as the program is told.
    fn words(&self) -> String {
        let (name, domid, number) = (self.class.name(), self.guest.domid(), self.class.number());
        format!("{name} {domid} {number}")
    }

    fn run_program(&self, ctx: &Ctx<'_>, seed: u64, words: &str) -> Result<String> {
        let script = format!("{PROGRAM} {words}");
        let ran = ctx.host.dom0().run_for(LIMIT * 2, &script)?.ok();
        Ok(ran.with_context(|| format!("seed {seed}"))?.stdout)
    }

    fn run_script(&self, ctx: &Ctx<'_>, seed: u64, words: &str) -> Result<String> {
        let line = self.run_program(ctx, seed, words)?;
        let expected = match field(&line, "kept")? {
            0 => Expected::Nothing,
            _ => Expected::StillInUse,
        };
        self.is_well(expected)
            .with_context(|| line.trim().to_owned())?;
        Ok(line)
    }

    /// The device is gone, with all that the drivers had for it, and the kernel has not complained.
    pub fn is_well(&self, expected: Expected) -> Result<()> {
        let complaints = expected.complaints();
        let device = self.class.on_bus();
        // What is released by RCU, or by a work item, takes its time.
        let script = format!(
            "{OWNED}; now() {{ cut -d . -f 1 /proc/uptime; }}; end=$(( $(now) + 30 * PACE )); \
             until [ ! -e /sys/bus/xen/devices/{device} ] && [ \"$(owned)\" = \"{}\" ]; do \
             if [ $(now) -gt $end ]; then ls -d /sys/bus/xen/devices/*; owned; break; fi; sleep 0.1; \
             done; {complaints}",
            self.owned
        );
        let said = self.guest.run_for(LIMIT, &script)?.ok()?.stdout;
        ensure!(
            said.is_empty(),
            "the guest is not as it was before, with {}: {said}",
            self.owned.replace('\n', ", ")
        );
        Ok(())
    }

    /// All grants have come back: those that backends had kept too, for they have let go by now.
    pub fn has_all_grants(&self) -> Result<()> {
        let limit = self.guest.pace().limit(Duration::from_secs(60));
        loop {
            let in_use = grants(self.guest)?;
            if in_use <= self.in_use {
                return Ok(());
            }
            ensure!(
                !limit.is_over(),
                "{} grants are left behind",
                in_use - self.in_use
            );
            self.guest.pace().sleep(Duration::from_millis(500));
        }
    }
}

/// A number in what the program says.
pub fn field(line: &str, name: &str) -> Result<u64> {
    let mut words = line.split(' ');
    let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let number = found.with_context(|| format!("no {name} in {line}"))?;
    Ok(number.trim().parse()?)
}

/// References that the guest's kernel has given out.
fn grants(guest: &Domain) -> Result<i64> {
    /// Entries of a page of the table (version 1: 8 bytes each, grant_table.h).
    const PER_FRAME: i64 = 512;
    let text = guest.sh("agent probe kernel-int nr_grant_frames gnttab_free_count")?;
    let number = |name: &str| -> Result<i64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.with_context(|| format!("no {name} in {text}"))?;
        Ok(number.trim().parse()?)
    };
    Ok(number("nr_grant_frames")? * PER_FRAME - number("gnttab_free_count")?)
}
