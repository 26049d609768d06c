//! A broker inside of a program that takes part itself: its clients come over sockets, its own parts over memory, all of
//! them with the same API and the same rights.
//!
//! Run it with `cargo run --example participant`: a remote client asks for work, a thread of this program does it, and the
//! broker's own thread looks on.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{Connection, Error, subscribe_with_prefetch};
use msglib_io_epoll::{EpollSocketManager, connect};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::transport::CompositeConnectionManager;
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two ways in, one broker.
    let inside = Transport::new();
    let memory = InMemoryConnectionManager::new(&inside, "broker")?;
    let sockets = EpollSocketManager::bind("[::1]:0")?;
    let address = sockets.local_addr().ok_or("it has a listener")?;
    let mut broker = Broker::new(ConnectionHandler::new(), CompositeConnectionManager::new((memory, sockets)));

    // On another thread: a stream that waits for the broker, as a socket would.
    let stream = inside.connect("broker")?;
    stream.set_blocking(true);
    let worker = thread::spawn(move || work(&Connection::from_halves(stream.clone(), stream)));

    // From elsewhere: nothing new.
    let remote = Connection::new(connect(address, Duration::from_secs(10))?);
    let remote = thread::spawn(move || -> Result<(), Error> {
        for number in 1..=3 {
            remote.publish_to_q("numbers", &format!("{number}"))?;
        }
        remote.close()
    });

    // On the broker's own thread: nothing may wait, and what would is tried again after a step.
    let own = Connection::builder().non_blocking(true).build(inside.connect("broker")?)?;
    let mut squares = subscribe_with_prefetch(&own, "squares", 10)?;
    let mut seen = 0;
    while seen < 3 {
        broker.process_connections()?;
        while let Some(square) = squares.try_next()? {
            println!("a square: {}", String::from_utf8_lossy(square.payload()));
            square.ack()?;
            seen += 1;
        }
    }
    let end = broker.shutdown(Duration::from_secs(1))?;
    println!("{} said goodbye, {} were cut off", end.orderly, end.aborted);
    drop(broker);
    remote.join().map_err(|_| "the remote client panicked")??;
    worker.join().map_err(|_| "the worker panicked")?;
    Ok(())
}

/// Squares numbers until the broker says goodbye.
fn work(connection: &Connection) -> Option<()> {
    let mut numbers = subscribe_with_prefetch(connection, "numbers", 1).ok()?;
    loop {
        let message = numbers.next().ok()?;
        let number: u64 = std::str::from_utf8(message.payload()).ok()?.parse().ok()?;
        connection.publish_to_q("squares", &(number * number).to_string()).ok()?;
        message.ack().ok()?;
    }
}
