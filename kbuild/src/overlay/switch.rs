// SPDX-License-Identifier: GPL-2.0

//! The list of switches: each C object that has a Rust object in its place. Everything that goes by switch is made from it: the
//! options in `linux-pv/core/Kconfig`, the lines in the kernel's Makefiles, the checks of the image, the kernel profiles, and what
//! tests look for in a running kernel.

use super::PLACE;

/// A C object of the kernel that a switch takes out of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CObject {
    /// Below the top of the source.
    pub path: &'static str,
    /// The line of its folder's Makefile that builds it.
    pub line: &'static str,
    /// The object in that line that it is a part of, with others; `None` if it is that object.
    pub part_of: Option<&'static str>,
    /// A function that is in no other object, ours included, and that the compiler does not inline; if there is one.
    pub function: Option<&'static str>,
}

impl CObject {
    /// Its folder's Makefile, and the name that is taken out of the list there.
    pub fn makefile(&self) -> (String, &'static str) {
        let (folder, name) = self.path.rsplit_once('/').unwrap_or((".", self.path));
        (format!("{folder}/Makefile"), self.part_of.unwrap_or(name))
    }
}

/// The C objects that an object of ours takes the place of, all or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// What the user calls it, as in `--without-rust swiotlb`.
    pub name: &'static str,
    /// The option, without `CONFIG_`; on means ours.
    pub option: &'static str,
    /// What menuconfig calls it.
    pub prompt: &'static str,
    /// What it depends on besides [`MENU`], as Kconfig has it.
    pub depends: &'static str,
    /// An option that it selects, of [`SHARED`].
    pub selects: Option<&'static str>,
    /// Paragraphs of the help text.
    pub help: &'static [&'static str],
    /// The kernel's objects.
    pub theirs: &'static [CObject],
    /// Our object, below [`PLACE`]. Its crate has the same name.
    pub ours: &'static str,
    /// Objects of ours, below [`PLACE`], that run where a panic must not happen: they may refer to nothing that panics.
    pub never_panic: &'static [&'static str],
}

impl Switch {
    /// What the mangled names (version 0) of all functions of our object contain.
    pub fn crate_mark(&self) -> String {
        let file = self.ours.rsplit('/').next().unwrap_or(self.ours);
        let name = file.trim_end_matches(".o");
        format!("{}{name}", name.len())
    }

    /// The line of a Makefile that takes an object out of the image.
    pub fn line(&self, object: &CObject) -> String {
        format!(
            "xen-rust-$(CONFIG_{})\t+= {}",
            self.option,
            object.makefile().1
        )
    }

    /// Its entry in Kconfig.
    fn kconfig(&self) -> String {
        let help: Vec<_> = self.help.iter().map(|text| indented(text)).collect();
        let selects = match self.selects {
            Some(option) => format!("\tselect {option}\n"),
            None => String::new(),
        };
        format!(
            "config {}\n\tbool \"{} (Rust)\"\n\tdepends on {}\n{selects}\tdefault y\n\thelp\n{}\n",
            self.option,
            self.prompt,
            self.depends,
            help.join("\n")
        )
    }
}

/// The option of the menu that all are in.
pub const MENU: &str = "XEN_RUST";

/// Options without a prompt: code that several objects of ours use.
pub const SHARED: &[&str] = &["XEN_RUST_IRQ"];

/// All switches there are.
pub const SWITCHES: &[Switch] = &[
    Switch {
        name: "swiotlb",
        option: "XEN_RUST_SWIOTLB",
        prompt: "DMA of PV domains",
        depends: "SWIOTLB_XEN && XEN_PV",
        selects: None,
        help: &[
            "Translates addresses for devices that a PV domain drives itself, as dom0 does. Copies data through bounce buffers \
             where a device cannot address the memory, or where the memory is not contiguous in the machine. In place of \
             drivers/xen/swiotlb-xen.c.",
            "In addition, a mapping that is larger than any buffer of the pool gets a buffer of its own (up to 2 MiB) instead of \
             \"swiotlb buffer is full ... used 0 (slots)\", and /sys/kernel/debug/xen/swiotlb shows which device uses bounce \
             buffers.",
        ],
        theirs: &[CObject {
            path: "drivers/xen/swiotlb-xen.o",
            line: "obj-$(CONFIG_SWIOTLB_XEN) += swiotlb-xen.o",
            part_of: None,
            function: Some("xen_swiotlb_map_phys"),
        }],
        ours: "swiotlb/xen_swiotlb.o",
        never_panic: &[],
    },
    Switch {
        name: "pci",
        option: "XEN_RUST_PCI",
        prompt: "PCI devices and their interrupts",
        depends: "PCI_XEN && PCI_MSI && ACPI && XEN_PV_DOM0",
        selects: Some("XEN_RUST_IRQ"),
        help: &[
            "Routes the interrupts of PCI devices (INTx, MSI and MSI-X) through the hypervisor, and reports PCI devices to it. In \
             place of arch/x86/pci/xen.c and drivers/xen/pci.c.",
            "In addition, /sys/kernel/debug/xen/interrupts shows the route of each interrupt from the device to its handler, and \
             marks fields that contradict each other.",
        ],
        theirs: &[
            CObject {
                path: "arch/x86/pci/xen.o",
                line: "obj-$(CONFIG_PCI_XEN) += xen.o",
                part_of: None,
                function: Some("xen_initdom_setup_msi_irqs"),
            },
            CObject {
                path: "drivers/xen/pci.o",
                line: "dom0-$(CONFIG_PCI) += pci.o",
                part_of: None,
                function: Some("xen_pci_notifier"),
            },
        ],
        ours: "core/pci/xen_pci.o",
        never_panic: &[],
    },
    Switch {
        name: "acpi",
        option: "XEN_RUST_ACPI",
        prompt: "ACPI's sleep states and interrupt routes",
        depends: "XEN_ACPI && XEN_DOM0 && PCI",
        selects: Some("XEN_RUST_IRQ"),
        help: &[
            "Lets the hypervisor put the machine to sleep or switch it off, and tells drivers the GSI of a PCI device's interrupt. \
             In place of drivers/xen/acpi.c.",
        ],
        theirs: &[CObject {
            path: "drivers/xen/acpi.o",
            line: "dom0-$(CONFIG_XEN_ACPI) += acpi.o $(xen-pad-y)",
            part_of: None,
            function: Some("xen_acpi_notify_hypervisor_state"),
        }],
        ours: "core/acpi/xen_acpi.o",
        never_panic: &[],
    },
    Switch {
        name: "time",
        option: "XEN_RUST_TIME",
        prompt: "Steal time",
        depends: "SMP",
        selects: None,
        help: &[
            "Tells the scheduler for how long the hypervisor kept a virtual CPU from running, over save and restore. In place of \
             drivers/xen/time.c.",
            "In addition, the time never goes back, and reading it takes a bounded time whatever the hypervisor does.",
        ],
        theirs: &[CObject {
            path: "drivers/xen/time.o",
            line: "obj-y += grant-table.o features.o balloon.o manage.o time.o",
            part_of: None,
            function: Some("xen_get_runstate_snapshot_cpu_delta"),
        }],
        ours: "core/time/xen_time.o",
        never_panic: &["core/runstate/xen_runstate.o", "core/time/xen_time.o"],
    },
    Switch {
        name: "console",
        option: "XEN_RUST_CONSOLE",
        prompt: "Consoles",
        depends: "HVC_XEN_FRONTEND",
        selects: None,
        help: &[
            "The terminals hvc0, hvc1 and so on, the early console xenboot, and what the kernel says before it has any console. In \
             place of drivers/tty/hvc/hvc_xen.c.",
            "In addition, a console daemon that does not read stops neither the kernel nor programs, and one that was restarted \
             after it had broken the protocol is used again.",
        ],
        theirs: &[CObject {
            path: "drivers/tty/hvc/hvc_xen.o",
            line: "obj-$(CONFIG_HVC_XEN) += hvc_xen.o",
            part_of: None,
            function: Some("domU_read_console"),
        }],
        ours: "core/console/xen_console.o",
        never_panic: &["core/console/xen_console.o"],
    },
    Switch {
        name: "hypercall",
        option: "XEN_RUST_HYPERCALL",
        prompt: "Batches of hypercalls, and the hypervisor's features",
        depends: "XEN_PV && SMP",
        selects: None,
        help: &[
            "Asks the hypervisor for its features, and collects the hypercalls of a PV domain so that many changes of page tables \
             are one call. In place of drivers/xen/features.c and arch/x86/xen/multicalls.c.",
            "In addition, a batch that the hypervisor refuses is reported with its calls, and does not stop the kernel.",
        ],
        theirs: &[
            CObject {
                path: "drivers/xen/features.o",
                line: "obj-y += grant-table.o features.o balloon.o manage.o time.o",
                part_of: None,
                function: None,
            },
            CObject {
                path: "arch/x86/xen/multicalls.o",
                line: "obj-$(CONFIG_XEN_PV) += multicalls.o",
                part_of: None,
                function: Some("get_mc_debug"),
            },
        ],
        ours: "core/calls/xen_calls.o",
        never_panic: &["core/calls/xen_calls.o", "core/hypercall/xen_hypercall.o"],
    },
    Switch {
        name: "events",
        option: "XEN_RUST_EVENTS",
        prompt: "Event channels",
        depends: "SMP && PCI_XEN && PCI_MSI && XEN_PV_DOM0",
        selects: None,
        help: &[
            "Interrupts of a domain: those of other domains, of the hypervisor, between virtual CPUs, and of devices that the \
             domain drives itself. In place of drivers/xen/events.",
            "In addition, another domain that sends events without work is named in the log, no answer of the hypervisor stops \
             the kernel, and /sys/kernel/debug/xen/events shows each event channel.",
        ],
        theirs: &[
            CObject {
                path: "drivers/xen/events/events_base.o",
                line: "obj-y += events.o",
                part_of: Some("events.o"),
                function: Some("xen_irq_lateeoi_worker"),
            },
            CObject {
                path: "drivers/xen/events/events_2l.o",
                line: "obj-y += events.o",
                part_of: Some("events.o"),
                function: Some("evtchn_2l_unmask"),
            },
            CObject {
                path: "drivers/xen/events/events_fifo.o",
                line: "obj-y += events.o",
                part_of: Some("events.o"),
                function: Some("evtchn_fifo_setup"),
            },
        ],
        ours: "core/events/xen_events.o",
        never_panic: &["core/event/xen_event.o", "core/events/xen_events.o"],
    },
    Switch {
        name: "grants",
        option: "XEN_RUST_GRANTS",
        prompt: "Grant tables",
        depends: "!PREEMPT_RT",
        selects: None,
        help: &[
            "Lets other domains use pages of this one, and maps or copies theirs. In place of drivers/xen/grant-table.c and \
             arch/x86/xen/grant-table.c.",
            "In addition, /sys/kernel/debug/xen/grants shows what is granted to whom and what other domains do not let go of, a \
             driver that frees a reference twice is reported and does no harm, and version 2 of the table works in HVM and PVH \
             domains.",
        ],
        theirs: &[
            CObject {
                path: "drivers/xen/grant-table.o",
                line: "obj-y += grant-table.o features.o balloon.o manage.o time.o",
                part_of: None,
                function: Some("gnttab_handle_deferred"),
            },
            CObject {
                path: "arch/x86/xen/grant-table.o",
                line: "obj-y += grant-table.o",
                part_of: None,
                function: Some("arch_gnttab_map_shared"),
            },
        ],
        ours: "core/grants/xen_grants.o",
        never_panic: &["core/grant/xen_grant.o", "core/grants/xen_grants.o"],
    },
];

/// What the options need, for a message about a configuration that lacks it.
pub fn needs() -> String {
    let each = SWITCHES
        .iter()
        .map(|switch| format!("CONFIG_{} needs {}", switch.option, switch.depends));
    each.collect::<Vec<_>>().join("; ")
}

/// The text of `linux-pv/core/Kconfig`.
pub fn kconfig() -> String {
    let head = format!(
        "# SPDX-License-Identifier: GPL-2.0\n#\n\
         # Rust objects in place of built-in C objects of the kernel's Xen support (the overlay).\n#\n\
         # Written by `PARAVANE_WRITE_DOCS=1 cargo test -p kbuild overlay::`. Do not edit: change the list of\n\
         # switches in kbuild/src/overlay/switch.rs.\n\n\
         menuconfig {MENU}\n\tbool \"Parts of the Xen support in Rust\"\n\tdepends on XEN && RUST && X86_64\n\thelp\n{}\nif {MENU}\n\n",
        indented(
            "Each of the options below replaces a C object of the kernel's Xen support by a Rust object with the same functions \
             for the rest of the kernel and for user space. If an option is off, the C object is built."
        )
    );
    let options: String = SWITCHES.iter().map(Switch::kconfig).collect();
    let shared = SHARED.iter();
    let shared: Vec<_> = shared
        .map(|option| format!("config {option}\n\tbool\n\n"))
        .collect();
    head + &options + &shared.concat() + "endif\n"
}

/// A paragraph as Kconfig's help texts have it: lines of at most 70 characters behind a tab and two spaces.
fn indented(paragraph: &str) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in paragraph.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > 70 {
            text += &format!("\t  {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    text + &format!("\t  {line}\n")
}

/// An object of ours, below the top of the source.
pub fn in_source(object: &str) -> String {
    format!("{PLACE}/{object}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    /// A file of the work tree.
    fn read(path: &str) -> String {
        std::fs::read_to_string(root().join(path)).unwrap()
    }

    #[test]
    fn the_options_are_those_of_the_list() {
        const FILE: &str = "linux-pv/core/Kconfig";
        if std::env::var_os("PARAVANE_WRITE_DOCS").is_some() {
            std::fs::write(root().join(FILE), kconfig()).unwrap();
        }
        assert_eq!(
            read(FILE),
            kconfig(),
            "{FILE} is not what the list of switches makes of it; its head says how it is written"
        );
    }

    #[test]
    fn every_option_builds_its_object() {
        let rules = read("linux-pv/core/Kbuild.include");
        for switch in SWITCHES {
            let line = format!("obj-$(CONFIG_{}) += ", switch.option);
            assert!(rules.contains(&line), "{line}");
            for object in [switch.ours].iter().chain(switch.never_panic) {
                assert!(rules.contains(object), "{object}");
            }
            let source = format!("linux-pv/{}.rs", switch.ours.trim_end_matches(".o"));
            assert!(root().join(&source).is_file(), "{source}");
        }
        for selected in SWITCHES.iter().filter_map(|switch| switch.selects) {
            assert!(SHARED.contains(&selected), "{selected}");
        }
    }

    #[test]
    fn every_switch_is_in_the_documents() {
        let (modules, profiles) = (
            read("docs/reference/modules.md"),
            read("docs/reference/kernels-toml.md"),
        );
        let overlay = read("docs/design/overlay.md");
        for switch in SWITCHES {
            let row = format!("| `{}` | `{}` | ", switch.option, switch.ours);
            assert!(modules.contains(&row), "modules.md lacks {row}");
            let row = format!("| `{}` | ", switch.ours);
            assert!(overlay.contains(&row), "overlay.md lacks {row}");
            let name = format!("`overlay-no-{}`", switch.name);
            assert!(profiles.contains(&name), "kernels-toml.md lacks {name}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(SWITCHES[0].crate_mark(), "11xen_swiotlb");
        let object = &SWITCHES[1].theirs[0];
        assert_eq!(object.makefile(), ("arch/x86/pci/Makefile".into(), "xen.o"));
        assert_eq!(
            SWITCHES[1].line(object),
            "xen-rust-$(CONFIG_XEN_RUST_PCI)\t+= xen.o"
        );
    }
}
