// SPDX-License-Identifier: GPL-2.0

//! On what a scenario runs: the cells of its matrix, and the names of its variants.
//!
//! Kernels are no part of a cell: for each, machines boot anew, so that all scenarios run on one kernel and then on the next.

use crate::fresh::{System, User};
use crate::guest::Mode;
use crate::overlay;
use crate::topology::{Hypervisor, Topology};

/// When a variant runs without being named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// Whatever time is left.
    Core,
    /// In the default run, if there is time for it.
    #[default]
    Default,
    /// With `--full` only: it takes long, or tells little besides what another variant does.
    Full,
}

/// On which kernels a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// On whichever is under test.
    Any,
    /// On those of these profiles, which have to be built.
    Profiles(&'static [&'static str]),
    /// On that of the overlay and all that are made from its profile.
    Overlays,
}

impl Kernels {
    /// On the overlay with our objects and the one with every object in C: a scenario that is to pass on either.
    pub const OURS_AND_C: Self = Self::Profiles(&[overlay::OURS, overlay::IN_C]);

    /// Whether a kernel profile is one of these; `None` is the default one.
    pub fn has(self, profile: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Profiles(names) => profile.is_some_and(|profile| names.contains(&profile)),
            Self::Overlays => profile.is_some_and(overlay::is_overlay),
        }
    }

    /// The one of them for the default run.
    pub fn first(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Profiles(names) => names.first().copied(),
            Self::Overlays => Some(overlay::OURS),
        }
    }
}

/// One combination of what a scenario can run on. What it leaves open is as the scenario says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cell {
    /// The machine: hypervisor, kind of dom0, devices.
    pub topology: Option<Topology>,
    /// The kind of guest, for a scenario that makes guests of the kind it is asked for.
    pub guest: Option<Mode>,
    /// How many vCPUs its guests have, for a scenario that varies that.
    pub vcpus: Option<u32>,
    /// The system and the user, for a scenario about fresh machines.
    pub fresh: Option<(System, User)>,
    /// When it runs.
    pub tier: Option<Tier>,
}

impl Cell {
    const NEW: Self = Self {
        topology: None,
        guest: None,
        vcpus: None,
        fresh: None,
        tier: None,
    };

    /// PV guests.
    pub const PV: Self = Self::of_guest(Mode::Pv);

    /// PVH guests.
    pub const PVH: Self = Self::of_guest(Mode::Pvh);

    /// HVM guests.
    pub const HVM: Self = Self::of_guest(Mode::Hvm);

    const fn of_guest(mode: Mode) -> Self {
        Self {
            guest: Some(mode),
            ..Self::NEW
        }
    }

    /// Machines like this.
    pub const fn on(topology: Topology) -> Self {
        Self {
            topology: Some(topology),
            ..Self::NEW
        }
    }

    /// A machine, and then the same one with Xen in the place of our hypervisor. What both show to dom0 alike runs on both: a
    /// test that fails on Xen is wrong.
    pub const fn on_both_hypervisors(topology: Topology) -> [Self; 2] {
        [Self::on(topology), Self::on(topology.on_xen()).full()]
    }

    /// A fresh machine and who uses it.
    pub const fn fresh(system: System, user: User) -> Self {
        Self {
            fresh: Some((system, user)),
            ..Self::NEW
        }
    }

    /// Sets the number of the guests' vCPUs.
    #[must_use]
    pub const fn vcpus(mut self, count: u32) -> Self {
        self.vcpus = Some(count);
        self
    }

    /// Makes it part of the core.
    #[must_use]
    pub const fn core(mut self) -> Self {
        self.tier = Some(Tier::Core);
        self
    }

    /// Leaves it to `--full`.
    #[must_use]
    pub const fn full(mut self) -> Self {
        self.tier = Some(Tier::Full);
        self
    }

    /// The same on our hypervisor, with `--full` only, for a scenario whose machine is `topology`; none if it is there already, or
    /// wants guests of another kind than PVH.
    pub fn on_paravane(&self, topology: Topology) -> Option<Self> {
        let topology = self.topology.unwrap_or(topology);
        let is_pvh = self.guest.is_none_or(|mode| mode == Mode::Pvh);
        (is_pvh && topology.hypervisor == Hypervisor::Xen).then_some(Self {
            topology: Some(topology.on_paravane()),
            tier: Some(Tier::Full),
            ..*self
        })
    }

    /// A scenario's name on this cell, whose machine is `topology`. In the scenario's name stand
    /// - `{guest}` for the kind of guest: `pv`, `pvh`, `hvm`;
    /// - `{vcpus}` for their vCPUs: `1_vcpu`, `4_vcpus`;
    /// - `{dom0}` for the kind of dom0: `pv`, `pvh`;
    /// - `{on_xen}` for the hypervisor: nothing if it is ours, `_on_xen` otherwise;
    /// - `{system}` and `{user}` for a fresh machine: `debian_13`; `root`, `user`.
    pub fn name(&self, name: &str, topology: &Topology) -> String {
        let guest = self.guest.map_or("", Mode::name);
        let vcpus = match self.vcpus {
            None => String::new(),
            Some(1) => "1_vcpu".into(),
            Some(count) => format!("{count}_vcpus"),
        };
        let on_xen = match topology.hypervisor {
            Hypervisor::Xen => "_on_xen",
            Hypervisor::Paravane => "",
        };
        let (system, user) = self
            .fresh
            .map_or(("", ""), |(system, user)| (system.name(), user.name()));
        name.replace("{guest}", guest)
            .replace("{vcpus}", &vcpus)
            .replace("{dom0}", &topology.dom0.name().to_lowercase())
            .replace("{on_xen}", on_xen)
            .replace("{system}", system)
            .replace("{user}", user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_by_their_profiles() {
        let has = |kernels: Kernels| {
            let profiles = [
                None,
                Some("overlay"),
                Some("overlay-c"),
                Some("overlay-no-pci"),
            ];
            profiles.map(|profile| kernels.has(profile))
        };
        assert_eq!(has(Kernels::Any), [true; 4]);
        assert_eq!(has(Kernels::OURS_AND_C), [false, true, true, false]);
        assert_eq!(has(Kernels::Overlays), [false, true, true, true]);
        let firsts = [Kernels::Any, Kernels::OURS_AND_C, Kernels::Overlays].map(Kernels::first);
        assert_eq!(firsts, [None, Some("overlay"), Some("overlay")]);
    }

    #[test]
    fn names_say_what_a_variant_runs_on() {
        let pv = Topology::PV;
        let name = |cell: Cell, name, topology| cell.name(name, topology);
        assert_eq!(
            name(Cell::PV.vcpus(1), "a.b_{guest}_{vcpus}", &pv),
            "a.b_pv_1_vcpu"
        );
        assert_eq!(
            name(Cell::PVH.vcpus(4), "a.b_{guest}_{vcpus}", &pv),
            "a.b_pvh_4_vcpus"
        );
        assert_eq!(name(Cell::NEW, "a.{dom0}_b", &Topology::PVH), "a.pvh_b");
        let fresh = Cell::fresh(System::Debian13, User::Ordinary);
        assert_eq!(
            name(fresh, "a.on_{system}_as_{user}", &pv),
            "a.on_debian_13_as_user"
        );
        let both = Cell::on_both_hypervisors(Topology::PARAVANE);
        let names = both.map(|cell| cell.name("a.b{on_xen}", &cell.topology.unwrap_or(pv)));
        assert_eq!(names, ["a.b", "a.b_on_xen"]);
    }
}
