// SPDX-License-Identifier: GPL-2.0

//! dom0's clock runs with the host's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::matrix::Cell;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// How often the clock is read for one comparison.
const READINGS: u32 = 12;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypervisor.dom0s_clock_is_the_hosts{on_xen}",
    clock_is_the_hosts,
)
.on_each(&Cell::on_both_hypervisors(Topology::PARAVANE_REAL))];

/// How far dom0's clock is ahead of the host's: at least and at most so many seconds.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    least: f64,
    most: f64,
}

impl Ahead {
    /// The clock was read somewhere between the question and the answer.
    fn read(dom0: &Place) -> Result<Self> {
        let asked = host_time()?;
        let text = dom0.sh("date +%s.%N")?;
        let answered = host_time()?;
        let time: f64 = text.parse().with_context(|| format!("{text} is no time"))?;
        Ok(Self {
            least: time - answered,
            most: time - asked,
        })
    }

    /// What some readings agree on: they take so little time that the clocks hardly part meanwhile.
    fn best(dom0: &Place) -> Result<Self> {
        let mut best = Self::read(dom0)?;
        for _ in 1..READINGS {
            let next = Self::read(dom0)?;
            best = Self {
                least: best.least.max(next.least),
                most: best.most.min(next.most),
            };
        }
        ensure!(
            best.least <= best.most,
            "readings contradict each other: {best:?}"
        );
        Ok(best)
    }
}

fn host_time() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

/// It drifts by less than 0.1 %. An answer takes up to 70 ms, so that this can be told after two minutes; in the short round it is
/// what can be told after some seconds. Where an answer takes longer, so does the round.
fn clock_is_the_hosts(ctx: &mut Ctx<'_>) -> Result<()> {
    let (seconds, limit) = if ctx.full { (120, 0.001) } else { (5, 0.02) };
    let dom0 = ctx.host.dom0();
    let before = Ahead::best(dom0)?;
    // Both comparisons together may take half of what is allowed.
    let seconds = seconds.max(((before.most - before.least) * 4.0 / limit).ceil() as u64);
    std::thread::sleep(Duration::from_secs(seconds));
    let after = Ahead::best(dom0)?;
    let span = seconds as f64;
    let least = (after.least - before.most) / span;
    let most = (after.most - before.least) / span;
    let (low, high) = (least * 100.0, most * 100.0);
    let found = format!("dom0's clock gains between {low:.3} % and {high:.3} % in {seconds} s");
    ensure!(-limit < least && most < limit, "{found}");
    ctx.note(found);
    Ok(())
}
