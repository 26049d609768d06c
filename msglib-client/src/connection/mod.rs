//! The blocking client: a session, and a stream that its bytes come and go through.

mod answers;
mod builder;
mod by_name;
mod call;
mod consuming;
mod deliveries;
mod delivery;
mod one_stream;
mod outside;
mod publish;
mod publisher;
mod publishing;
mod refusals;
mod requests;
mod service;
mod settlement;
mod shared;
mod state;
mod subscription;
mod topics;
mod user_inbox;

pub use builder::Builder;
pub use call::Half;
pub use deliveries::Deliveries;
pub use delivery::{Delivery, Settler};
pub use outside::{Heart, Stopper};
pub use publish::{Confirmation, publish_to_q, publish_to_q_confirmed};
pub use publisher::{Batch, Publisher};
pub use refusals::{Refusal, Refusals};
pub use requests::{PendingReply, request};
pub use service::{Request, Service, serve};
pub use settlement::Settlement;
pub use subscription::{Iter, Subscription, blocking_pull_subscribe_to_queue, subscribe_with_prefetch};
pub use topics::{publish_retained_to_topic, publish_to_topic, subscribe_to_topic};

use crate::error::Error;
use crate::session::{BrokerInfo, SessionError, UserFrame};
use core::fmt;
use core::task::Poll;
use core::time::Duration;
use msglib_proto::{ChannelKind, ChannelName, Feature, Payload, PublishOptions, QueueSettings};
use publishing::Extras;
use shared::Shared;
use std::io::{Read, Write};
use std::sync::Arc;

/// A connection to a broker; a cheap handle that can be cloned, sent and shared.
///
/// It is made over a stream that exists: it opens no socket, starts no thread and reads no clock. Nothing is written or
/// read but when it is made and within the calls made on it, so how long a call waits is up to the stream: for ever, up to
/// its time-out, or not at all.
///
/// # Every call can be made again
///
/// When the stream does not wait any longer, a call returns an error for which
/// [`is_would_block`](Error::is_would_block) holds. Nothing is lost then, and the same call can be made again: nothing is
/// sent twice, nothing is pulled twice.
///
/// - A publish that returns such an error was **not** accepted; repeat it. One that returns `Ok` was accepted into this
///   side's send buffer, and its bytes go out with this call or with later ones of any kind
///   ([`flush`](Connection::flush) does nothing else). It waits for credit, and for room: the send buffer has 1 MiB (of
///   which a message takes at most half, however large it is).
/// - Each publish makes a write of its own, which costs more than all else about it; for many messages there is
///   [`Publisher::batch`].
/// - A call that waits for something both writes what waits and reads what comes, whatever it is.
///
/// After an error for which [`ends_connection`](Error::ends_connection) holds, every further call returns the same.
///
/// # Threads
///
/// Over two [halves](Connection::from_halves) one thread can wait for a delivery while others publish and settle. At most
/// one thread reads; others that wait for something are woken when the reader has brought it, or take the reading over.
/// Over [one stream](Connection::new) that waits, a thread that waits for a message keeps all others from writing: that is
/// for one thread, or for streams that do not wait.
///
/// # The end
///
/// [`close`](Connection::close) is the orderly end. When the last handle is dropped without it (publishers, subscriptions,
/// deliveries and confirmations count as handles), what waits is written, with a goodbye, as far as the stream takes it.
///
/// # Time
///
/// How long a read or a write waits is the stream's business; how long a whole call may take, however many of them it needs, is said with
/// [`Builder::call_timeout`], or for one handle with [`with_call_timeout`](Connection::with_call_timeout). When it is over the call returns
/// [`Error::DeadlineOver`] and the connection goes on: nothing is half done, and the same call can be made again. Only the outcome that was
/// waited for is not known. A call that waits while another thread writes ends no sooner than that write; while another reads, see
/// [`Builder::wait_with`].
///
/// # Silence
///
/// A broker may give up a client that is silent for longer than [`BrokerInfo::idle_ms`] says, and a broker that is gone may be so
/// without a word. For both there is a [`heart`](Connection::heart).
///
/// # From outside
///
/// A [`stopper`](Connection::stopper) ends the connection at once, and with it the calls that wait.
///
/// ```no_run
/// use msglib_client::{Connection, Error};
/// use std::net::TcpStream;
///
/// let stream = TcpStream::connect(("::1", 12345))?;
/// stream.set_nodelay(true)?; // else small writes can wait 40 ms for each other
/// let connection = Connection::from_halves(stream.try_clone()?, stream);
/// connection.publish_to_q("greetings", "Hello, world!")?;
/// connection.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    /// How long each call on this handle may take in all.
    within: Option<Duration>,
}

impl Connection {
    /// A connection over one stream: for one thread, or for a stream that does not wait.
    ///
    /// The `HELLO` is written at once, as far as the stream takes it; if that fails, the first call says so.
    pub fn new<S: Read + Write + Send + 'static>(stream: S) -> Connection {
        Connection::builder().build(stream).expect("a HELLO without name and credentials has an encoding")
    }

    /// A connection over the two halves of a stream, for any number of threads. The `HELLO` is
    /// written as by [`new`](Connection::new).
    ///
    /// Two handles of one socket will do, as `TcpStream::try_clone` makes them.
    pub fn from_halves<R, W>(reader: R, writer: W) -> Connection
    where
        R: Read + Send + 'static,
        W: Write + Send + 'static,
    {
        let connection = Connection::builder().build_from_halves(reader, writer);
        connection.expect("a HELLO without name and credentials has an encoding")
    }

    /// To say more about the client than nothing.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Publishes to a queue and waits for no outcome; as [`publish_to_q`].
    ///
    /// # Errors
    ///
    /// As [`publish_to_q`].
    pub fn publish_to_q<'n, 'p>(
        &self,
        q_id: impl Into<ChannelName<'n>>,
        payload: impl Into<Payload<'p>>,
    ) -> Result<(), Error> {
        self.publish(ChannelKind::QUEUE, q_id, payload)
    }

    /// Publishes to a queue and asks to be told the outcome; as [`publish_to_q_confirmed`].
    ///
    /// # Errors
    ///
    /// As [`publish_to_q`].
    pub fn publish_to_q_confirmed<'n, 'p>(
        &self,
        q_id: impl Into<ChannelName<'n>>,
        payload: impl Into<Payload<'p>>,
    ) -> Result<Confirmation, Error> {
        self.publish_confirmed(ChannelKind::QUEUE, q_id, payload)
    }

    /// As [`publish_to_q`], to a channel of any kind.
    ///
    /// # Errors
    ///
    /// As [`publish_to_q`].
    pub fn publish<'n, 'p>(
        &self,
        kind: ChannelKind,
        name: impl Into<ChannelName<'n>>,
        payload: impl Into<Payload<'p>>,
    ) -> Result<(), Error> {
        publish::publish(self, &self.call("publish"), kind, name.into(), payload.into(), false, None).map(|_| ())
    }

    /// As [`publish_to_q_confirmed`], to a channel of any kind.
    ///
    /// # Errors
    ///
    /// As [`publish_to_q`].
    pub fn publish_confirmed<'n, 'p>(
        &self,
        kind: ChannelKind,
        name: impl Into<ChannelName<'n>>,
        payload: impl Into<Payload<'p>>,
    ) -> Result<Confirmation, Error> {
        let id = publish::publish(self, &self.call("publish"), kind, name.into(), payload.into(), true, None)?;
        Ok(Confirmation::new(self.clone(), id))
    }

    /// As [`publish_confirmed`](Connection::publish_confirmed), with a delay, a time to live, a priority or a key (PROTOCOL §15.2).
    ///
    /// ```no_run
    /// # use msglib_client::{ChannelKind, Connection, Error, PublishOptions};
    /// # use std::time::Duration;
    /// # fn example(connection: &Connection) -> Result<(), Error> {
    /// let tomorrow = PublishOptions::default().with_delay(Duration::from_secs(86_400)).with_priority(3);
    /// connection.publish_with(ChannelKind::QUEUE, "reminders", "water the plants", &tomorrow)?.wait()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`publish_to_q`]; [`Error::NotAgreed`] if the broker has no such queues.
    pub fn publish_with<'n, 'p>(
        &self,
        kind: ChannelKind,
        name: impl Into<ChannelName<'n>>,
        payload: impl Into<Payload<'p>>,
        options: &PublishOptions<'_>,
    ) -> Result<Confirmation, Error> {
        let extras = Extras { retain: false, options: *options };
        let id = publish::publish(self, &self.call("publish"), kind, name.into(), payload.into(), true, Some(&extras))?;
        Ok(Confirmation::new(self.clone(), id))
    }

    /// Sees to it that a queue is there, with these settings (PROTOCOL §15.1), and waits for the broker's word.
    ///
    /// ```no_run
    /// # use msglib_client::{Connection, Error, QueueOrder, QueueSettings};
    /// # fn example(connection: &Connection) -> Result<(), Error> {
    /// let settings = QueueSettings { order: Some(QueueOrder::Priority), lease_ms: Some(30_000), ..Default::default() };
    /// connection.declare_queue("jobs", &settings)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::LinkClosed`] with the reason when the broker refuses, as [`ErrorCode::DECLARED_OTHERWISE`](crate::ErrorCode::DECLARED_OTHERWISE) for a queue that is there with
    /// others; [`Error::NotAgreed`] if the broker has no such queues; and as every call: see [`Connection`].
    pub fn declare_queue<'n>(&self, q_id: impl Into<ChannelName<'n>>, settings: &QueueSettings) -> Result<(), Error> {
        let call = self.call("declare_queue");
        call.agree_on(Feature::Queues)?;
        let (name, settings) = (q_id.into(), settings.encode());
        call.wait(|state| state.declare(name, &settings))
    }

    /// Subscribes to a queue that has these settings, or is made with them (PROTOCOL §15.1); `prefetch` is as in
    /// [`subscribe_with_prefetch`]. Waits for the broker's greeting.
    ///
    /// # Errors
    ///
    /// As [`blocking_pull_subscribe_to_queue`], and [`Error::NotAgreed`] if the broker has no such queues.
    pub fn subscribe_to_queue_with<'n>(
        &self,
        q_id: impl Into<ChannelName<'n>>,
        settings: &QueueSettings,
        prefetch: u32,
    ) -> Result<Subscription, Error> {
        let call = self.call("subscribe");
        call.agree_on(Feature::Queues)?;
        Subscription::open(self, &call, ChannelKind::QUEUE, q_id.into(), &settings.encode(), prefetch)
    }

    /// As [`publisher_to_q`](Connection::publisher_to_q), for a producer that is known across connections: what it has to publish again,
    /// for it was not told the outcome before its connection ended, has no second effect (PROTOCOL §15.6).
    ///
    /// `id` is the producer's own, random, so that no two have the same, and not 0. The publish with number n of the new publisher is the
    /// `base` + n-th of this producer to this queue: 0 at first, and on a new connection the old base and what was
    /// [answered](Publisher::answered) of the old publisher; then publish again, in their order, those that had no outcome.
    ///
    /// # Errors
    ///
    /// As [`publisher_to_q`](Connection::publisher_to_q); [`Error::NotAgreed`] if the broker knows no producers; [`Error::Invalid`] for the
    /// id 0. Waits for the broker's greeting.
    pub fn producer_to_q<'n>(&self, q_id: impl Into<ChannelName<'n>>, id: u128, base: u64) -> Result<Publisher, Error> {
        let call = self.call("producer");
        call.agree_on(Feature::Queues)?;
        let publisher = Publisher::open(self, &call, ChannelKind::QUEUE, q_id.into(), &[])?;
        publisher.produce(&call, id, base)?;
        Ok(publisher)
    }

    /// In how long the broker will end the connection, counted from when it said so, if it has (PROTOCOL §18): settle what is held, and
    /// connect elsewhere or later. It does not read: what has come with other calls counts.
    pub fn going_away(&self) -> Option<Duration> {
        self.shared.lock().going_away.map(|ms| Duration::from_millis(ms.into()))
    }

    /// Another handle on the same connection, each call of which may take so long in all, and no longer; `None` is as long as the stream
    /// waits. What is made with it, a publisher or a subscription say, has the same. A call whose time is over says
    /// [`Error::DeadlineOver`], and can be made again.
    ///
    /// # Panics
    ///
    /// When the connection was built without a [`clock`](Builder::clock).
    pub fn with_call_timeout(&self, within: Option<Duration>) -> Connection {
        let has_clock = within.is_none() || self.shared.clock().is_some();
        assert!(has_clock, "a call timeout needs a clock, which Builder::clock takes");
        Connection { shared: self.shared.clone(), within }
    }

    /// A link of its own to a queue, to publish many messages on: see [`Publisher`].
    ///
    /// Returns without waiting for the broker's answer; if it refuses, the first call that waits says so.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyLinks`], and as every call: see [`Connection`].
    ///
    /// # Panics
    ///
    /// For a text as name that is empty or above 255 bytes (see [`ChannelName`]).
    pub fn publisher_to_q<'n>(&self, q_id: impl Into<ChannelName<'n>>) -> Result<Publisher, Error> {
        self.publisher(ChannelKind::QUEUE, q_id)
    }

    /// As [`publisher_to_q`](Connection::publisher_to_q), to a channel of any kind.
    ///
    /// # Errors
    ///
    /// As [`publisher_to_q`](Connection::publisher_to_q); [`Error::Invalid`] for the kind 0.
    pub fn publisher<'n>(&self, kind: ChannelKind, name: impl Into<ChannelName<'n>>) -> Result<Publisher, Error> {
        Publisher::open(self, &self.call("publisher"), kind, name.into(), &[])
    }

    /// Subscribes to a channel of any kind, with arguments in the channel's own format (at most 4,096 bytes; none for a
    /// queue). `prefetch` is as in [`subscribe_with_prefetch`].
    ///
    /// # Errors
    ///
    /// As [`blocking_pull_subscribe_to_queue`]; [`Error::Invalid`] for arguments that are too long, or the kind 0.
    pub fn subscribe<'n>(
        &self,
        kind: ChannelKind,
        name: impl Into<ChannelName<'n>>,
        arguments: &[u8],
        prefetch: u32,
    ) -> Result<Subscription, Error> {
        Subscription::open(self, &self.call("subscribe"), kind, name.into(), arguments, prefetch)
    }

    /// The refusals of publishes that nobody waits for, since the last call: those without a
    /// [`Confirmation`], or whose confirmation was dropped. It does not read: what has come with other calls counts.
    ///
    /// At most 256 are kept, the rest is counted.
    pub fn take_refusals(&self) -> Refusals {
        self.shared.lock().refusals.take()
    }

    /// Asks the broker for a sign of life and waits for it. A ping that is under way answers for this one too.
    ///
    /// # Errors
    ///
    /// As every call: see [`Connection`].
    pub fn ping(&self) -> Result<(), Error> {
        let mut mine = None;
        self.call("ping").wait(|state| state.ping(&mut mine))
    }

    /// What the broker said of itself when it took this client; waits for it if it has not yet.
    ///
    /// # Errors
    ///
    /// As every call: see [`Connection`]. A broker that does not take the client is an [`Error::FailedByBroker`].
    pub fn welcome(&self) -> Result<BrokerInfo, Error> {
        self.call("welcome").wait(|state| match state.session.welcome() {
            Some(welcome) => Poll::Ready(state.check_alive().map(|()| welcome.clone())),
            None => Poll::Pending,
        })
    }

    /// Writes all that waits: accepted publishes, credit, and the acks that wait for company.
    ///
    /// # Errors
    ///
    /// As every call: see [`Connection`].
    pub fn flush(&self) -> Result<(), Error> {
        let call = self.call("flush");
        let mut state = self.shared.lock();
        state.session.flush_all_acks();
        drop(state);
        self.shared.flush(&call).or_else(|error| call.explain(error))?;
        self.shared.lock().check_alive()
    }

    /// Sends a frame of the user's own; `kind` is `0x8000` or above (PROTOCOL §12.3). Accepted as a publish is.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for another kind, [`Error::TooLarge`], and as every call: see [`Connection`].
    pub fn send_user<'p>(&self, kind: u16, flags: u16, link: u32, body: impl Into<Payload<'p>>) -> Result<(), Error> {
        let body = body.into();
        self.call("send_user").wait(|state| {
            state.check_alive()?;
            if !state.has_room_for(body.len()) {
                return Poll::Pending;
            }
            match state.session.send_user(kind, flags, link, body) {
                Err(SessionError::BeforeWelcome) => Poll::Pending,
                result => Poll::Ready(result.map_err(Error::from)),
            }
        })
    }

    /// Waits for the next frame of the user's own from the broker.
    ///
    /// Nothing on the wire limits them, so here at most 1,024 frames and 1 MiB wait; what comes beyond is dropped and
    /// [counted](Connection::dropped_user_frames).
    ///
    /// # Errors
    ///
    /// As every call: see [`Connection`].
    pub fn next_user(&self) -> Result<UserFrame, Error> {
        self.call("next_user").wait(|state| {
            state.check_alive()?;
            state.user.pop().map_or(Poll::Pending, |frame| Poll::Ready(Ok(frame)))
        })
    }

    /// How many of the user's frames were dropped because nobody took them.
    pub fn dropped_user_frames(&self) -> u64 {
        self.shared.lock().user.dropped()
    }

    /// Says goodbye behind all that waits, and waits until the broker has answered what it owes and has said its own.
    /// From the first call on every other call but [`Confirmation::wait`] and [`Publisher::wait`] returns
    /// [`Error::Closed`]; deliveries that are not settled go back to their queues. Closing again is harmless.
    ///
    /// # Errors
    ///
    /// As every call: see [`Connection`]. If the broker ends the connection otherwise, how.
    pub fn close(&self) -> Result<(), Error> {
        self.call("close").wait(|state| {
            let said = state.session.said_goodbye();
            let result = state.close();
            if !said && state.session.said_goodbye() {
                // Those who wait for deliveries shall look again.
                self.shared.notify();
            }
            result
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Connection")
            .field("welcome", &state.session.welcome())
            .field("ended", &state.ended())
            .finish_non_exhaustive()
    }
}
