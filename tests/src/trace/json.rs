// SPDX-License-Identifier: GPL-2.0

//! The Trace Event format ("Trace Event Format", the Chromium project; its JSON object format): processors are threads of
//! one process, what takes a while are complete events, and what has not ended begins only.

use std::borrow::Cow;
use std::io::Write;

use anyhow::Result;
use paravane::trace::TraceLayout;
use paravane::vmexit;
use serde::Serialize;
use serde_json::{Value, json};

use super::slices::{Activity, EventSent, Slice, Track};
use crate::hypercall_names;

/// An event of the format.
#[derive(Serialize)]
struct Event<'n> {
    name: Cow<'n, str>,
    #[serde(rename = "cat")]
    category: &'n str,
    /// `X` for a complete event, `B` for one that begins, `i` for one without duration, `M` for what is said of a thread.
    #[serde(rename = "ph")]
    phase: &'n str,
    /// Microseconds since the hypervisor's clock was started.
    ts: f64,
    /// Microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    pid: u32,
    tid: usize,
    /// `t`: it belongs to the thread.
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    scope: Option<&'n str>,
    #[serde(skip_serializing_if = "Value::is_null")]
    args: Value,
}

/// Writes what the processors did.
pub fn write(layout: &TraceLayout, tracks: &[Track], to: &mut impl Write) -> Result<()> {
    to.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
    let process = about(0, "process_name", "Paravane");
    serde_json::to_writer(&mut *to, &process)?;
    for (tid, track) in tracks.iter().enumerate() {
        let name = format!("processor {tid}");
        let slices = track
            .slices
            .iter()
            .map(|slice| of_slice(layout, tid, slice));
        let events = track
            .events
            .iter()
            .map(|event| of_event(layout, tid, event));
        for event in [about(tid, "thread_name", &name)]
            .into_iter()
            .chain(slices)
            .chain(events)
        {
            to.write_all(b",\n")?;
            serde_json::to_writer(&mut *to, &event)?;
        }
    }
    to.write_all(b"\n]}\n")?;
    Ok(())
}

/// Says what a thread or process is called.
fn about<'n>(tid: usize, what: &'n str, name: &str) -> Event<'n> {
    Event {
        name: what.into(),
        category: "__metadata",
        phase: "M",
        ts: 0.0,
        dur: None,
        pid: 0,
        tid,
        scope: None,
        args: json!({ "name": name }),
    }
}

fn of_slice(layout: &TraceLayout, tid: usize, slice: &Slice) -> Event<'static> {
    let (category, name, args) = match slice.activity {
        Activity::Vcpu(id) => ("vcpu", id.to_string().into(), Value::Null),
        Activity::Exit { code, info } => {
            let name = match vmexit::name(code) {
                Some(name) => name.into(),
                None => format!("exit {code:#x}").into(),
            };
            ("exit", name, json!({ "info": format!("{info:#x}") }))
        }
        Activity::Hypercall { number, end: None } => {
            let name = hypercall_names::call(number.into(), None);
            ("hypercall", name.into(), Value::Null)
        }
        Activity::Hypercall {
            end: Some(((number, command), result)),
            ..
        } => {
            let args = match result {
                Some(result) => json!({ "result": result }),
                None => json!({ "preempted": true }),
            };
            let name = hypercall_names::counted(number, command);
            ("hypercall", name.into(), args)
        }
        Activity::LockWait => ("lock", Cow::from("waits for the lock"), Value::Null),
    };
    let begin = nanoseconds(layout, slice.begin);
    let end = slice.end.map(|end| nanoseconds(layout, end));
    Event {
        name,
        category,
        phase: if end.is_some() { "X" } else { "B" },
        ts: microseconds(begin),
        dur: end.map(|end| microseconds(end.saturating_sub(begin))),
        pid: 0,
        tid,
        scope: None,
        args,
    }
}

fn of_event(layout: &TraceLayout, tid: usize, event: &EventSent) -> Event<'static> {
    let EventSent { tsc, to, port } = *event;
    Event {
        name: format!("event to {to}").into(),
        category: "event",
        phase: "i",
        ts: microseconds(nanoseconds(layout, tsc)),
        dur: None,
        pid: 0,
        tid,
        scope: Some("t"),
        args: json!({ "port": port }),
    }
}

fn nanoseconds(layout: &TraceLayout, tsc: u64) -> u64 {
    let ticks = u128::from(tsc.saturating_sub(layout.tsc_start));
    (ticks * 1_000_000_000 / u128::from(layout.tsc_hz.max(1))) as u64
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use paravane::system::vcpu::VcpuId;
    use paravane::trace::{TraceEvent, TraceRecord};

    use super::*;

    #[test]
    fn what_was_traced_is_valid_json_with_names_and_times() {
        let layout = TraceLayout {
            tsc_hz: 2_000_000_000,
            tsc_start: 1000,
            ring_bytes: 1 << 20,
            rings: vec![0, 0],
        };
        let vcpu = VcpuId { domain: 0, vcpu: 1 };
        let events = [
            TraceEvent::VcpuBegin(vcpu),
            TraceEvent::ExitBegin {
                code: 0x81,
                info: 0,
            },
            TraceEvent::HypercallBegin { number: 36 },
            TraceEvent::EventSent { to: vcpu, port: 3 },
            TraceEvent::HypercallEnd {
                key: (36, 2),
                result: None,
            },
            TraceEvent::ExitEnd,
            TraceEvent::ExitBegin {
                code: 0x3ff,
                info: 5,
            },
        ];
        let times = (3000..).step_by(1001);
        let records = events.into_iter().zip(times);
        let records: Vec<_> = records
            .map(|(event, tsc)| TraceRecord { tsc, event })
            .collect();
        let mut text = Vec::new();
        write(&layout, &[Track::of(&records), Track::default()], &mut text).unwrap();
        let value: Value = serde_json::from_slice(&text).unwrap();
        let events = value["traceEvents"].as_array().unwrap();
        let row = |event: &Value| {
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            format!(
                "{} {} {} {} {}",
                text("ph"),
                text("name"),
                event["ts"],
                event["dur"],
                event["args"]
            )
        };
        let rows: Vec<_> = events.iter().map(row).collect();
        let expected = [
            r#"M process_name 0.0 null {"name":"Paravane"}"#,
            r#"M thread_name 0.0 null {"name":"processor 0"}"#,
            r#"X domctl.destroydomain 2.001 1.001 {"preempted":true}"#,
            r#"X VMMCALL 1.5 2.002 {"info":"0x0"}"#,
            "B d0v1 1.0 null null",
            r#"B exit 0x3ff 4.003 null {"info":"0x5"}"#,
            r#"i event to d0v1 2.501 null {"port":3}"#,
            r#"M thread_name 0.0 null {"name":"processor 1"}"#,
        ];
        assert_eq!(rows, expected);
    }
}
