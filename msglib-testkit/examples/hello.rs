//! One message goes from a publisher through *your* broker to a consumer: first in memory, then over a socket.
//!
//! `cargo run --release --example hello`
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{Connection, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_epoll::{EpollSocketManager, SocketStream};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    in_memory()?;
    over_a_socket()
}

/// Everything on this thread: nothing moves unless we say so.
fn in_memory() -> Result<(), Failure> {
    println!("In memory, on one thread:");
    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker")?;
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let sender = Connection::new(transport.connect("broker")?);
    let receiver = Connection::new(transport.connect("broker")?);

    publish_to_q(&sender, "greetings", "Hello, world!")?;
    println!("  the publisher has said \"Hello, world!\"; the broker has not moved yet");
    let mut subscription = blocking_pull_subscribe_to_queue(&receiver, "greetings")?;
    for step in 1..=10 {
        broker.process_connections()?;
        match subscription.next() {
            Ok(message) => {
                println!("  after step {step} the consumer has {:?}", String::from_utf8_lossy(message.payload()));
                message.ack()?;
                break;
            }
            Err(error) if error.is_would_block() => println!("  after step {step} the consumer has nothing yet"),
            Err(error) => return Err(error.into()),
        }
    }
    broker.process_connections()?;
    if let Some(queue) = broker.handler().queue("greetings") {
        println!("  the broker's books: {} accepted, {} acked\n", queue.ledger.accepted, queue.ledger.acked);
    }
    Ok(())
}

/// The same handler, on sockets: publisher and consumer on threads of their own, the broker on this one.
fn over_a_socket() -> Result<(), Failure> {
    let manager = EpollSocketManager::bind("[::1]:0")?;
    let address = manager.local_addr().ok_or("the manager listens")?;
    println!("Over a socket, at {address}:");
    let mut broker = Broker::new(ConnectionHandler::new(), manager);

    let consumer = std::thread::spawn(move || {
        let subscribed = Connection::new(connect(address)?);
        let mut subscription = blocking_pull_subscribe_to_queue(&subscribed, "greetings")?;
        let message = subscription.next()?;
        println!("  the consumer's thread has {:?}", String::from_utf8_lossy(message.payload()));
        message.ack()?;
        subscribed.close()?;
        Ok::<(), Failure>(())
    });
    let publisher = std::thread::spawn(move || {
        let connection = Connection::new(connect(address)?);
        publish_to_q(&connection, "greetings", "Hello, world!")?;
        println!("  the publisher's thread has said \"Hello, world!\"");
        connection.close()?;
        Ok::<(), Failure>(())
    });
    broker.run_until(|_| consumer.is_finished() && publisher.is_finished())?;
    for thread in [consumer, publisher] {
        match thread.join() {
            Ok(result) => result?,
            Err(_) => return Err("a client's thread panicked".into()),
        }
    }
    if let Some(queue) = broker.handler().queue("greetings") {
        println!("  the broker's books: {} accepted, {} acked", queue.ledger.accepted, queue.ledger.acked);
    }
    Ok(())
}

fn connect(address: std::net::SocketAddr) -> std::io::Result<SocketStream> {
    msglib_io_epoll::connect(address, Duration::from_secs(10))
}
