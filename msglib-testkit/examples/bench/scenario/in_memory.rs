//! The broker alone: no socket, no second thread. What is left is its own work, and a copy in place of the kernel's.

use crate::Result;
use crate::frames::{self, Publishes, bytes_of};
use crate::machine::CpuClock;
use crate::sample::Sample;
use msglib_broker::{Broker, ConnectionHandler};
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::Frame;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Messages between two moves of the broker: as many as are in flight for one publisher elsewhere.
const BATCH: u64 = 1_000;
/// Bytes of a delivery of 128 bytes on the wire.
const DELIVERY: usize = 24 + 128;

/// Publish, deliver, ack, for `time`; the time for making the bytes is not in it.
pub(super) fn measure(ack_each: bool, warm_up: Duration, time: Duration) -> Result<Sample> {
    let mut world = World::new(ack_each)?;
    let begin = Instant::now();
    while begin.elapsed() < warm_up {
        world.batch()?;
    }
    let (published, mut cpu, mut wall) = (world.published, Duration::ZERO, Duration::ZERO);
    while wall < time {
        let (batch_cpu, batch_wall) = world.batch()?;
        cpu += batch_cpu;
        wall += batch_wall;
    }
    let queue = world.broker.handler().queue(1).ok_or("the queue is gone")?;
    if queue.ledger.acked != world.published {
        return Err(format!("{} messages published, {} acked", world.published, queue.ledger.acked).into());
    }
    Ok(Sample::new(world.published - published, wall, cpu))
}

/// A broker between a publisher and a consumer.
struct World {
    broker: Broker<ConnectionHandler, InMemoryConnectionManager>,
    publisher: MemoryStream,
    consumer: MemoryStream,
    publishes: Publishes,
    ack_each: bool,
    published: u64,
    block: Vec<u8>,
    clock: CpuClock,
}

impl World {
    fn new(ack_each: bool) -> Result<World> {
        let transport = Transport::builder().pipe_capacity(1 << 20).build();
        let manager = InMemoryConnectionManager::new(&transport, "broker")?;
        let mut broker = Broker::new(ConnectionHandler::new(), manager);
        let (mut publisher, mut consumer) = (transport.connect("broker")?, transport.connect("broker")?);
        publisher.write_all(&bytes_of([frames::hello(), frames::open(1, 1, true)])?)?;
        let credit = Frame::Credit { link: 1, upto: u64::MAX };
        consumer.write_all(&bytes_of([frames::hello(), frames::open(1, 1, false), credit])?)?;
        let mut block = vec![0; 1 << 20];
        while !broker.process_connections()?.is_idle() {}
        skim(&mut publisher, &mut block)?;
        skim(&mut consumer, &mut block)?;
        let (publishes, clock) = (Publishes::encode(&[128; BATCH as usize])?, CpuClock::of_this_thread());
        Ok(World { broker, publisher, consumer, publishes, ack_each, published: 0, block, clock })
    }

    /// One batch all the way through, and the CPU and wall time of that.
    fn batch(&mut self) -> Result<(Duration, Duration)> {
        let (first, last) = (self.published + 1, self.published + BATCH);
        let ack = |first, last| Frame::Ack { link: 1, first, last };
        let acks = match self.ack_each {
            true => bytes_of((first..=last).map(|tag| ack(tag, tag)))?,
            false => bytes_of([ack(first, last)])?,
        };
        let (_, publishes) = self.publishes.take(BATCH, first, first, 0);
        self.published = last;

        let (begin, cpu) = (Instant::now(), self.clock.now()?);
        self.publisher.write_all(publishes)?;
        // The deliveries take more than one step where they are more than a connection's high-water mark.
        let mut due = BATCH as usize * DELIVERY;
        while due > 0 {
            self.broker.process_connections()?;
            due -= skim(&mut self.consumer, &mut self.block)?;
        }
        self.consumer.write_all(&acks)?;
        self.broker.process_connections()?;
        skim(&mut self.publisher, &mut self.block)?;
        Ok((self.clock.now()? - cpu, begin.elapsed()))
    }
}

/// Reads all that is there, and returns how much that is.
fn skim(stream: &mut MemoryStream, block: &mut [u8]) -> Result<usize> {
    let mut read = 0;
    loop {
        match stream.read(block) {
            Ok(0) => return Err("the broker has closed a connection".into()),
            Ok(n) => read += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(read),
            Err(error) => return Err(error.into()),
        }
    }
}
