// SPDX-License-Identifier: GPL-2.0

//! Which scenarios the command line means, and on which kernels.

use kbuild::config::Config;
use vmtest::matrix::Kernels;
use vmtest::selection::Selection;
use vmtest::{Driver, Variant};

use crate::cli::{self, Test};

/// Which scenarios the command line means.
pub fn selection(args: &Test) -> Selection {
    Selection {
        filters: args.filter.clone(),
        full: args.full,
        snapshots: !args.no_snapshots,
        driver: match args.driver {
            cli::Driver::Rust => Driver::Rust,
            cli::Driver::C => Driver::C,
        },
    }
}

/// The scenarios of one kernel, or those that need no kernel.
pub struct Batch {
    /// Whether they need neither a kernel nor a machine.
    pub on_host: bool,
    /// The kernel profile, if one is named.
    pub profile: Option<String>,
    /// In front of their names, unless it is the default kernel.
    pub prefix: String,
    /// Its scenarios, in the order in which they run.
    pub groups: Vec<Group>,
}

/// Scenarios that share a machine, or that boot their machines themselves.
pub struct Group {
    /// What they run on.
    pub name: String,
    /// In the order in which they run.
    pub scenarios: Vec<Variant>,
}

impl Batch {
    /// How many tests it is at the outermost level: making what it needs, and its groups.
    pub fn planned(&self) -> usize {
        usize::from(!self.on_host) + self.groups.len()
    }

    /// Its scenarios.
    pub fn scenarios(&self) -> impl Iterator<Item = &Variant> {
        self.groups.iter().flat_map(|group| &group.scenarios)
    }

    /// A scenario's whole name.
    pub fn name(&self, scenario: &Variant) -> String {
        format!("{}{}", self.prefix, scenario.name)
    }

    /// The kernel, if it is not the default one.
    pub fn kernel(&self) -> Option<&str> {
        self.prefix.strip_suffix('.')
    }

    /// Whether one of them is like this.
    pub fn needs(&self, wanted: impl Fn(&Variant) -> bool) -> bool {
        self.scenarios().any(wanted)
    }
}

/// First those that need no machine. Then the kernels to run on: the one named; otherwise the default one, those that some of
/// the scenarios are for, and with `--full` all, but not those that differ from another only in having more C.
pub fn batches(config: &Config, args: &Test) -> Vec<Batch> {
    let picked = selection(args).pick(&vmtest::scenarios::all());
    let (on_host, picked): (Vec<_>, Vec<_>) = picked.into_iter().partition(Variant::is_on_host);
    let on_host = Batch {
        on_host: true,
        profile: None,
        prefix: String::new(),
        groups: vec![Group {
            name: "this machine".into(),
            scenarios: on_host,
        }],
    };
    let profiles = match &args.versions.kernel {
        Some(name) => vec![Some(config.current_name(name))],
        None => {
            let mut others: Vec<_> = config.profiles.keys().collect();
            others.retain(|name| **name != config.default);
            let others = others.into_iter().map(|name| Some(name.clone()));
            std::iter::once(None).chain(others).collect()
        }
    };
    let batches = profiles.into_iter().map(|profile| {
        let mut scenarios = picked.clone();
        scenarios.retain(|scenario| is_for(config, args, profile.as_deref(), scenario));
        let prefix = match &profile {
            Some(name) if *name != config.default => format!("{name}."),
            _ => String::new(),
        };
        let groups = groups(&prefix, scenarios);
        Batch {
            on_host: false,
            profile,
            prefix,
            groups,
        }
    });
    std::iter::once(on_host)
        .chain(batches)
        .filter(|batch| batch.scenarios().next().is_some())
        .collect()
}

/// Whether a scenario is run on a kernel.
fn is_for(config: &Config, args: &Test, profile: Option<&str>, scenario: &Variant) -> bool {
    if !scenario.kernels.has(profile) {
        return false;
    }
    let (Some(name), None) = (profile, &args.versions.kernel) else {
        return true;
    };
    let is_copy = config
        .profiles
        .get(name)
        .is_some_and(|profile| !profile.without_rust.is_empty());
    if args.filter.is_empty() && !args.full {
        // The default run has one kernel for those that need a certain one.
        return scenario.kernels.first() == Some(name);
    }
    scenario.kernels != Kernels::Any || args.full && !is_copy
}

/// Scenarios that follow each other and share a machine are a group.
fn groups(prefix: &str, scenarios: Vec<Variant>) -> Vec<Group> {
    let kernel = match prefix.strip_suffix('.') {
        Some(name) => format!("{name}, "),
        None => String::new(),
    };
    let mut groups: Vec<Group> = Vec::new();
    for scenario in scenarios {
        let machine = match scenario.is_alone() {
            true => "machines of their own".to_owned(),
            false => scenario.topology.to_string(),
        };
        let name = format!("{kernel}{machine}");
        match groups.last_mut() {
            Some(group) if group.name == name => group.scenarios.push(scenario),
            _ => groups.push(Group {
                name,
                scenarios: vec![scenario],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
