//! The plain path of so many messages, to be counted from outside: `plain_path MODE MESSAGES`.
//!
//! It does the same each time, instruction by instruction: one thread, a fixed seed, no clock that matters. `.ci/exact.py`
//! runs it under valgrind. It prints what its peers have written and read, a name and a number on each line.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

#[path = "../benches/world/mod.rs"]
mod world;

use msglib_broker::ConnectionManager;
use msglib_io_epoll::EpollSocketManager;
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use world::BATCH;
use world::clients::Clients;
use world::fan_out::FanOut;
use world::peers::{Batch, Script, World};

const HELP: &str = "\
Takes messages of 128 bytes from a publisher to a consumer, in batches of 1,000.

usage: plain_path MODE MESSAGES
  ranges   in memory, each batch acked at once
  each     in memory, each message acked on its own
  waiting  in memory, and each batch waits in the queue before the consumer allows it
  fan-out  in memory, from a publisher to 16 subscribers to its topic
  client   in memory, with two clients: each message confirmed, and acked on its own
  sockets  as ranges, over loopback TCP";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plain_path: {error}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().ok_or("in which mode?")?;
    let messages: u64 = arguments.next().ok_or("how many messages?")?.parse()?;
    let batches = messages.div_ceil(BATCH);
    match &*mode {
        "ranges" => peers(World::in_memory(Script::Ranges), batches),
        "each" => peers(World::in_memory(Script::Each), batches),
        "waiting" => peers(World::in_memory(Script::Waiting), batches),
        "fan-out" => fan_out(batches),
        "client" => clients(batches),
        "sockets" => peers(over_sockets()?, batches),
        _ => return Err(format!("there is no mode {mode:?}").into()),
    }
    Ok(())
}

fn peers<M: ConnectionManager, S: Read + Write>(mut world: World<M, S>, batches: u64) {
    // Made beforehand, so that the broker alone uses the heap while it works.
    let batches: Vec<Batch> = (0..batches).map(|_| world.batch()).collect();
    for batch in &batches {
        world.run(batch);
    }
    world.finish();
    let traffic = world.traffic;
    println!("publisher_wrote {}", traffic.publisher_wrote);
    println!("publisher_read {}", traffic.publisher_read);
    println!("consumer_wrote {}", traffic.consumer_wrote);
    println!("consumer_read {}", traffic.consumer_read);
}

fn fan_out(batches: u64) {
    let mut world = FanOut::in_memory();
    let batches: Vec<Vec<u8>> = (0..batches).map(|_| world.batch()).collect();
    for batch in &batches {
        world.run(batch);
    }
    world.finish();
}

fn clients(batches: u64) {
    let mut clients = Clients::in_memory();
    for _ in 0..batches {
        clients.run();
    }
    let counters = *clients.broker.counters();
    clients.finish();
    println!("clients_wrote {}", counters.bytes_received);
    println!("clients_read {}", counters.bytes_sent);
}

/// Sockets that hold a batch, each way, whatever the system would give them: so a batch is one read and one write.
fn over_sockets() -> Result<World<EpollSocketManager, TcpStream>, Box<dyn Error>> {
    let mut manager = EpollSocketManager::builder().build()?;
    let listener = socket()?;
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    listener.listen(2)?;
    let address = listener.local_addr()?;
    manager.adopt_listener(listener.into())?;
    let world = World::new(manager, Script::Ranges, || {
        let socket = socket().expect("descriptors are left");
        socket.connect(&address).expect("the broker listens");
        socket.set_nonblocking(true).expect("a socket can be made so");
        TcpStream::from(socket)
    });
    println!("publisher_descriptor {}", world.publisher.as_raw_fd());
    println!("consumer_descriptor {}", world.consumer.as_raw_fd());
    Ok(world)
}

fn socket() -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    // The greatest that Linux gives everybody unless it was told otherwise (`net.core.rmem_max`).
    socket.set_recv_buffer_size(212_992)?;
    socket.set_send_buffer_size(212_992)?;
    Ok(socket)
}
