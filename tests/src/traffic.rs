// SPDX-License-Identifier: GPL-2.0

//! Running `netload`, whose two ends are in two domains.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
pub use netload::report::Line;

use crate::remote::{Job, Place};

/// How long a measurement may take on top of the time it is to run.
const SLACK: Duration = Duration::from_secs(30);

/// The end that serves, running in the background; dropping it ends it.
pub struct Server(Job);

impl Server {
    /// Starts it in dom0 or in a guest. Its clients wait until it listens.
    pub fn start(place: &Place) -> Result<Self> {
        Ok(Self(place.spawn(&command(place, "serve"))?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only when the domain is gone, and the server with it.
        let _ = self.0.kill(9);
    }
}

/// A measurement that runs in the background; dropping it ends it.
pub struct Running(Option<Job>);

impl Running {
    /// Waits for the result, which must be there within this time from the start.
    pub fn result(mut self, limit: Duration) -> Result<Line> {
        let job = self.0.take().context("it has no result any more")?;
        line(&job.wait_for(limit + SLACK)?.ok()?.stdout)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(job) = self.0.take() {
            // Fails only when the domain is gone.
            let _ = job.kill(9);
        }
    }
}

/// The shell command that runs `netload` in a place.
fn command(place: &Place, args: &str) -> String {
    // Where the images put the agent.
    let agent = if place.name() == "dom0" {
        "/payload/bin/agent"
    } else {
        "/bin/agent"
    };
    format!("exec {agent} netload {args}")
}

/// Runs a measurement that takes a few seconds. Wrong content is an error.
pub fn run(place: &Place, args: &str) -> Result<Line> {
    let output = place.run_for(SLACK * 2, &command(place, args))?.ok()?;
    line(&output.stdout)
}

/// Runs a measurement of a fixed time until what `counter` counts is more than `least` in all: a slow machine does less in
/// that time. Returns the runs' results.
///
/// # Errors
///
/// If a measurement fails, or it is no more than that in ten seconds of the machine's own time.
pub fn run_until(place: &Place, args: &str, counter: &str, least: u64) -> Result<Vec<Line>> {
    let limit = place.pace().limit(Duration::from_secs(10));
    let (mut lines, mut sum) = (Vec::new(), 0);
    while sum <= least {
        ensure!(
            lines.is_empty() || !limit.is_over(),
            "{counter} is only {sum} after {}: {args}",
            limit.spent()
        );
        let line = run(place, args)?;
        sum += line.get::<u64>(counter)?;
        lines.push(line);
    }
    Ok(lines)
}

/// Starts a measurement.
pub fn spawn(place: &Place, args: &str) -> Result<Running> {
    Ok(Running(Some(place.spawn(&command(place, args))?)))
}

/// Starts so many streams of TCP from a guest and as many to it, for `time` milliseconds of its clock, or longer if
/// the machine is slow.
pub fn spawn_both_ways(guest: &Place, to: &str, streams: u32, time: u32) -> Result<Vec<Running>> {
    let time = guest.lengthened(time);
    ["", "--reverse"]
        .iter()
        .map(|direction| {
            spawn(
                guest,
                &format!("tcp {to} --streams {streams} --time {time} {direction}"),
            )
        })
        .collect()
}

fn line(text: &str) -> Result<Line> {
    text.trim()
        .parse()
        .with_context(|| format!("netload printed {text:?}"))
}

/// Starts tcpdump in dom0 and waits until it listens. It ends after `count` packets, and after two minutes in vain.
pub fn capture(dom0: &Place, device: &str, count: u64, what: &str) -> Result<Capture> {
    let job = dom0.spawn(&format!(
        // Packages are not configured in dom0, so there is no user for it to become.
        "exec timeout $((120 * PACE)) tcpdump -Z root -i {device} -nn -l -c {count} {what}"
    ))?;
    dom0.pace().sleep(Duration::from_secs(2));
    Ok(Capture(job))
}

/// A tcpdump that runs.
pub struct Capture(Job);

impl Capture {
    /// What it printed; an error if there were fewer packets than asked for.
    pub fn printed(self) -> Result<String> {
        let output = self.0.wait_for(SLACK * 5)?;
        Ok(output.ok().context("too few packets were seen")?.stdout)
    }
}

/// Checks numbers of a result.
pub fn expect(line: &Line, expected: &[(&str, u64)]) -> Result<()> {
    for (name, value) in expected {
        let found: u64 = line.get(name)?;
        ensure!(
            found == *value,
            "{name} is {found}, not {value}, in: {line}"
        );
    }
    Ok(())
}

/// TCP both ways between a guest and another machine, `kib` KiB in each stream each way, every byte checked. Returns
/// MB/s out and in.
pub fn both_ways(guest: &Place, to: &str, streams: u32, kib: u32) -> Result<(f64, f64)> {
    let mut rates = [0.0; 2];
    let bytes = u64::from(kib) << 10;
    for (rate, direction) in rates.iter_mut().zip(["", "--reverse"]) {
        let line = run(
            guest,
            &format!("tcp {to} --streams {streams} {direction} --bytes {bytes}"),
        )?;
        expect(&line, &[("total", bytes * u64::from(streams))])?;
        *rate = line.get::<f64>("rate")? / 1e6;
    }
    Ok((rates[0], rates[1]))
}

/// UDP both ways at a rate at which nothing should be lost.
pub fn datagrams(guest: &Place, to: &str, size: u32, rate: u32) -> Result<()> {
    for direction in ["", "--reverse"] {
        let args = format!("udp {to} --size {size} --rate {rate} --time 1000 {direction}");
        for line in run_until(guest, &args, "sent", u64::from(rate / 20))? {
            expect(&line, &[("lost", 0), ("repeated", 0), ("corrupt", 0)])
                .with_context(|| format!("datagrams of {size} bytes {direction}"))?;
        }
    }
    Ok(())
}
