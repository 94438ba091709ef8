// SPDX-License-Identifier: GPL-2.0

//! Debian's toolstack in dom0 on our own hypervisor.

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("hypervisor.toolstack_answers", toolstack_answers)
        .on(Topology::PARAVANE)
        .core(),
    Scenario::new(
        "hypervisor.toolstack_answers_on_our_device_files",
        toolstack_answers,
    )
    .on(Topology::PARAVANE.with_our_device_files())
    .full(),
];

fn toolstack_answers(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let topology = *ctx.host.topology();
    // A name and what follows it, one of `xl info`'s lines.
    let info = dom0.sh("xl info")?;
    let says = |name: &str| {
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        let mut of_name = lines.filter(|(key, _)| key.trim() == name);
        let value = of_name.next().map(|(_, value)| value.trim().to_owned());
        value.with_context(|| format!("`xl info` says no {name}"))
    };
    ensure!(says("nr_cpus")? == topology.cpus.to_string(), "{info}");
    ensure!(says("xen_version")?.ends_with("paravane"), "{info}");
    ensure!(says("virt_caps")?.contains("hvm"), "{info}");
    let build = says("build_id")?;
    // SHA-1 in hexadecimal.
    ensure!(
        build.len() == 40 && build.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{info}"
    );
    let (total, free): (u32, u32) = (
        says("total_memory")?.parse()?,
        says("free_memory")?.parse()?,
    );
    ensure!(
        total <= topology.memory && total + 64 > topology.memory,
        "{total} MiB in a machine of {}",
        topology.memory
    );
    ensure!(
        free < total - topology.dom0_memory && free + 64 > total - topology.dom0_memory,
        "{free} MiB are free of {total}, of which dom0 has {}",
        topology.dom0_memory
    );

    let list = dom0.sh("xl list | awk 'NR > 1 { print $1, $2, $3, $4, $5 }'")?;
    let memory: u32 = list
        .split(' ')
        .nth(2)
        .context("no memory in the list")?
        .parse()?;
    let (mib, vcpus) = (topology.dom0_memory, topology.dom0_vcpus);
    ensure!(
        list == format!("Domain-0 0 {memory} {vcpus} r-----") && memory.abs_diff(mib) < 8,
        "xl list says {list}"
    );
    let vcpus = dom0.sh("xl vcpu-list 0 | awk 'NR > 1 { print $1, $2, $3 }'")?;
    ensure!(
        vcpus.lines().count() == topology.dom0_vcpus as usize && vcpus.starts_with("Domain-0 0 0"),
        "xl vcpu-list says {vcpus}"
    );
    // Time runs for each of them.
    let spent = "xl vcpu-list 0 | awk 'NR > 1 { sum += $6 } END { print sum }'";
    let before: f32 = dom0.sh(spent)?.parse()?;
    dom0.sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")?;
    let after: f32 = dom0.sh(spent)?.parse()?;
    ensure!(after > before, "{before} s were spent, then {after} s");

    // The hypervisor's own first words, and what dom0 writes to its console.
    let said = dom0.sh("xl dmesg")?;
    ensure!(
        said.contains("(PVN) Paravane ") && said.contains("vCPUs"),
        "{said}"
    );
    dom0.sh("echo '<4>paravane: heard' > /dev/kmsg; n=0; until xl dmesg | grep -q 'paravane: heard' || [ $n -gt $((50 * PACE)) ]; do sleep 0.1; n=$((n+1)); done; [ $n -le $((50 * PACE)) ]")?;

    // xenstored and its clients have event channels and a page in common through our device files.
    dom0.sh("/usr/lib/xen-4*/bin/test-xenstore")?;
    ensure!(dom0.sh("xenstore-read domid")? == "0");
    ctx.note(format!(
        "xl {} by {free} of {total} MiB free",
        says("xen_version")?
    ));
    Ok(())
}
