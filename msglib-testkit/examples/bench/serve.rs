//! `bench serve …`: what runs in the process under measure. For the bench itself, not for people.

use crate::Result;
use crate::relay::Relay;
use crate::server::{READY, Shape};
use lexopt::prelude::*;
use msglib_broker::{Broker, ConnectionHandler};
use msglib_io_epoll::EpollSocketManager;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(crate) fn serve(options: &mut lexopt::Parser) -> Result<()> {
    // The word itself.
    options.next()?;
    let what = options.value()?.string()?;
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut spin = Duration::ZERO;
    let mut shape = Shape { publishers: 1, consumers: 1, frame: 0, fans_out: false };
    while let Some(option) = options.next()? {
        match option {
            Long("listen") => address = options.value()?.parse()?,
            Long("spin-us") => spin = Duration::from_micros(options.value()?.parse()?),
            Long("publishers") => shape.publishers = options.value()?.parse()?,
            Long("consumers") => shape.consumers = options.value()?.parse()?,
            Long("fan-out") => shape.fans_out = true,
            Long("frame") => shape.frame = options.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    end_with_the_parent();
    match what.as_str() {
        "broker" => broker(address, spin),
        "relay" => {
            let listener = std::net::TcpListener::bind(address)?;
            announce(listener.local_addr()?)?;
            Relay::accept(&listener, shape)?.run(spin)
        }
        other => Err(format!("cannot serve {other}: there is `broker` and `relay`").into()),
    }
}

/// The stock handler with its defaults, as `examples/broker.rs`.
fn broker(address: SocketAddr, spin: Duration) -> Result<()> {
    let manager = EpollSocketManager::builder().listen(address).spin(spin).build()?;
    announce(manager.local_addr().ok_or("the manager has no listener")?)?;
    Ok(Broker::new(ConnectionHandler::new(), manager).run()?)
}

fn announce(address: SocketAddr) -> Result<()> {
    println!("{READY}{address}");
    Ok(std::io::stdout().flush()?)
}

/// The parent holds the other end of the standard input.
fn end_with_the_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
