// SPDX-License-Identifier: GPL-2.0

//! Requests and responses over TCP, one at a time: how long a small packet takes there and back.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::machine;
use crate::pattern::Pattern;
use crate::report::Line;
use crate::request::Server;

/// The largest request, in bytes.
const SIZE_MAX: u32 = 1 << 20;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    /// Bytes of a request and of its response
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    size: u32,
    /// Milliseconds before anything is counted
    #[arg(long, default_value_t = 0)]
    warm: u64,
    /// Milliseconds that are counted
    #[arg(long, default_value_t = 1000)]
    time: u64,
    /// The device whose packets are counted
    #[arg(long)]
    device: Option<String>,
}

/// Asks again and again.
pub fn run(args: &Args) -> io::Result<Line> {
    let request = Line::default().with("want", "echo").with("size", args.size);
    let (warm, time) = [args.warm, args.time].map(Duration::from_millis).into();
    std::thread::scope(|scope| {
        machine::pin(0)?;
        let mut stream = args.server.ask(&request)?;
        let watch = scope.spawn(|| machine::watch(args.device.as_deref(), warm, time));
        let pattern = Pattern::new(0);
        let (mut out, mut back) = (vec![0; args.size as usize], vec![0; args.size as usize]);
        let started = Instant::now();
        let (mut total, mut counted, mut offset, mut corrupt) = (0u64, 0u64, 0, None);
        let (mut slowest, mut before) = (Duration::ZERO, Duration::ZERO);
        while before < warm + time {
            pattern.fill(offset, &mut out);
            stream.write_all(&out)?;
            stream.read_exact(&mut back)?;
            corrupt = corrupt.or_else(|| pattern.first_wrong(offset, &back));
            offset += u64::from(args.size);
            let now = started.elapsed();
            slowest = slowest.max(now - before);
            before = now;
            total += 1;
            counted += u64::from(now >= warm && now < warm + time);
        }
        let watched = watch
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
        Ok(Line::default()
            .with("total", total)
            .with(
                "rate",
                format!("{:.1}", counted as f64 / time.as_secs_f64()),
            )
            .with("slowest_ms", slowest.as_millis())
            .with(
                "corrupt",
                corrupt.map_or_else(|| "none".to_owned(), |at: u64| at.to_string()),
            )
            .and(watched))
    })
}

/// The other end.
pub fn echo(mut stream: TcpStream, request: &Line) -> io::Result<()> {
    let size: u32 = request.get("size")?;
    let mut data = vec![0; size.min(SIZE_MAX) as usize];
    loop {
        match stream.read_exact(&mut data) {
            Ok(()) => stream.write_all(&data)?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
