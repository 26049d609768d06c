//! Two honest clients with a door of their own, where the transport has no faults: the misbehaviour of others is all that they could notice,
//! and they must not. One publishes some messages at a steady pace, the other receives; each is confirmed, delivered once and in its turn, and timed.

use msglib_client::{Confirmation, Connection, Error, Subscription, subscribe_with_prefetch};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nobody else's queue has this name.
pub(crate) const QUEUE: &str = "witness";
/// From some messages to the next, if the first are through by then …
const PACE: Duration = Duration::from_millis(100);
/// … and how many there are each time.
const AT_ONCE: u64 = 20;
/// How often a witness at rest says something, so that the broker does not give it up.
const BEAT: Duration = Duration::from_millis(400);
/// What takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who else is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Company {
    Honest,
    Abusive,
}

/// What was seen in one kind of company.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) time: Duration,
    /// From the publish to the delivery, in microseconds, of each message; in the end the fastest first.
    latencies: Vec<u32>,
    /// Refusals for the moment, after which the message was published again.
    pub(crate) busy: u64,
}

pub(crate) struct Witnesses {
    orders: Sender<Order>,
    thread: Option<JoinHandle<Result<[Seen; 2], String>>>,
}

enum Order {
    Watch(Company),
    /// Nothing is under way when it is answered.
    Rest(Sender<()>),
}

impl Seen {
    pub(crate) fn messages(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn rate(&self) -> f64 {
        self.messages() as f64 / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// In microseconds; of the messages so many per cent were as fast, or faster.
    pub(crate) fn percentile(&self, per_cent: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * per_cent / 100).copied().unwrap_or(0).into()
    }
}

impl Witnesses {
    pub(crate) fn start(address: SocketAddr) -> Witnesses {
        let (orders, to_do) = channel();
        let thread = std::thread::spawn(move || Pair::connect(address).and_then(|pair| pair.watch(&to_do)));
        Witnesses { orders, thread: Some(thread) }
    }

    /// From here on they are in such company.
    pub(crate) fn watch(&mut self, company: Company) -> crate::Result<()> {
        self.order(Order::Watch(company))
    }

    /// They finish what is under way.
    pub(crate) fn rest(&mut self) -> crate::Result<()> {
        let (done, is_done) = channel();
        self.order(Order::Rest(done))?;
        is_done.recv().or_else(|_| self.failed())
    }

    /// What they have seen, of [`Company::Honest`] and [`Company::Abusive`].
    pub(crate) fn end(mut self) -> crate::Result<[Seen; 2]> {
        // The thread ends when nobody can order anything any more.
        self.orders = channel().0;
        Ok(self.join()?)
    }

    fn order(&mut self, order: Order) -> crate::Result<()> {
        self.orders.send(order).or_else(|_| self.failed())
    }

    fn failed(&mut self) -> crate::Result<()> {
        self.join()?;
        Err("the witnesses have gone".into())
    }

    fn join(&mut self) -> Result<[Seen; 2], String> {
        let thread = self.thread.take().ok_or("the witnesses have gone")?;
        thread.join().unwrap_or_else(|_| Err("the witnesses have panicked".to_owned()))
    }
}

struct Pair {
    publisher: Connection,
    consumer: Connection,
    subscription: Subscription,
    number: u64,
}

impl Pair {
    fn connect(address: SocketAddr) -> Result<Pair, String> {
        let connect = || -> Result<Connection, String> {
            let stream = msglib_io_epoll::connect(address, PATIENCE).map_err(|error| error.to_string())?;
            Ok(Connection::new(stream))
        };
        let (publisher, consumer) = (connect()?, connect()?);
        let subscription = subscribe_with_prefetch(&consumer, QUEUE, 100).map_err(|error| error.to_string())?;
        Ok(Pair { publisher, consumer, subscription, number: 0 })
    }

    fn watch(mut self, to_do: &Receiver<Order>) -> Result<[Seen; 2], String> {
        let mut seen = <[Seen; 2]>::default();
        let mut now: Option<(Company, Instant)> = None;
        let mut wait = BEAT;
        loop {
            let order = to_do.recv_timeout(wait);
            if !matches!(order, Err(RecvTimeoutError::Timeout))
                && let Some((company, since)) = now.take()
            {
                seen[company as usize].time += since.elapsed();
            }
            match order {
                Ok(Order::Watch(company)) => now = Some((company, Instant::now())),
                Ok(Order::Rest(done)) => drop(done.send(())),
                Err(RecvTimeoutError::Disconnected) => {
                    seen.iter_mut().for_each(|seen| seen.latencies.sort_unstable());
                    return Ok(seen);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let began = Instant::now();
            wait = match now {
                Some((company, _)) => {
                    self.exchange(&mut seen[company as usize])?;
                    PACE.saturating_sub(began.elapsed())
                }
                None => {
                    self.beat()?;
                    BEAT
                }
            };
        }
    }

    /// Some messages, through.
    fn exchange(&mut self, seen: &mut Seen) -> Result<(), String> {
        let mut left: Vec<u64> = (self.number + 1..=self.number + AT_ONCE).collect();
        self.number += AT_ONCE;
        let began = Instant::now();
        while !left.is_empty() {
            if began.elapsed() > PATIENCE {
                return Err(format!("a witness has noticed: {} messages are refused for too long", left.len()));
            }
            let asked = left.drain(..).map(|number| Ok((number, self.publish(number)?, Instant::now())));
            let mut accepted = Vec::new();
            for (number, confirmation, since) in asked.collect::<Result<Vec<_>, String>>()? {
                match confirmation.wait() {
                    Ok(()) => accepted.push((number, since)),
                    // Over its marks the broker takes nothing from anybody, and says so; later it does.
                    Err(error) if matches!(error, Error::Refused { .. }) && error.is_worth_retrying() => {
                        left.push(number);
                    }
                    Err(error) => return Err(noticed(&error)),
                }
            }
            seen.busy += left.len() as u64;
            if !left.is_empty() {
                // The consumer has nothing to do meanwhile, and must not be taken for one who has gone.
                self.beat()?;
            }
            for (number, since) in accepted {
                self.receive(number)?;
                seen.latencies.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
        }
        // In a rest nothing may be unsettled.
        self.consumer.flush().map_err(|error| noticed(&error))
    }

    fn publish(&self, number: u64) -> Result<Confirmation, String> {
        self.publisher.publish_to_q_confirmed(QUEUE, &number.to_be_bytes()).map_err(|error| noticed(&error))
    }

    fn receive(&mut self, number: u64) -> Result<(), String> {
        let delivery = self.subscription.next().map_err(|error| noticed(&error))?;
        if delivery.payload() != number.to_be_bytes() || delivery.count() != 1 {
            let (got, count) = (delivery.payload().escape_ascii(), delivery.count());
            return Err(format!("a witness waits for message {number} and gets {got}, attempt {count}"));
        }
        delivery.ack().map_err(|error| noticed(&error))
    }

    fn beat(&self) -> Result<(), String> {
        let pings = self.publisher.ping().and_then(|()| self.consumer.ping());
        pings.map_err(|error| noticed(&error))
    }
}

fn noticed(error: &Error) -> String {
    format!("a witness has noticed: {error}")
}
