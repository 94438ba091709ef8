// SPDX-License-Identifier: GPL-2.0

//! What a scenario is: a test, written once, and on what it runs. What a test works with is in [`crate::context`].

use anyhow::Result;

use crate::context::{Ctx, Machines};
use crate::fresh::Fresh;
use crate::matrix::{Cell, Kernels, Tier};
use crate::topology::Topology;

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

    /// It on each cell of its matrix, in their order.
    pub fn variants(&self) -> Vec<Variant> {
        let only = [Cell::default()];
        let cells = match self.cells {
            [] => &only,
            cells => cells,
        };
        cells.iter().map(|cell| self.variant(cell)).collect()
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
}
