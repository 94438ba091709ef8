// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's trace: what ran where, exits, hypercalls, events.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::context::Ctx;
use crate::guest::Guest;
use crate::machine::TRACE;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypervisor.trace_tells_what_ran_where",
    tells_what_ran_where,
)
.on(TRACED)];

/// What `xl pause`, `unpause` and `list` make, and dom0 at any time.
const HYPERCALLS: [&str; 4] = [
    "domctl.pausedomain",
    "domctl.unpausedomain",
    "sysctl.getdomaininfolist",
    "event_channel_op.send",
];

/// The machine with rings that are smaller than those of `boot --trace`, of 131,072 records.
const TRACED: Topology = Topology {
    xen_args: "tbuf_size=1024",
    ..Topology::PARAVANE
};

/// Microseconds by which numbers may differ that were rounded.
const ROUNDING: f64 = 0.003;

/// What a trace's file has.
#[derive(Deserialize)]
struct TraceFile {
    #[serde(rename = "traceEvents")]
    events: Vec<TraceEvent>,
}

/// An event of it, as far as it is looked at.
#[derive(Deserialize)]
struct TraceEvent {
    name: String,
    #[serde(rename = "ph")]
    phase: String,
    ts: f64,
    dur: Option<f64>,
    pid: u32,
    tid: usize,
}

/// An event that takes a while: from when, until when, its name.
struct Span {
    begin: f64,
    end: f64,
    name: String,
}

fn tells_what_ran_where(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let guest = ctx.host.create(Guest::pvh("g1").memory(256))?;
    dom0.sh("xl pause g1 && xl unpause g1 && xl list >/dev/null")?;
    let id = dom0.sh("xl domid g1")?;
    guest.sh("true")?;
    let summary = ctx.host.record_trace()?;
    let summary = summary.context("the machine keeps no trace")?;
    guest.destroy()?;
    ctx.note(summary.to_string());
    let path = ctx.host.dir().join(TRACE);
    let text = fs::read(&path)?;
    ctx.note(format!("{} KiB of JSON", text.len() >> 10));
    let trace: TraceFile =
        serde_json::from_slice(&text).context("the trace is not as it should be")?;

    // What is open when the oldest record was overwritten: a vCPU, an exit, a hypercall, a wait. A processor that stands
    // still writes one record at most.
    let processors = ctx.host.topology().cpus as usize;
    ensure!(summary.processors == processors, "{summary:?}");
    ensure!(
        summary.unmatched <= 4 * (summary.wrapped + summary.torn),
        "{summary:?}"
    );
    ensure!(summary.torn <= processors, "{summary:?}");

    let mut of_processors: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
    let (mut names, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for event in trace.events {
        let TraceEvent {
            name, ts: begin, ..
        } = event;
        let spans = of_processors.entry(event.tid).or_default();
        let end = match &*event.phase {
            "X" => begin + event.dur.context("an event has no end")?,
            "B" => f64::INFINITY,
            "i" => {
                sent.insert(name);
                continue;
            }
            "M" => continue,
            phase => bail!("{name} has the phase {phase}"),
        };
        ensure!(
            event.pid == 0 && begin >= 0.0 && end >= begin,
            "{name} begins at {begin} and ends at {end}"
        );
        names.insert(name.clone());
        spans.push(Span { begin, end, name });
    }
    ensure!(of_processors.len() == processors, "{names:?}");
    let vcpus = ["d0v0".into(), "d0v1".into(), format!("d{id}v0")];
    for name in HYPERCALLS
        .map(str::to_owned)
        .iter()
        .chain(&vcpus)
        .chain(&["VMMCALL".into(), "HLT".into()])
    {
        ensure!(names.contains(name), "there is no {name} in {names:?}");
    }
    for vcpu in &vcpus {
        let name = format!("event to {vcpu}");
        ensure!(sent.contains(&name), "there is no {name} in {sent:?}");
    }
    for spans in of_processors.values_mut() {
        nest(spans)?;
    }
    for vcpu in &vcpus {
        runs_on_one_at_a_time(vcpu, of_processors.values().flatten())?;
    }
    Ok(())
}

/// What begins within something ends within it.
fn nest(spans: &mut [Span]) -> Result<()> {
    let order = |one: &Span, other: &Span| {
        let begins = one.begin.total_cmp(&other.begin);
        begins.then(other.end.total_cmp(&one.end))
    };
    spans.sort_by(order);
    let mut open: Vec<&Span> = Vec::new();
    for span in &*spans {
        while open
            .last()
            .is_some_and(|outer| outer.end <= span.begin + ROUNDING)
        {
            open.pop();
        }
        if let Some(outer) = open.last() {
            ensure!(
                span.end <= outer.end + ROUNDING,
                "{} from {} to {} ends after {}, which ends at {}",
                span.name,
                span.begin,
                span.end,
                outer.name,
                outer.end
            );
        }
        open.push(span);
    }
    Ok(())
}

/// No two processors run a vCPU at the same time.
fn runs_on_one_at_a_time<'s>(vcpu: &str, spans: impl Iterator<Item = &'s Span>) -> Result<()> {
    let mut runs: Vec<_> = spans.filter(|span| span.name == vcpu).collect();
    runs.sort_by(|one, other| one.begin.total_cmp(&other.begin));
    for pair in runs.windows(2) {
        ensure!(
            pair[0].end <= pair[1].begin + ROUNDING,
            "{vcpu} runs from {} to {} and from {} on",
            pair[0].begin,
            pair[0].end,
            pair[1].begin
        );
    }
    Ok(())
}
