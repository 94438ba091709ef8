// SPDX-License-Identifier: GPL-2.0

//! What dom0 sees of its hypervisor: what the kernel chose by is the same, or the document shows the difference.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::remote::Place;

/// A script that prints facts, a line each: name, tabulator, value. Numbers that differ from boot to boot are not among
/// them.
const ASK: &str = r#"
fact() { printf '%s\t%s\n' "$1" "$(cat "$2" 2>/dev/null)"; }
fact 'guest type' /sys/hypervisor/guest_type
fact 'features' /sys/hypervisor/properties/features
fact 'start flags' /sys/hypervisor/start_flags
fact 'ABI version, major' /sys/hypervisor/version/major
fact 'ABI version, minor' /sys/hypervisor/version/minor
fact 'capabilities' /sys/hypervisor/properties/capabilities
fact 'page size' /sys/hypervisor/properties/pagesize
fact 'clock' /sys/devices/system/clocksource/clocksource0/current_clocksource
fact 'clocks to choose from' /sys/devices/system/clocksource/clocksource0/available_clocksource
printf 'processors\t%s\n' "$(nproc)"
printf 'ACPI tables\t%s\n' "$(find /sys/firmware/acpi/tables -maxdepth 1 -type f -printf '%f\n' | sort | tr '\n' ' ')"
for entry in /sys/firmware/memmap/*; do
    printf 'memory from %s\tto %s, %s\n' "$(cat $entry/start)" "$(cat $entry/end)" "$(cat $entry/type)"
done
/payload/bin/test-cpuid | while read -r leaf registers; do
    printf 'CPUID %s\t%s\n' "$leaf" "$registers"
done
"#;

/// What dom0 sees, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// Asks dom0.
    pub fn read(dom0: &Place) -> Result<Self> {
        let facts: Self = dom0.sh(ASK)?.parse()?;
        ensure!(
            facts
                .0
                .keys()
                .any(|name| name.starts_with("CPUID 40000000")),
            "dom0 sees no hypervisor"
        );
        Ok(facts)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Names and both values of what is not the same, nothing for what is not there.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, &'a str, &'a str)> {
        let names: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| {
                let value = |facts: &'a Self| facts.0.get(name).map_or("", String::as_str);
                let (one, two) = (value(self), value(other));
                (one != two).then_some((name.as_str(), one, two))
            })
            .collect()
    }
}

impl std::str::FromStr for Facts {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        text.lines()
            .map(|line| {
                let (name, value) = line
                    .split_once('\t')
                    .with_context(|| format!("{line:?} is no fact"))?;
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect::<Result<_>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let xen: Facts = "page size\t4096\nclock\txen\nfeatures\t0001\n"
            .parse()
            .unwrap();
        let ours: Facts = "page size\t4096\nclock\ttsc\nstart flags\t3\n"
            .parse()
            .unwrap();
        assert_eq!(
            xen.differences(&ours),
            [
                ("clock", "xen", "tsc"),
                ("features", "0001", ""),
                ("start flags", "", "3")
            ]
        );
        assert!(xen.differences(&xen).is_empty());
        assert!("no fact\n".parse::<Facts>().is_err());
    }
}
