// SPDX-License-Identifier: GPL-2.0

//! A small strict reader of KTAP, to read our own output back: what the specification allows but we never do is an error.

/// A test as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    pub good: bool,
    pub name: String,
    pub directive: String,
    pub subtests: Vec<Node>,
}

/// The tests of an output. Lines after the last result may be anything but KTAP.
pub fn read(text: &str) -> Result<Vec<Node>, String> {
    let mut lines = text.lines().peekable();
    let nodes = block(&mut lines, 0)?;
    match lines.find(|line| line.trim_start().starts_with("ok ") || line.contains("not ok ")) {
        Some(line) if !line.starts_with("# ") => Err(format!("a result beyond the plan: {line}")),
        _ => Ok(nodes),
    }
}

type Lines<'t> = std::iter::Peekable<std::str::Lines<'t>>;

/// Version, plan, and as many results as the plan says.
fn block(lines: &mut Lines<'_>, depth: usize) -> Result<Vec<Node>, String> {
    let space = "  ".repeat(depth);
    let mut next = || lines.next().and_then(|line| line.strip_prefix(&space));
    if next() != Some("KTAP version 1") {
        return Err(format!("no version line at depth {depth}"));
    }
    let plan = next().and_then(|line| line.strip_prefix("1.."));
    let plan: usize = plan
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| format!("no plan right after the version at depth {depth}"))?;
    (1..=plan)
        .map(|number| test(lines, depth, number))
        .collect()
}

/// Diagnostic lines and subtests, then the result.
fn test(lines: &mut Lines<'_>, depth: usize, number: usize) -> Result<Node, String> {
    let space = "  ".repeat(depth);
    let mut subtests = Vec::new();
    loop {
        let whole = *lines.peek().ok_or("ends before its plan")?;
        let line = whole
            .strip_prefix(&space)
            .ok_or_else(|| format!("not at depth {depth}: {whole}"))?;
        if line == "  KTAP version 1" {
            if !subtests.is_empty() {
                return Err(format!("two sets of subtests: {whole}"));
            }
            subtests = block(lines, depth + 1)?;
            continue;
        }
        lines.next();
        if line.starts_with("# ") || line == "#" {
            continue;
        }
        return result(line, number, subtests);
    }
}

fn result(line: &str, number: usize, subtests: Vec<Node>) -> Result<Node, String> {
    let (good, rest) = match line.strip_prefix("not ") {
        Some(rest) => (false, rest),
        None => (true, line),
    };
    let rest = rest
        .strip_prefix(&format!("ok {number} "))
        .ok_or_else(|| format!("not result {number}: {line}"))?;
    let (name, directive) = match rest.split_once(" # ") {
        Some((name, words)) => (name, words.split(' ').next().unwrap_or_default()),
        None => (rest, ""),
    };
    let allowed = match directive {
        "" => !name.is_empty() && !name.contains('#'),
        "SKIP" => good,
        "TIMEOUT" | "ERROR" => !good,
        _ => false,
    };
    let is_right = subtests.is_empty() || good == subtests.iter().all(|test| test.good);
    match allowed && is_right {
        true => Ok(Node {
            good,
            name: name.into(),
            directive: directive.into(),
            subtests,
        }),
        false => Err(format!("a wrong result: {line}")),
    }
}

#[test]
fn it_refuses_what_is_wrong() {
    for (text, what) in [
        ("1..0\n", "no version"),
        ("KTAP version 1\nok 1 a\n1..1\n", "no plan"),
        ("KTAP version 1\n1..2\nok 1 a\n", "ends before"),
        ("KTAP version 1\n1..1\nok 2 a\n", "not result 1"),
        ("KTAP version 1\n1..1\nok 1 a\nok 2 b\n", "beyond the plan"),
        (
            "KTAP version 1\n1..1\nok 1 a # TIMEOUT 1 s\n",
            "wrong result",
        ),
        (
            "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  not ok 1 a\nok 1 b\n",
            "wrong result",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(what), "{text}: {error}");
    }
}
