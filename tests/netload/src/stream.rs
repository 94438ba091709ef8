// SPDX-License-Identifier: GPL-2.0

//! TCP streams. Rates are taken where the data arrives: what a sender got rid of may still be in a buffer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;

use crate::machine;
use crate::pattern::Pattern;
use crate::pieces::{self, PAGE, Pipe, TOGETHER};
use crate::report::Line;
use crate::request::{self, Check, Server};

/// Bytes of one write or read.
const CHUNK: usize = 128 << 10;

/// Bytes that may wait at either end. Left to itself the kernel lets it become so many that a slow machine needs longer
/// to send what waits at the end than it was told to send for.
const WAITING: usize = 1 << 20;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    /// The data comes from the other end
    #[arg(long)]
    reverse: bool,
    /// Connections at the same time; stream number n runs on processor n
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    streams: u32,
    /// Milliseconds before anything is counted
    #[arg(long, default_value_t = 0)]
    warm: u64,
    /// Milliseconds to send for
    #[arg(long, default_value_t = 1000)]
    time: u64,
    /// Bytes that each stream sends, instead of sending for some time
    #[arg(long)]
    bytes: Option<u64>,
    /// What is checked
    #[arg(long, value_enum, default_value_t = Check::All)]
    check: Check,
    /// Send pages of all fillings without copying them, so that packets have as many fragments as they can
    #[arg(long, conflicts_with = "reverse")]
    pages: bool,
    /// The device whose packets are counted
    #[arg(long)]
    device: Option<String>,
}

/// How long a stream lasts, and which part of that is counted.
#[derive(Clone, Copy)]
struct Span {
    warm: Duration,
    time: Duration,
    bytes: Option<u64>,
}

impl Span {
    fn of(line: &Line) -> io::Result<Self> {
        let millis = |name| line.get(name).map(Duration::from_millis);
        let bytes: u64 = line.get("bytes")?;
        Ok(Self {
            warm: millis("warm")?,
            time: millis("time")?,
            bytes: (bytes > 0).then_some(bytes),
        })
    }
}

/// Runs the streams and sums up what they did.
pub fn run(args: &Args) -> io::Result<Line> {
    let span = Span {
        warm: Duration::from_millis(args.warm),
        time: Duration::from_millis(args.time),
        bytes: args.bytes,
    };
    let want = if args.reverse {
        "tcp-source"
    } else {
        "tcp-sink"
    };
    let parts = thread::scope(|scope| {
        let streams: Vec<_> = (0..args.streams)
            .map(|number| {
                let request = Line::default()
                    .with("want", want)
                    .with("seed", number)
                    .with("warm", args.warm)
                    .with("time", args.time)
                    .with("bytes", args.bytes.unwrap_or(0))
                    .with("check", args.check);
                scope.spawn(move || -> io::Result<Line> {
                    machine::pin(number)?;
                    let mut stream = args.server.ask(&request)?;
                    limit(&stream)?;
                    let pattern = Pattern::new(number.into());
                    if args.reverse {
                        return collect(&mut stream, pattern, span, args.check);
                    }
                    let pages = args.pages.then(Pipe::new).transpose()?;
                    let sent = emit(&mut stream, pattern, span, args.check, pages)?;
                    let line = request::receive(&mut stream)?;
                    let arrived: u64 = line.get("total")?;
                    if arrived != sent && line.wrong_content().is_none() {
                        return Err(io::Error::other(format!(
                            "{sent} bytes were sent and {arrived} arrived"
                        )));
                    }
                    Ok(line)
                })
            })
            .collect();
        let watch = scope.spawn(|| match span.bytes {
            // It may be over before anything could be counted.
            Some(_) => Ok(Line::default()),
            None => machine::watch(args.device.as_deref(), span.warm, span.time),
        });
        let mut parts: Vec<io::Result<Line>> = streams.into_iter().map(join).collect();
        parts.push(join(watch));
        parts.into_iter().collect::<io::Result<Vec<_>>>()
    })?;
    let (watched, streams) = parts
        .split_last()
        .ok_or_else(|| io::Error::other("no stream"))?;
    let (mut total, mut rate, mut corrupt) = (0, 0.0, "none".to_owned());
    for (number, stream) in streams.iter().enumerate() {
        total += stream.get::<u64>("total")?;
        rate += stream.get::<f64>("rate")?;
        if let Some(place) = stream.wrong_content() {
            corrupt = format!("stream-{number}-at-{place}");
        }
    }
    Ok(Line::default()
        .with("streams", args.streams)
        .with("total", total)
        .with("rate", format!("{rate:.0}"))
        .with("corrupt", corrupt)
        .and(watched.clone()))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
}

/// Bounds what waits.
fn limit(stream: &TcpStream) -> io::Result<()> {
    // Only root may have as much; the usual limit is less and does as well.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(stream, WAITING);
    Ok(rustix::net::sockopt::set_socket_send_buffer_size(
        stream, WAITING,
    )?)
}

/// The other end of a stream out: tells what arrived.
pub fn sink(mut stream: TcpStream, request: &Line) -> io::Result<()> {
    limit(&stream)?;
    let pattern = Pattern::new(request.get("seed")?);
    let check = request.get("check")?;
    let line = collect(&mut stream, pattern, Span::of(request)?, check)?;
    request::send(&mut stream, &line)
}

/// The other end of a stream in.
pub fn source(mut stream: TcpStream, request: &Line) -> io::Result<()> {
    limit(&stream)?;
    let pattern = Pattern::new(request.get("seed")?);
    let check = request.get("check")?;
    emit(&mut stream, pattern, Span::of(request)?, check, None)?;
    // Closing at once would reset the connection if the other end still says something.
    let _ = stream.read(&mut [0]);
    Ok(())
}

/// Sends until time is over or all is sent, and says that nothing more comes. Returns the number of bytes.
fn emit(
    stream: &mut TcpStream,
    pattern: Pattern,
    span: Span,
    check: Check,
    pages: Option<Pipe>,
) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let started = Instant::now();
    let (mut sent, mut round) = (0, 0);
    loop {
        let left = match span.bytes {
            Some(bytes) => bytes.saturating_sub(sent),
            // Longer than is counted, for the other end began later.
            None if started.elapsed() > span.warm + span.time + span.time / 2 => 0,
            None => CHUNK as u64,
        };
        if left == 0 {
            break;
        }
        let sizes = pieces::sizes(TOGETHER, round, 1, PAGE * TOGETHER);
        round += 1;
        let len = match &pages {
            // The last bytes may be more than were asked for.
            Some(_) => sizes.iter().sum::<u32>() as usize,
            None => (left as usize).min(CHUNK),
        };
        let chunk = &mut chunk[..len];
        if check == Check::All {
            pattern.fill(sent, chunk);
        }
        match &pages {
            Some(pipe) => pipe.send(&*stream, chunk, &sizes)?,
            None => stream.write_all(chunk)?,
        }
        sent += chunk.len() as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(sent)
}

/// Receives all there is. Wrong content ends the check but not the stream, so that the other end is not confused.
fn collect(stream: &mut TcpStream, pattern: Pattern, span: Span, check: Check) -> io::Result<Line> {
    let mut chunk = vec![0; CHUNK];
    let started = Instant::now();
    let (mut total, mut corrupt) = (0, None);
    // Bytes and time at the ends of the part that is counted.
    let (mut first, mut last) = (None, (0, Duration::ZERO));
    loop {
        let flags = match check {
            Check::All => RecvFlags::empty(),
            // TCP throws the data away instead of copying it (tcp(7)).
            Check::None => RecvFlags::TRUNC,
        };
        let (count, _) = match rustix::net::recv(&*stream, &mut chunk[..], flags) {
            Err(rustix::io::Errno::INTR) => continue,
            received => received?,
        };
        if count == 0 {
            break;
        }
        if check == Check::All && corrupt.is_none() {
            corrupt = pattern.first_wrong(total, &chunk[..count]);
        }
        total += count as u64;
        let now = started.elapsed();
        if now >= span.warm {
            first.get_or_insert((total, now));
            if now <= span.warm + span.time || span.bytes.is_some() {
                last = (total, now);
            }
        }
    }
    // What was waiting to be received when the stream ended would make any rate if it were counted by the time it took.
    let rate = match (first, span.bytes) {
        (Some((bytes, _)), None) if last.0 > bytes => {
            (last.0 - bytes) as f64 / span.time.as_secs_f64()
        }
        (Some((bytes, at)), Some(_)) if last.1 > at => {
            (last.0 - bytes) as f64 / (last.1 - at).as_secs_f64()
        }
        _ => 0.0,
    };
    Ok(Line::default()
        .with("total", total)
        .with("rate", format!("{rate:.0}"))
        .with(
            "corrupt",
            corrupt.map_or_else(|| "none".to_owned(), |at| at.to_string()),
        ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn transfer(wrong: Option<usize>) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut out = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut inwards, _) = listener.accept().unwrap();
        thread::spawn(move || {
            let mut data = vec![0; 300_000];
            Pattern::new(3).fill(0, &mut data);
            if let Some(place) = wrong {
                data[place] ^= 1;
            }
            out.write_all(&data).unwrap();
        });
        let span = Span {
            warm: Duration::ZERO,
            time: Duration::from_secs(1),
            bytes: None,
        };
        collect(&mut inwards, Pattern::new(3), span, Check::All).unwrap()
    }

    #[test]
    fn what_arrives_is_checked_to_the_byte() {
        let line = transfer(None);
        assert_eq!(line.get::<u64>("total").unwrap(), 300_000);
        assert_eq!(line.wrong_content(), None);
        assert_eq!(transfer(Some(200_001)).wrong_content(), Some("200001"));
    }
}
