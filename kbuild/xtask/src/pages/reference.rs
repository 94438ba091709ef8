// SPDX-License-Identifier: GPL-2.0

//! The reference pages against the code: parameters, counters, columns, options, fields.

use std::collections::BTreeSet;
use std::path::Path;

use kbuild::config::Config;

use super::{Page, files, literals, read, root, rows, section, spans, without_comments};

type Names = BTreeSet<String>;

/// Fails with what is in one set only.
fn same(page: &str, listed: &Names, code: &Names) {
    let missing: Vec<_> = code.difference(listed).collect();
    let unknown: Vec<_> = listed.difference(code).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{page} lacks {missing:?} and has {unknown:?}, which is not in the code"
    );
    assert!(!code.is_empty(), "nothing was found for {page}");
}

/// The code spans in the first column of a section's tables.
fn first_column(page: &str, heading: &str) -> Names {
    let rows = rows(section(page, heading));
    rows.iter().flat_map(|row| spans(&row[0])).collect()
}

/// The blocks of a macro call, up to the brace that closes it, comments left out.
fn blocks(page: &Page, start: &str) -> Vec<String> {
    let code = without_comments(&page.text);
    let parts = code.split(start).skip(1);
    let block = |part: &str| {
        let mut depth = 1;
        let end = part.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        part[..end.unwrap_or(part.len())].to_owned()
    };
    parts.map(block).collect()
}

#[test]
fn parameters_are_listed_with_their_defaults() {
    let mut code = Names::new();
    for page in files("linux-pv", &[".rs"]) {
        let Some((folder, _)) = page.name.trim_start_matches("linux-pv/").split_once('/') else {
            continue;
        };
        for block in blocks(&page, "module_params! {") {
            for line in block.split(';') {
                let Some((_, rest)) = line.split_once(" = ") else {
                    continue;
                };
                let mut fields = rest.splitn(4, ',').map(str::trim);
                let mut next = || fields.next().unwrap_or_default();
                let (default, name, mode) = (next(), next(), next());
                let default = match default {
                    "true" => "Y",
                    "false" => "N",
                    number => number,
                };
                let mode = match mode.trim_start_matches("0o") {
                    "0" => String::new(),
                    mode => format!("0{mode}"),
                };
                let name = name.trim_matches('"');
                code.insert(format!("xen_{folder}_rs {name} {default} {mode}"));
            }
        }
    }
    let page = read("docs/reference/modules.md");
    let mut module = String::new();
    let mut listed = Names::new();
    for row in rows(section(&page, "## Parameters")) {
        if let Some(name) = spans(&row[0]).into_iter().next() {
            module = name;
        }
        let name = row[1].trim_matches('`');
        listed.insert(format!("{module} {name} {} {}", row[2], row[3]));
    }
    same("docs/reference/modules.md", &listed, &code);
}

#[test]
fn modules_and_their_options_are_listed() {
    let page = read("docs/reference/modules.md");
    let named: Names = spans(&page).into_iter().collect();
    for file in ["linux-pv/Kconfig", "linux-pv/core/Kconfig"] {
        let text = read(file);
        let options = text.lines().filter_map(|line| {
            let line = line.strip_prefix("menu").unwrap_or(line);
            line.strip_prefix("config ")
        });
        for option in options {
            assert!(
                named.contains(option),
                "docs/reference/modules.md lacks {option}"
            );
        }
    }
    let kbuild = read("linux-pv/Kbuild");
    let objects = kbuild.lines().filter(|line| line.starts_with("obj-$("));
    for line in objects {
        let object = line.rsplit([' ', '/']).next().unwrap_or_default();
        let module = object.trim_end_matches(".o");
        let is_folder = module.is_empty();
        assert!(
            is_folder || named.contains(module),
            "docs/reference/modules.md lacks {module}"
        );
    }
}

/// The names that a driver's counters have: fields of `counters!`, and words before a value that is written beside them.
fn counters(folder: &str) -> Names {
    let mut names = Names::new();
    for page in files(folder, &[".rs"]) {
        for block in blocks(&page, "counters! {") {
            let fields = block.split_once('{').map_or("", |(_, fields)| fields);
            let words = fields.split([',', '}']).map(str::trim);
            names.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
            let beside = literals(&page.text);
            let beside = beside
                .iter()
                .filter_map(|literal| literal.trim().split_once(" {"));
            names.extend(
                beside
                    .filter(|(name, _)| is_name(name))
                    .map(|(name, _)| name.to_owned()),
            );
        }
    }
    names
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn counters_are_listed() {
    let page = read("docs/reference/debugfs.md");
    for (folder, heading) in [
        ("linux-pv/blkfront", "## xen/blkfront/DISK/queueN"),
        ("linux-pv/netfront", "## xen/netfront/vif-N/queueN"),
        ("linux-pv/pcifront", "## xen/pcifront/pci-N/accesses"),
    ] {
        let mut code = counters(folder);
        // Words, not numbers: in the text before the table.
        let state = code.remove("state");
        assert!(
            !state || section(&page, heading).contains("`state`"),
            "{heading}"
        );
        same(
            &format!("docs/reference/debugfs.md, {heading}"),
            &first_column(&page, heading),
            &code,
        );
    }
}

#[test]
fn objects_are_listed() {
    let page = read("docs/reference/debugfs.md");
    // The file that defines most of them, and names those that are counted elsewhere.
    let has_files = |source: &Page| {
        let blocks = blocks(source, "counters! {");
        blocks.iter().any(|block| block.contains("c\""))
    };
    let sources: Vec<_> = files("linux-pv", &[".rs"])
        .into_iter()
        .filter(has_files)
        .collect();
    assert_eq!(sources.len(), 1, "the objects are counted in one file");
    let code = without_comments(&sources[0].text);
    let names = code.split("c\"").skip(1);
    let mut names: Names = names
        .filter_map(|part| part.split('"').next())
        .map(str::to_owned)
        .collect();
    // The folder.
    names.retain(|name| !name.starts_with("xen") && name != "objects");
    same(
        "docs/reference/debugfs.md",
        &first_column(&page, "## xen/objects"),
        &names,
    );
}

#[test]
fn columns_are_listed() {
    let page = read("docs/reference/debugfs.md");
    let mut code = Names::new();
    for source in files("linux-pv/swiotlb", &[".rs"]) {
        if let Some((_, rest)) = source.text.split_once("COLUMNS: [") {
            let table = rest.split("];").next().unwrap_or_default();
            // The first is that of the type.
            code.extend(literals(table));
        }
    }
    same(
        "docs/reference/debugfs.md",
        &first_column(&page, "## xen/swiotlb"),
        &code,
    );

    let source = read("linux-pv/core/irq/table.rs");
    let (_, head) = source
        .split_once("fn write_head")
        .expect("the head is written by write_head");
    let mut code = Names::new();
    for literal in literals(head.split("\n}").next().unwrap_or_default()) {
        let words = literal
            .split_whitespace()
            .filter(|word| !word.contains('{'));
        code.extend(words.map(str::to_owned));
    }
    let heading = "## xen/interrupts";
    same(
        "docs/reference/debugfs.md",
        &first_column(&page, heading),
        &code,
    );
    let example = section(&page, heading)
        .lines()
        .find(|line| line.starts_with("    device"));
    let example: Names = example
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(example, code, "the example's head");
}

#[test]
fn folders_of_debugfs_are_the_codes() {
    let page = read("docs/reference/debugfs.md");
    let mut code = String::new();
    for source in files("linux-pv", &[".rs"]) {
        code += &literals(&source.text).join("\n");
        code.push('\n');
    }
    let overview = page.split("\n## ").next().unwrap_or_default();
    for row in rows(overview) {
        for path in spans(&row[0]) {
            for part in path.split('/') {
                let fixed = part.trim_end_matches(|c: char| c.is_ascii_uppercase());
                let found = code
                    .lines()
                    .any(|literal| literal.split('/').any(|part| part.starts_with(fixed)));
                assert!(
                    fixed.is_empty() || found,
                    "no code makes {fixed:?} of {path}"
                );
            }
        }
    }
}

/// The public fields of a structure that a configuration file has.
fn fields(file: &str, structure: &str) -> Names {
    let source = read(file);
    let start = format!("pub struct {structure} {{");
    let (_, rest) = source
        .split_once(&start)
        .unwrap_or_else(|| panic!("{file} has no {structure}"));
    let body = rest.split("\n}").next().unwrap_or_default();
    let mut names = Names::new();
    let mut skipped = false;
    for line in body.lines().map(str::trim) {
        if let Some((name, _)) = line
            .strip_prefix("pub ")
            .and_then(|line| line.split_once(':'))
        {
            if !skipped {
                names.insert(name.to_owned());
            }
            skipped = false;
        }
        skipped |= line == "#[serde(skip)]";
    }
    names
}

#[test]
fn fields_of_kernels_toml_are_listed() {
    let page = read("docs/reference/kernels-toml.md");
    let config = "kbuild/src/config.rs";
    let known: Names = Config::read(&root().join("kernels.toml"))
        .unwrap()
        .profiles
        .into_keys()
        .collect();
    let heading = "## Kernel profiles: `[profile.NAME]`";
    let mut listed = first_column(&page, heading);
    let profiles: Names = listed.intersection(&known).cloned().collect();
    same(
        "the profiles of docs/reference/kernels-toml.md",
        &profiles,
        &known,
    );
    listed.retain(|name| !known.contains(name));
    same(
        "docs/reference/kernels-toml.md",
        &listed,
        &fields(config, "Profile"),
    );
    let suites = first_column(&page, "## Debian suites: `[suite.NAME]`");
    same(
        "docs/reference/kernels-toml.md",
        &suites,
        &fields("kbuild/src/suite.rs", "Suite"),
    );
    let xen = first_column(&page, "## Xen: `[xen]`");
    same(
        "docs/reference/kernels-toml.md",
        &xen,
        &fields(config, "Xen"),
    );
}

#[test]
fn environment_variables_are_the_codes() {
    let page = read("docs/guides/kernel-ci.md");
    let mut code = String::new();
    for folder in ["kbuild", "tests/src"] {
        for source in files(folder, &[".rs"]) {
            if !Path::new(&source.name).starts_with("kbuild/xtask/src/pages") {
                code += &source.text;
            }
        }
    }
    let listed = first_column(&page, "## Environment");
    assert!(listed.len() >= 4, "{listed:?}");
    for name in listed {
        assert!(
            code.contains(&format!("\"{name}\"")),
            "no code reads {name}"
        );
    }
}
