// SPDX-License-Identifier: GPL-2.0

//! What a scenario is: a test, written once, and on what it runs. What a test works with is in [`crate::context`].

use anyhow::Result;

use crate::context::{Ctx, Machines};
use crate::fresh::Fresh;
use crate::matrix::{Cell, Kernels, Tier};
use crate::topology::Topology;

/// How the name of a variant ends that is on our hypervisor and was written for Xen.
const ON_PARAVANE: &str = "_on_paravane";

/// A test and on what it runs.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// `group.behaviour`, with the marks that [`Cell::name`] fills in.
    name: &'static str,
    run: Run,
    /// The machine, where a cell does not name another.
    topology: Topology,
    /// When it runs, where a cell does not say otherwise.
    tier: Tier,
    /// Empty for a scenario with one variant.
    cells: &'static [Cell],
    boots: bool,
    kernels: Kernels,
    by_default: bool,
    crosswise: bool,
}

/// A test, by what it needs.
#[derive(Clone, Copy)]
pub enum Run {
    /// On a machine that it shares with others and leaves as it was.
    Booted(fn(&mut Ctx<'_>) -> Result<()>),
    /// On machines that it starts itself, one at a time, and may end in any way.
    Alone(fn(&mut Machines<'_>) -> Result<()>),
    /// Without a virtual machine: it runs commands on this one, as [`crate::fresh`] has them.
    OnHost(fn(&mut Fresh<'_>) -> Result<()>),
}

impl Scenario {
    /// A scenario on Xen with a PV dom0 that is part of the default run.
    pub const fn new(name: &'static str, run: fn(&mut Ctx<'_>) -> Result<()>) -> Self {
        Self::of(name, Topology::PV, Run::Booted(run))
    }

    /// A scenario that starts machines like `topology` itself.
    pub const fn alone(
        name: &'static str,
        topology: Topology,
        run: fn(&mut Machines<'_>) -> Result<()>,
    ) -> Self {
        Self::of(name, topology, Run::Alone(run))
    }

    /// A scenario that needs no virtual machine, nor the images of one.
    pub const fn on_host(name: &'static str, run: fn(&mut Fresh<'_>) -> Result<()>) -> Self {
        Self::of(name, Topology::PV, Run::OnHost(run))
    }

    const fn of(name: &'static str, topology: Topology, run: Run) -> Self {
        Self {
            name,
            run,
            topology,
            tier: Tier::Default,
            cells: &[],
            boots: false,
            kernels: Kernels::Any,
            by_default: false,
            crosswise: false,
        }
    }

    /// Sets the machine.
    #[must_use]
    pub const fn on(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// Runs it on each of these.
    #[must_use]
    pub const fn on_each(mut self, cells: &'static [Cell]) -> Self {
        self.cells = cells;
        self
    }

    /// Says that it is about the machine's boot.
    #[must_use]
    pub const fn boots(mut self) -> Self {
        self.boots = true;
        self
    }

    /// Says that it is for kernels that have to be built: it runs with `--full` or if it or its group is named, unless
    /// it is [for the default run](Self::by_default).
    #[must_use]
    pub const fn only_on(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels;
        self
    }

    /// Gives it a place in the default run, on the first of the kernels that it is for.
    #[must_use]
    pub const fn by_default(mut self) -> Self {
        self.by_default = true;
        self
    }

    /// Makes it part of the core.
    #[must_use]
    pub const fn core(mut self) -> Self {
        self.tier = Tier::Core;
        self
    }

    /// Leaves it to `--full`.
    #[must_use]
    pub const fn full(mut self) -> Self {
        self.tier = Tier::Full;
        self
    }

    /// Has `--full` run it on our hypervisor too, with each cell that has no guests of another kind than PVH: the same drivers,
    /// back ends and toolstack. For a scenario that makes PVH guests where its cells name none.
    #[must_use]
    pub const fn crosswise(mut self) -> Self {
        self.crosswise = true;
        self
    }

    /// It on each cell of its matrix, in their order, and then on our hypervisor if it runs [there too](Self::crosswise).
    pub fn variants(&self) -> Vec<Variant> {
        let only = [Cell::default()];
        let cells = match self.cells {
            [] => &only,
            cells => cells,
        };
        let mut variants: Vec<_> = cells.iter().map(|cell| self.variant(cell)).collect();
        if self.crosswise {
            for cell in cells
                .iter()
                .filter_map(|cell| cell.on_paravane(self.topology))
            {
                let mut variant = self.variant(&cell);
                variant.name.push_str(ON_PARAVANE);
                // Two kinds of dom0 are one there.
                if variants.iter().all(|other| other.name != variant.name) {
                    variants.push(variant);
                }
            }
        }
        variants
    }

    fn variant(&self, cell: &Cell) -> Variant {
        let topology = cell.topology.unwrap_or(self.topology);
        Variant {
            name: cell.name(self.name, &topology),
            topology,
            cell: *cell,
            tier: cell.tier.unwrap_or(self.tier),
            boots: self.boots,
            kernels: self.kernels,
            by_default: self.by_default,
            run: self.run,
        }
    }
}

/// A scenario on one cell of its matrix.
#[derive(Clone)]
pub struct Variant {
    /// Its name: `group.behaviour`, with what it runs on.
    pub name: String,
    /// The machine it needs; means nothing for one [on the host](Run::OnHost).
    pub topology: Topology,
    /// What it runs on.
    pub cell: Cell,
    /// When it runs without being named.
    pub tier: Tier,
    /// Whether its machine has to have booted, for that is what it is about: a [snapshot](crate::snapshot) will not do.
    pub boots: bool,
    /// The kernels it is for.
    pub kernels: Kernels,
    /// Whether the default run has it too if it is for certain kernels, on the first of them.
    pub by_default: bool,
    /// What it does.
    pub run: Run,
}

impl Variant {
    /// Whether it starts machines itself.
    pub fn is_alone(&self) -> bool {
        matches!(self.run, Run::Alone(_))
    }

    /// Whether it needs no virtual machine.
    pub fn is_on_host(&self) -> bool {
        matches!(self.run, Run::OnHost(_))
    }

    /// Whether it runs whatever time is left.
    pub fn is_core(&self) -> bool {
        self.tier == Tier::Core
    }

    /// Whether it is left to `--full`.
    pub fn is_full_only(&self) -> bool {
        self.tier == Tier::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_what_differs_from_the_scenario() {
        const CELLS: &[Cell] = &[Cell::on(Topology::PVH).core(), Cell::PV];
        let scenario = Scenario::new("a.b_{dom0}_{guest}", |_| Ok(())).full();
        assert_eq!(scenario.variants()[0].name, "a.b_pv_");
        let variants = scenario.on_each(CELLS).variants();
        let names: Vec<_> = variants.iter().map(|variant| &variant.name).collect();
        assert_eq!(names, ["a.b_pvh_", "a.b_pv_pv"]);
        assert!(variants[0].is_core() && variants[1].is_full_only());
        assert_eq!(variants[0].topology, Topology::PVH);
        assert_eq!(variants[1].topology, Topology::PV);
    }

    #[test]
    fn what_has_pvh_guests_only_runs_on_our_hypervisor_too() {
        const GUESTS: &[Cell] = &[Cell::PVH.core(), Cell::PV];
        const DOM0S: &[Cell] = &[Cell::on(Topology::PV), Cell::on(Topology::PVH)];
        let names = |scenario: Scenario| -> Vec<String> {
            let variants = scenario.crosswise().variants();
            variants.into_iter().map(|variant| variant.name).collect()
        };
        let guests = Scenario::new("a.b_{guest}", |_| Ok(())).on_each(GUESTS);
        assert_eq!(names(guests), ["a.b_pvh", "a.b_pv", "a.b_pvh_on_paravane"]);
        let dom0s = Scenario::new("a.b_{dom0}", |_| Ok(())).on_each(DOM0S);
        assert_eq!(names(dom0s), ["a.b_pv", "a.b_pvh", "a.b_pvh_on_paravane"]);
        let alone = Scenario::new("a.b", |_| Ok(()));
        assert_eq!(names(alone), ["a.b", "a.b_on_paravane"]);
        let there = Scenario::new("a.b", |_| Ok(())).on(Topology::PARAVANE);
        assert_eq!(names(there), ["a.b"]);
        let variants = guests.crosswise().variants();
        assert!(variants[0].is_core() && variants[2].is_full_only());
        assert_eq!(variants[2].topology, Topology::PV.on_paravane());
    }
}
