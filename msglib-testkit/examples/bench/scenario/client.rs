//! The blocking client as a user would have it, beside the load that this benchmark makes with frames encoded beforehand: what does the
//! client's own CPU time come to, and does a consumer keep up with a publisher? First the one, then the other, for both have one core.

use crate::Result;
use crate::load::Load;
use crate::machine::{CpuClock, pin};
use crate::plan::Plan;
use crate::sample::Sample;
use crate::server::Server;
use crate::target::Target;
use msglib_client::{Connection, subscribe_with_prefetch};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Not the one of the load before it.
const QUEUE: u64 = 2;
/// As much as the load has in flight.
const PREFETCH: u32 = 1_000;
/// As the load tops up its window.
const BATCH: usize = 250;
const PAYLOAD: [u8; 128] = [b'x'; 128];
/// Messages that wait in between: far below the limit of a queue.
const MOST: u64 = 2_000_000;

pub(super) fn measure(
    server: &Server,
    target: &Target,
    core: usize,
    warm_up: Duration,
    time: Duration,
) -> Result<Sample> {
    let load = Load::connect(server, target, &Plan::new(1, 1))?.steady(warm_up, time / 2)?;
    let busy = load.generator_busy.ok_or("the load has measured no time of its own")?;
    let generator = busy * load.wall.as_nanos() as f64 / load.messages as f64;

    let cpu = server.cpu()?;
    let published = publish(server, core, time / 2)?;
    let consumed = consume(server, core, published.messages)?;
    let client = published.cpu_each() + consumed.cpu_each();
    let mut sample = Sample::new(published.messages, published.wall + consumed.wall, server.cpu()? - cpu);
    sample.peak = server.peak_resident()?;
    Ok(sample
        .with_figure("the client's own CPU", client, "ns/msg")
        .with_figure("of it for publishing", published.cpu_each(), "ns/msg")
        .with_figure("the load's own CPU", generator, "ns/msg")
        .with_figure("the one by the other", client / generator, "×")
        .with_figure("publishing", published.rate(), "msgs/s")
        .with_figure("consuming", consumed.rate(), "msgs/s"))
}

/// What one side did, and what it cost its thread.
struct Side {
    messages: u64,
    wall: Duration,
    cpu: Duration,
}

impl Side {
    fn cpu_each(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.messages as f64
    }

    fn rate(&self) -> f64 {
        self.messages as f64 / self.wall.as_secs_f64()
    }
}

fn publish(server: &Server, core: usize, time: Duration) -> Result<Side> {
    alone(core, || {
        let connection = connect(server)?;
        let mut publisher = connection.publisher_to_q(QUEUE)?;
        let (begin, mut messages) = (Instant::now(), 0);
        while begin.elapsed() < time && messages < MOST {
            let mut batch = publisher.batch();
            for _ in 0..BATCH {
                messages = batch.publish(&PAYLOAD)?;
            }
        }
        publisher.wait()?;
        connection.close()?;
        Ok(messages)
    })
}

fn consume(server: &Server, core: usize, messages: u64) -> Result<Side> {
    alone(core, || {
        let connection = connect(server)?;
        let mut subscription = subscribe_with_prefetch(&connection, QUEUE, PREFETCH)?;
        let mut left = messages;
        while left > 0 {
            let batch = subscription.next_batch(BATCH)?;
            left -= batch.len() as u64;
            batch.ack()?;
        }
        connection.close()?;
        Ok(messages)
    })
}

/// In a thread of its own, for its clock.
fn alone(core: usize, work: impl Fn() -> Result<u64> + Sync) -> Result<Side> {
    let run = || {
        pin(core)?;
        let begin = Instant::now();
        let messages = work()?;
        Ok(Side { messages, wall: begin.elapsed(), cpu: CpuClock::of_this_thread().now()? })
    };
    let joined = std::thread::scope(|scope| scope.spawn(|| run().map_err(|error: Error| error.to_string())).join());
    Ok(joined.map_err(|_| "the client's thread panicked")??)
}

type Error = Box<dyn std::error::Error>;

fn connect(server: &Server) -> Result<Connection> {
    let stream = TcpStream::connect(server.address)?;
    stream.set_nodelay(true)?;
    Ok(Connection::from_halves(stream.try_clone()?, stream))
}
