// SPDX-License-Identifier: GPL-2.0

//! The document's part about hypercalls.

use std::fmt::Write as _;

use super::calls::{Calls, Count, Pair, pairs};

/// Markdown, without a heading.
pub fn section(xen: &Calls, ours: &Calls) -> String {
    let pairs = pairs(xen, ours);
    let different: Vec<_> = pairs.iter().filter(|pair| pair.differs()).collect();
    let mut text = format!(
        "From the kernel's first instruction to the toolstack's first answer, in a boot of each of its own, which a \
         debugger stops at each VMMCALL and at its return (a multicall's parts are listed, too, but not their answers): {} calls on Xen, {} on Paravane, of {} kinds. How often a \
         kind is made hangs on time: timers, idleness, output. {} kinds differ, which is: are made on one only, or are \
         refused on one only. docs/design/hypervisor-logic.md says why.\n\n",
        xen.total(),
        ours.total(),
        pairs.len(),
        different.len(),
    );
    table(&mut text, &different);
    text += "\nAll of them:\n\n";
    table(&mut text, &pairs.iter().collect::<Vec<_>>());
    text
}

fn table(text: &mut String, pairs: &[&Pair]) {
    *text += "| hypercall | made by | Xen | Paravane |\n|---|---|--:|--:|\n";
    for Pair { call, counts } in pairs {
        let by = if call.program { "toolstack" } else { "kernel" };
        let [xen, ours] = counts
            .each_ref()
            .map(|count| count.as_ref().map_or_else(String::new, Count::to_string));
        let _ = writeln!(text, "| `{call}` | {by} | {xen} | {ours} |");
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::Hypercall;
    use super::*;

    #[test]
    fn what_differs_stands_before_all() {
        let (mut xen, mut ours) = (Calls::default(), Calls::default());
        let call = |number, command, program| Hypercall {
            number,
            command,
            program,
        };
        for calls in [&mut xen, &mut ours] {
            calls.made(call(17, Some(0), false), 0x1000);
            calls.returned(0x1000, 0x4_0014);
            calls.made(call(35, Some(3), true), 0x1000);
        }
        xen.returned(0x1000, 0);
        ours.returned(0x1000, 38u64.wrapping_neg());
        let text = section(&xen, &ours);
        let rows: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(
            rows,
            [
                "| `sysctl.physinfo` | toolstack | 1 | 1, 1 × ENOSYS |",
                "| `xen_version.version` | kernel | 1 | 1 |",
                "| `sysctl.physinfo` | toolstack | 1 | 1, 1 × ENOSYS |",
            ]
        );
    }
}
