// SPDX-License-Identifier: GPL-2.0

//! dd and fio: how they are called, and what their output says.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use blkload::Direction;

/// Bytes of a request of fio's, in KiB.
const BLOCK_KIB: u32 = 4;

/// How long fio runs before it counts.
const WARM: Duration = Duration::from_millis(300);

/// A script that writes the first `mib` MiB of a disk.
pub fn fill(node: &str, mib: u32) -> String {
    format!("dd if=/dev/zero of={node} oflag=direct bs=1M count={mib}")
}

/// A script that has dd read or write the first `mib` MiB of a disk again and again until the time is over. At least once:
/// a slow disk may take longer for that.
pub fn dd(node: &str, direction: Direction, mib: u32, time: Duration) -> String {
    let way = match direction {
        Direction::Read => format!("if={node} of=/dev/null iflag=direct"),
        Direction::Write => format!("if=/dev/zero of={node} oflag=direct"),
    };
    // What dd says, it says on its standard error, in the language of its environment.
    format!(
        "export LC_ALL=C; end=$(($(date +%s%N) + {}))\n\
         while :; do\n\
         dd {way} bs=1M count={mib} 2>&1 || exit 1\n\
         [ $(($(date +%s%N) < end)) = 1 ] || exit 0\n\
         done",
        time.as_nanos()
    )
}

/// Bytes a second of all that dd did, by its own clock, which leaves out its start and its end.
pub fn dd_rate(output: &str) -> Result<f64> {
    let (mut bytes, mut seconds) = (0.0, 0.0);
    for line in output.lines() {
        // "67108864 bytes (67 MB, 64 MiB) copied, 0.0546342 s, 1.2 GB/s"
        let Some((amount, rest)) = line.split_once(" copied, ") else {
            continue;
        };
        let amount = amount
            .split(' ')
            .next()
            .and_then(|bytes| bytes.parse().ok());
        let time = rest.split(' ').next().and_then(|time| time.parse().ok());
        let (amount, time): (f64, f64) = amount
            .zip(time)
            .with_context(|| format!("dd says {line:?}"))?;
        bytes += amount;
        seconds += time;
    }
    ensure!(
        bytes > 0.0 && seconds > 0.0,
        "dd copied nothing, or in no time: {output}"
    );
    Ok(bytes / seconds)
}

/// A script that has fio read or write at random places in the first `mib` MiB of a disk.
pub fn fio(node: &str, direction: Direction, depth: u32, mib: u32, time: Duration) -> String {
    let way = match direction {
        Direction::Read => "randread",
        Direction::Write => "randwrite",
    };
    // A thread instead of a process, fewer looks at the clock, no map of what was visited: an emulated processor is slow
    // enough, and it is not fio that is measured. The places are the same each time.
    format!(
        "exec fio --name=dma --filename={node} --rw={way} --bs={BLOCK_KIB}k --size={mib}m --iodepth={depth} \
         --direct=1 --ioengine=libaio --thread --norandommap --gtod_reduce=1 --clocksource=clock_gettime \
         --time_based --ramp_time={}ms --runtime={}ms --disk_util=0 --output-format=terse --terse-version=3",
        WARM.as_millis(),
        time.as_millis()
    )
}

/// Requests a second, from fio's terse output of version 3: fields are separated by semicolons, the fifth is an error, and
/// KiB, KiB a second, requests a second and milliseconds begin with the sixth for reads and the 47th for writes. fio rounds
/// requests a second down, which is too coarse for a slow disk.
pub fn fio_rate(output: &str, direction: Direction) -> Result<f64> {
    let found = output
        .lines()
        .find(|line| line.starts_with("3;"))
        .and_then(|line| {
            let fields: Vec<_> = line.split(';').collect();
            let number = |field: usize| fields.get(field - 1)?.parse::<f64>().ok();
            let first = match direction {
                Direction::Read => 6,
                Direction::Write => 47,
            };
            Some((number(5)?, number(first)?, number(first + 3)?))
        });
    let (error, kib, ms) = found.with_context(|| format!("fio says {output:?}"))?;
    ensure!(
        error == 0.0 && kib > 0.0 && ms > 0.0,
        "fio did nothing, or failed: {output}"
    );
    Ok(kib / f64::from(BLOCK_KIB) / (ms / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DD: &str = "64+0 records in\n64+0 records out\n\
                      67108864 bytes (67 MB, 64 MiB) copied, 0.0625 s, 1.1 GB/s\n";

    /// A line of fio 3.33, shortened behind what is read.
    fn terse(error: u32, read: [u32; 4], write: [u32; 4]) -> String {
        let part = |[kib, bandwidth, rate, ms]: [u32; 4]| {
            format!(
                "{kib};{bandwidth};{rate};{ms};0;0;0.000000;0.000000;0;0;0.000000;0.000000;{}0;0;0.000000;0.000000;\
                 319607;319607;99.316052%;319607.000000;0.000000",
                "0%=0;".repeat(20)
            )
        };
        format!(
            "3;fio-3.33;dma;0;{error};{};{};3.857143%;42.285714%;1829;0;0\n",
            part(read),
            part(write)
        )
    }

    #[test]
    fn all_that_dd_did_is_taken_together() {
        assert_eq!(dd_rate(DD).unwrap(), 67_108_864.0 / 0.0625);
        let slower = DD.replace("0.0625", "0.1875");
        let rate = dd_rate(&format!("{DD}{slower}")).unwrap();
        assert_eq!(rate, 2.0 * 67_108_864.0 / 0.25);
        // It writes small times with exponents.
        assert!(dd_rate(&DD.replace("0.0625", "6.25e-05")).is_ok());
    }

    #[test]
    fn a_dd_that_says_something_else_is_an_error() {
        assert!(dd_rate("dd: /dev/sda: Input/output error\n").is_err());
        assert!(dd_rate("").is_err());
        assert!(dd_rate(&DD.replace("67108864", "0")).is_err());
        assert!(dd_rate(&DD.replace("0.0625 s", "soon")).is_err());
    }

    #[test]
    fn requests_a_second_come_from_amount_and_time() {
        let read = terse(0, [225_588, 321_808, 80_407, 701], [0; 4]);
        let rate = fio_rate(&read, Direction::Read).unwrap();
        assert!((rate - 225_588.0 / 4.0 / 0.701).abs() < 1e-6, "{rate}");
        assert!(fio_rate(&read, Direction::Write).is_err());
        // Notes may stand before it.
        let write = format!(
            "fio: a note\n{}",
            terse(0, [0; 4], [238_576, 339_368, 84_798, 703])
        );
        let rate = fio_rate(&write, Direction::Write).unwrap();
        assert!((rate - 238_576.0 / 4.0 / 0.703).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn a_fio_that_failed_is_an_error() {
        let numbers = [225_588, 321_808, 80_407, 701];
        assert!(fio_rate(&terse(5, numbers, [0; 4]), Direction::Read).is_err());
        assert!(fio_rate("", Direction::Read).is_err());
        assert!(fio_rate("3;fio-3.33;dma", Direction::Read).is_err());
    }

    #[test]
    fn dd_goes_on_until_the_time_is_over() {
        let script = dd("/dev/sda", Direction::Write, 64, Duration::from_secs(2));
        assert!(script.contains("end=$(($(date +%s%N) + 2000000000))"));
        assert!(script.contains("dd if=/dev/zero of=/dev/sda oflag=direct bs=1M count=64"));
    }
}
