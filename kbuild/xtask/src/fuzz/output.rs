// SPDX-License-Identifier: GPL-2.0

//! What libFuzzer prints (LLVM's compiler-rt/lib/fuzzer, `FuzzerLoop.cpp`).

/// What a run of one target came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Inputs that were run.
    pub inputs: u64,
    /// Edges of the control flow that were covered.
    pub edges: u64,
    /// Inputs that are kept, because each covers something that the others do not.
    pub corpus: u64,
    /// The first line of the panic that ended it.
    pub panic: Option<String>,
}

/// A reader of the output.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// What the lines said so far.
    pub progress: Progress,
    /// Whether the next line is the message of a panic: it follows the line that says where the panic was.
    panics: bool,
}

impl Output {
    /// Reads a line.
    pub fn read(&mut self, line: &str) {
        if std::mem::take(&mut self.panics) {
            self.progress.panic = Some(line.to_owned());
        }
        self.panics = self.progress.panic.is_none() && line.contains(" panicked at ");
        self.progress.read(line);
    }
}

impl Progress {
    fn read(&mut self, line: &str) {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.inputs = count.trim().parse().unwrap_or(self.inputs);
        } else if let Some(status) = line.strip_prefix('#') {
            let inputs = status.split_whitespace().next();
            self.inputs = inputs.and_then(|n| n.parse().ok()).unwrap_or(self.inputs);
            self.edges = after(status, "cov: ").unwrap_or(self.edges);
            self.corpus = after(status, "corp: ").unwrap_or(self.corpus);
        }
    }
}

/// The number behind the first `mark`.
fn after(line: &str, mark: &str) -> Option<u64> {
    let (_, rest) = line.split_once(mark)?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "INFO: Running with entropic power schedule (0xFF, 100).\n\
        INFO: Seed: 2117\n\
        INFO: Loaded 1 modules   (4711 inline 8-bit counters): 4711 [0x55, 0x56), \n\
        INFO: -max_len is not provided; libFuzzer will not generate inputs larger than 4096 bytes\n\
        #2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 35Mb\n\
        #524288\tpulse  cov: 301 ft: 900 corp: 95/7012b lim: 4096 exec/s: 131072 rss: 95Mb\n\
        #600001\tDONE   cov: 312 ft: 912 corp: 97/7112b lim: 4096 exec/s: 120000 rss: 95Mb\n\
        Done 600001 runs in 5 second(s)\n\
        stat::number_of_executed_units: 600001\n\
        stat::average_exec_per_sec:     120000\n";

    fn read(lines: &str) -> Progress {
        let mut output = Output::default();
        lines.lines().for_each(|line| output.read(line));
        output.progress
    }

    #[test]
    fn the_last_figures_count() {
        assert_eq!(
            read(LINES),
            Progress {
                inputs: 600_001,
                edges: 312,
                corpus: 97,
                panic: None,
            }
        );
    }

    #[test]
    fn a_panic_is_told_by_its_message() {
        let panic = "thread '<unnamed>' (7) panicked at tests/fuzz/src/ring.rs:7:5:\n\
            more than there is room for\n\
            note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n\
            ==7== ERROR: libFuzzer: deadly signal\n";
        let progress = read(panic);
        assert_eq!(
            progress.panic.as_deref(),
            Some("more than there is room for")
        );
    }
}
