// SPDX-License-Identifier: GPL-2.0

//! The end that does what the other one asks for.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::request::{self, PORT};
use crate::{datagram, exchange, stream};

#[derive(clap::Args)]
pub struct Args {
    /// The port to listen on, on all addresses of both families
    #[arg(long, default_value_t = PORT)]
    port: u16,
}

/// Serves for ever.
pub fn run(args: &Args) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, args.port)).into())?;
    socket.listen(64)?;
    for connection in TcpListener::from(socket).incoming() {
        let connection = connection?;
        thread::spawn(move || {
            if let Err(error) = one(connection) {
                // The other end sees its connection close; why stands here.
                eprintln!("netload: {error}");
            }
        });
    }
    Ok(())
}

fn one(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let request = request::receive(&mut connection)?;
    match request.get::<String>("want")?.as_str() {
        "tcp-sink" => stream::sink(connection, &request),
        "tcp-source" => stream::source(connection, &request),
        "udp-sink" => datagram::sink(connection),
        "udp-source" => datagram::source(connection, &request),
        "echo" => exchange::echo(connection, &request),
        other => Err(io::Error::other(format!("nobody knows what {other} is"))),
    }
}
