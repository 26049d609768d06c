//! A client that outlives its broker: it connects again, subscribes again, and publishes again what has no outcome, while a heart
//! watches over each connection. Here one thread waits for jobs and another publishes them, and the broker is stopped and started.
//!
//! Run it with `cargo run --example reconnect`.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{Broker, ConnectionHandler, Stop};
use msglib_client::{Connection, Error, Reconnecting};
use msglib_io_epoll::{EpollSocketManager, Pause, connect, seed};
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long an attempt to connect, a read and a write may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A broker that says nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(20);

/// Any of the broker's addresses will do.
fn client(addresses: Vec<SocketAddr>) -> Reconnecting {
    let connect = move || {
        let stream = connect(&addresses[..], TIMEOUT)?;
        let (reader, handle) = (stream.try_clone()?, stream.try_clone()?);
        let builder = Connection::builder().peer(stream.peer_addr()?).idle(IDLE);
        let connection = builder.unblock_with(move || drop(handle.shutdown())).build_from_halves(reader, stream)?;
        let mut heart = connection.heart();
        thread::spawn(move || {
            while heart.beat().is_ok() {
                thread::sleep(heart.interval().unwrap_or(IDLE / 2));
            }
        });
        Ok(connection)
    };
    let pause = Pause::new();
    let waits = pause.clone();
    Reconnecting::builder(seed()).wake_with(move || pause.end()).build(connect, move |why, time| {
        println!("client: {why}; again in {time:?}");
        waits.wait(time);
    })
}

fn main() -> Result<(), Failure> {
    let (address, stop, broker) = serve("[::1]:0".parse()?)?;
    let client = client(vec![address]);
    let worker = thread::spawn({
        let client = client.clone();
        move || work(&client)
    });
    let mut jobs = client.publisher_to_q("jobs")?;
    jobs.publish("first")?;
    jobs.wait()?;

    stop.stop();
    broker.join().map_err(|_| "the broker panicked")??;
    println!("broker: gone");
    let (_, stop, broker) = serve(address)?;

    jobs.publish("last")?;
    jobs.wait()?;
    worker.join().map_err(|_| "the worker panicked")??;
    client.close()?;
    stop.stop();
    broker.join().map_err(|_| "the broker panicked")?
}

fn work(client: &Reconnecting) -> Result<(), Error> {
    let mut jobs = client.subscribe_to_queue("jobs", 10)?;
    loop {
        match jobs.next() {
            Ok(job) => {
                println!("worker: the {} job", String::from_utf8_lossy(job.payload()));
                let is_last = job.payload() == b"last";
                // If that is too late, for its connection has ended, the job comes again.
                let _ = job.ack();
                if is_last {
                    return Ok(());
                }
            }
            // There was none within the stream's time-out.
            Err(error) if error.is_would_block() => {}
            Err(error) => return Err(error),
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Serving = (SocketAddr, Stop, JoinHandle<Result<(), Failure>>);

fn serve(address: SocketAddr) -> Result<Serving, Failure> {
    let sockets = EpollSocketManager::bind(address)?;
    let address = sockets.local_addr().ok_or("it has a listener")?;
    let mut broker = Broker::new(ConnectionHandler::new(), sockets);
    let stop = broker.stopper();
    let thread = thread::spawn(move || {
        broker.run()?;
        broker.shutdown(Duration::from_secs(1))?;
        Ok(())
    });
    Ok((address, stop, thread))
}
