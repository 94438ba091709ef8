// SPDX-License-Identifier: GPL-2.0

//! The compilers' messages, picked out of what make prints.

/// The compiler's messages out of make's output, with paths as the user knows them.
#[derive(Default)]
pub struct Diagnostics {
    lines: Vec<String>,
    open: bool,
    errors: bool,
    /// How many messages there were.
    pub count: usize,
}

impl Diagnostics {
    /// Takes a line of make's output.
    pub fn line(&mut self, line: &str) {
        let line = as_in_work_tree(line);
        let c_style = [": error: ", ": warning: ", ": fatal error: "]
            .iter()
            .any(|mark| line.contains(mark));
        let modpost = line.starts_with("ERROR: modpost") || line.starts_with("WARNING: modpost");
        let rust = ["error:", "error[", "warning:"]
            .iter()
            .any(|mark| line.starts_with(mark));
        // rustc's own count of its messages is none of them.
        if line.starts_with("warning: ") && line.ends_with(" emitted") {
            self.open = false;
        } else if rust || c_style || modpost {
            self.open = true;
            self.count += 1;
            self.errors |= !line.contains("arning");
        } else if line.starts_with("make") || is_build_line(&line) {
            self.open = false;
        }
        if self.open && self.lines.len() < 200 {
            self.lines.push(line);
        }
    }

    /// Whether a message was an error, not only a warning.
    pub fn has_error(&self) -> bool {
        self.errors
    }

    /// The first messages, as the compiler printed them.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// The compilers name files as kbuild names them, relative to `linux-pv`; the user stands above that.
fn as_in_work_tree(line: &str) -> String {
    let line = line.replace("/paravane/", "");
    let (before, path) = match line.find("--> ") {
        Some(arrow) => line.split_at(arrow + 4),
        None if line.contains(": error: ") || line.contains(": warning: ") => ("", line.as_str()),
        None => return line,
    };
    if path.starts_with('/') || path.starts_with("linux-pv/") || !path.contains('/') {
        return line;
    }
    format!("{before}linux-pv/{path}")
}

/// Whether a line is make's own, such as `  RUSTC [M] xen/xen.o`.
fn is_build_line(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("  ") else {
        return false;
    };
    let word = rest.split(' ').next().unwrap_or_default();
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_messages_are_picked_out() {
        let mut diagnostics = Diagnostics::default();
        for line in [
            "  RUSTC [M] xen/xen.o",
            "error[E0425]: cannot find value `x` in this scope",
            "  --> /paravane/linux-pv/xen/xen.rs:3:5",
            "  ::: /kernel/src/rust/kernel/lib.rs:1:1",
            "   --> xen/bus.rs:7:1",
            "   |",
            "  RUSTC [M] abi/xen_abi.o",
            "make[2]: *** [scripts/Makefile.build:1] Error 1",
            "ERROR: modpost: \"gnttab_x\" [xen_rs.ko] undefined!",
            "make[1]: leaving",
        ] {
            diagnostics.line(line);
        }
        assert!(diagnostics.count == 2 && diagnostics.has_error());
        let text = diagnostics.text();
        assert!(text.contains("--> linux-pv/xen/xen.rs:3:5") && text.contains("gnttab_x"));
        assert!(
            text.contains("--> linux-pv/xen/bus.rs:7:1")
                && text.contains("/kernel/src/rust/kernel/lib.rs")
        );
        assert!(!text.contains("RUSTC") && !text.contains("make"));
    }

    #[test]
    fn warnings_alone_are_no_error() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.line("warning: unused variable: `x`");
        diagnostics.line("warning: 1 warning emitted");
        assert!(diagnostics.count == 1 && !diagnostics.has_error());
    }
}
