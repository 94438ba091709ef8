// SPDX-License-Identifier: GPL-2.0

//! Traffic for network devices: every byte has a content that depends on its place ([`pattern`]), the receiver
//! checks it, and each measurement is one line of `name=value` words ([`report`]).
//!
//! `serve` is one end of everything but raw frames; it does what the other end asks for in a line of text
//! ([`request`]). The other end is `tcp` ([`stream`]), `udp` and `fragments` ([`datagram`]), `exchange`
//! ([`exchange`]); or `ping` ([`ping`]), which the other side's kernel answers, and `reflect` ([`reflect`]), which nobody
//! should. Raw frames ([`raw`]) need no
//! address; they have a sender and a receiver.
//!
//! It is part of the agent's binary (`agent netload …`), to spare the images another one. What does not live here:
//! devices and addresses, which the scenarios configure, and judging the numbers.

#![forbid(unsafe_code)]

mod datagram;
mod exchange;
mod machine;
mod pattern;
mod pieces;
mod ping;
mod raw;
mod reflect;
pub mod report;
mod request;
mod serve;
mod stream;

use std::io;
use std::time::Duration;

use clap::{Parser, Subcommand};
use counter::mark;

#[derive(Parser)]
#[command(name = "netload")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer the other commands
    Serve(serve::Args),
    /// TCP streams, out or in
    Tcp(stream::Args),
    /// UDP datagrams of one size, out or in
    Udp(datagram::Args),
    /// UDP datagrams out, put together from 1, 2, … pages, one after the other
    Fragments(datagram::FragmentsArgs),
    /// Requests, each sent when the last one was answered
    Exchange(exchange::Args),
    /// ICMP echo requests of many lengths
    Ping(ping::Args),
    /// UDP datagrams to a port where nobody listens, to see what becomes of them
    Reflect(reflect::Args),
    /// Ethernet frames of all lengths, to the broadcast address
    RawSend(raw::SendArgs),
    /// Checks frames that `raw-send` sends until all have come or time is over
    RawReceive(raw::ReceiveArgs),
}

/// So many milliseconds to wait for something, multiplied by how much slower the machine is than what they are meant for,
/// which the caller of the program knows.
fn patience(millis: u64) -> Duration {
    let pace = std::env::var("PACE")
        .ok()
        .and_then(|pace| pace.parse().ok());
    Duration::from_millis(millis) * pace.unwrap_or(1).max(1)
}

/// The program; `args` begins with its name. Content that is wrong is an error, whatever else was asked for.
pub fn main(args: &[String]) -> io::Result<()> {
    let cli = Cli::try_parse_from(args).map_err(io::Error::other)?;
    // A server begins an interval and does not end it: the other end's begins anew.
    mark::begin();
    let line = match cli.command {
        Command::Serve(args) => return serve::run(&args),
        Command::Tcp(args) => stream::run(&args)?,
        Command::Udp(args) => datagram::run(&args)?,
        Command::Fragments(args) => datagram::fragments(&args)?,
        Command::Exchange(args) => exchange::run(&args)?,
        Command::Ping(args) => ping::run(&args)?,
        Command::Reflect(args) => reflect::run(&args)?,
        Command::RawSend(args) => raw::send(&args)?,
        Command::RawReceive(args) => raw::receive(&args)?,
    };
    mark::end();
    println!("{line}");
    match line.wrong_content() {
        Some(what) => Err(io::Error::other(format!("the content is wrong: {what}"))),
        None => Ok(()),
    }
}
