//! Bugs in what clients of topics and services are told, and in what becomes of what they say.

use super::output::say;
use msglib_broker::{
    Admission, ChannelName, ConnectionHandler, ConnectionId, Context, ErrorCode, Event, Frame, Frames, Handler, Hello,
    Native, Payload, QueueConfig, Reject,
};
use msglib_proto::{Cause, PublishOptions, SendQueue, Settling};
use msglib_testkit::simulate::featured::{HostAct, stock_handler};
use msglib_testkit::simulate::{Account, Setup, stock_books, stock_host};

/// Tells the handler something else than a frame; `nth` counts the frames of all.
pub type Rewrite = for<'a> fn(nth: u64, frame: Frame<'a>, tell: &mut dyn FnMut(Frame<'a>));

/// The stock handler, which is told something else.
pub struct Buggy {
    rewrite: Rewrite,
    inner: ConnectionHandler,
    frames: u64,
}

impl Buggy {
    pub fn new(rewrite: Rewrite, setup: &Setup) -> Buggy {
        Buggy { rewrite, inner: stock_handler(setup), frames: 0 }
    }

    pub fn host(
        &mut self,
        cx: &mut Context<'_>,
        queue: ChannelName<'static>,
        act: HostAct,
        config: &QueueConfig,
    ) -> bool {
        stock_host(&mut self.inner, cx, queue, act, config)
    }

    pub fn books(&self, name: ChannelName<'_>) -> Option<Account> {
        stock_books(&self.inner, name)
    }
}

impl Handler for Buggy {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        let Event::Frame { from, frame } = event else { return self.inner.handle(cx, event) };
        self.frames += 1;
        let mut result = Ok(());
        (self.rewrite)(self.frames, frame, &mut |frame| {
            let outcome = self.inner.handle(cx, Event::Frame { from, frame });
            if result.is_ok() {
                result = outcome;
            }
        });
        result
    }

    fn features(&self) -> u64 {
        self.inner.features()
    }

    fn started(&mut self, cx: &mut Context<'_>) {
        self.inner.started(cx);
    }

    fn frames(&mut self, cx: &mut Context<'_>, frames: Frames<'_, Native>) {
        let from = frames.from();
        frames.for_each(cx, |cx, frame| self.handle(cx, Event::Frame { from, frame }));
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.inner.end_of_step(cx);
    }
}

/// Bug by bug: what the handler is told instead.
macro_rules! tells {
    ($($name:ident: |$nth:ident, $tell:ident| { $($pattern:pat $(if $guard:expr)? => $body:expr),* $(,)? };)+) => {
        $(
            pub fn $name<'a>($nth: u64, frame: Frame<'a>, $tell: &mut dyn FnMut(Frame<'a>)) {
                let _ = $nth;
                match frame {
                    $($pattern $(if $guard)? => $body,)*
                    #[allow(unreachable_patterns, reason = "the honest one takes all")]
                    frame => $tell(frame),
                }
            }
        )+
    };
}

/// Whether it is a topic's.
fn is_topics(options: &PublishOptions<'_>) -> bool {
    options.topic.is_some()
}

tells! {
    nothing: |nth, tell| {};
    publishes_twice: |nth, tell| {
        frame @ Frame::PublishWith { options: PublishOptions { topic: Some(_), .. }, .. } if nth.is_multiple_of(5) => {
            tell(frame);
            tell(frame);
        },
    };
    publishes_nothing: |nth, tell| {
        Frame::PublishWith { options: PublishOptions { topic: Some(_), .. }, .. } if nth.is_multiple_of(5) => {},
    };
    publishes_elsewhere: |nth, tell| {
        Frame::PublishWith { link, number, confirm, retain, mut options, payload } if is_topics(&options) => {
            options.topic = Some(b"a");
            tell(Frame::PublishWith { link, number, confirm, retain, options, payload });
        },
    };
    keeps_nothing: |nth, tell| {
        Frame::PublishWith { link, number, confirm, options, payload, .. } if is_topics(&options) => {
            tell(Frame::PublishWith { link, number, confirm, retain: false, options, payload });
        },
    };
    keeps_everything: |nth, tell| {
        Frame::PublishWith { link, number, confirm, options, payload, .. } => {
            tell(Frame::PublishWith { link, number, confirm, retain: true, options, payload });
        },
    };
    forgets_answers: |nth, tell| { Frame::Reply { .. } if nth.is_multiple_of(5) => {} };
    refuses_what_is_answered: |nth, tell| {
        Frame::Reply { link, number, .. } => {
            tell(Frame::NoReply { link, number, code: ErrorCode::user(7), text: "not today" });
        },
    };
    waits_for_ever: |nth, tell| {
        Frame::Request { link, number, payload, .. } => {
            tell(Frame::Request { link, number, deadline_ms: u32::MAX, payload });
        },
    };
    waits_too_short: |nth, tell| {
        Frame::Request { link, number, deadline_ms, payload } => {
            tell(Frame::Request { link, number, deadline_ms: deadline_ms / 2, payload });
        },
    };
    asks_twice: |nth, tell| {
        frame @ Frame::Request { .. } => {
            tell(frame);
            tell(frame);
        },
    };
    forgets_delays: |nth, tell| {
        Frame::PublishWith { link, number, confirm, retain, mut options, payload } => {
            options.delay_ms = options.delay_ms.map(|_| 0);
            tell(Frame::PublishWith { link, number, confirm, retain, options, payload });
        },
    };
    delays_some: |nth, tell| {
        Frame::PublishWith { link, number, confirm, retain, mut options, payload } if nth.is_multiple_of(3) => {
            options.delay_ms = options.delay_ms.or(Some(1));
            tell(Frame::PublishWith { link, number, confirm, retain, options, payload });
        },
    };
    forgets_times_to_live: |nth, tell| {
        Frame::PublishWith { link, number, confirm, retain, mut options, payload } => {
            options.ttl_ms = None;
            tell(Frame::PublishWith { link, number, confirm, retain, options, payload });
        },
    };
    turns_priorities_round: |nth, tell| {
        Frame::PublishWith { link, number, confirm, retain, mut options, payload } => {
            options.priority = options.priority.map(|priority| 9 - priority);
            tell(Frame::PublishWith { link, number, confirm, retain, options, payload });
        },
    };
    forgets_keys: |nth, tell| {
        Frame::PublishWith { link, number, confirm, retain, mut options, payload } => {
            options.key = None;
            tell(Frame::PublishWith { link, number, confirm, retain, options, payload });
        },
    };
    takes_all_keys_for_one: |nth, tell| {
        Frame::PublishWith { link, number, confirm, retain, mut options, payload } => {
            options.key = options.key.map(|_| &b"z"[..]);
            tell(Frame::PublishWith { link, number, confirm, retain, options, payload });
        },
    };
    forgets_producers: |nth, tell| { Frame::Producer { .. } => {} };
    acks_what_is_extended: |nth, tell| {
        Frame::Settle { link, first, last, confirm, settling: Settling::Extend { .. } } => {
            tell(Frame::Settle { link, first, last, confirm, settling: Settling::Ack });
        },
    };
    extends_too_short: |nth, tell| {
        Frame::Settle { link, first, last, confirm, settling: Settling::Extend { .. } } => {
            tell(Frame::Settle { link, first, last, confirm, settling: Settling::Extend { lease_ms: 1 } });
        },
    };
    extends_too_long: |nth, tell| {
        Frame::Settle { link, first, last, confirm, settling: Settling::Extend { .. } } => {
            tell(Frame::Settle { link, first, last, confirm, settling: Settling::Extend { lease_ms: 1 << 40 } });
        },
    };
    has_it_again_at_once: |nth, tell| {
        Frame::Settle { link, first, last, confirm, settling: Settling::Again { priority, .. } } => {
            let settling = Settling::Again { delay_ms: Some(0), priority };
            tell(Frame::Settle { link, first, last, confirm, settling });
        },
    };
    acks_what_comes_again: |nth, tell| {
        Frame::Settle { link, first, last, confirm, settling: Settling::Again { .. } } => {
            tell(Frame::Settle { link, first, last, confirm, settling: Settling::Ack });
        },
    };
    kills_what_comes_again: |nth, tell| {
        Frame::Settle { link, first, last, confirm, settling: Settling::Again { .. } } => {
            tell(Frame::Settle { link, first, last, confirm, settling: Settling::ForGood });
        },
    };
    acks_what_is_dead: |nth, tell| {
        Frame::Settle { link, first, last, confirm, settling: Settling::ForGood } => {
            tell(Frame::Settle { link, first, last, confirm, settling: Settling::Ack });
        },
    };
    settles_all: |nth, tell| {
        Frame::Ack { link, .. } => tell(Frame::Ack { link, first: 1, last: u64::MAX }),
    };
    says_nothing_of_settlings: |nth, tell| {
        Frame::Settle { link, first, last, settling, .. } => {
            tell(Frame::Settle { link, first, last, confirm: false, settling });
        },
    };
    allows_nothing: |nth, tell| { Frame::Credit { upto, .. } if upto >= 100 => {} };
}

/// Bug by bug: what is said instead of a frame.
macro_rules! says {
    ($($name:ident: |$nth:ident, $out:ident| { $($pattern:pat $(if $guard:expr)? => $body:expr),+ $(,)? };)+) => {
        $(
            pub fn $name($nth: u64, frame: &Frame<'_>, $out: &mut SendQueue) {
                let _ = $nth;
                match *frame {
                    $($pattern $(if $guard)? => $body,)+
                    _ => say($out, frame),
                }
            }
        )+
    };
}

says! {
    names_another_topic: |nth, out| {
        Frame::DeliveryWith { link, tag, count, retained, mut options, payload } if options.topic.is_some() => {
            options.topic = Some(b"a/b/c/d");
            say(out, &Frame::DeliveryWith { link, tag, count, retained, options, payload });
        },
    };
    names_no_topic: |nth, out| {
        Frame::DeliveryWith { link, tag, count, retained: false, options, payload } if options.topic.is_some() => {
            say(out, &Frame::Delivery { link, tag, count, payload });
        },
    };
    changes_what_is_told: |nth, out| {
        Frame::DeliveryWith { link, tag, count, retained, options, payload } => {
            let mut changed = payload.to_vec();
            changed.push(1);
            let payload = Payload::from(&changed);
            say(out, &Frame::DeliveryWith { link, tag, count, retained, options, payload });
        },
    };
    keeps_what_is_new: |nth, out| {
        Frame::DeliveryWith { link, tag, count, options, payload, .. } => {
            say(out, &Frame::DeliveryWith { link, tag, count, retained: true, options, payload });
        },
    };
    takes_last_values_for_new: |nth, out| {
        Frame::DeliveryWith { link, tag, count, retained: true, options, payload } if options.topic.is_some() => {
            say(out, &Frame::DeliveryWith { link, tag, count, retained: false, options, payload });
        },
    };
    loses_gaps: |nth, out| { Frame::Gap { .. } => {} };
    tells_gaps_twice: |nth, out| {
        Frame::Gap { link, lost } => for _ in 0..2 { say(out, &Frame::Gap { link, lost }) },
    };
    tells_twice: |nth, out| {
        ref frame @ Frame::DeliveryWith { .. } => for _ in 0..2 { say(out, frame) },
    };
    skips_a_tag: |nth, out| {
        Frame::DeliveryWith { link, tag, count, retained, options, payload } => {
            say(out, &Frame::DeliveryWith { link, tag: tag + 1, count, retained, options, payload });
        },
    };
    replies_twice: |nth, out| { ref frame @ Frame::Reply { .. } => for _ in 0..2 { say(out, frame) } };
    replies_to_another: |nth, out| {
        Frame::Reply { link, number, payload } if number > 1 => {
            say(out, &Frame::Reply { link, number: number - 1, payload });
        },
    };
    loses_replies: |nth, out| { Frame::Reply { .. } => {} };
    loses_refusals: |nth, out| { Frame::NoReply { .. } if nth.is_multiple_of(3) => {} };
    changes_replies: |nth, out| {
        Frame::Reply { link, number, .. } => say(out, &Frame::Reply { link, number, payload: Payload::from("yes") }),
    };
    is_out_of_time: |nth, out| {
        Frame::Reply { link, number, .. } => {
            say(out, &Frame::NoReply { link, number, code: ErrorCode::TIMED_OUT, text: "" });
        },
    };
    has_more_time: |nth, out| {
        Frame::Request { link, number, deadline_ms, payload } => {
            say(out, &Frame::Request { link, number, deadline_ms: deadline_ms + 1, payload });
        },
    };
    settles_one_more: |nth, out| {
        Frame::Settled { link, first, last, count } => {
            say(out, &Frame::Settled { link, first, last, count: count + 1 });
        },
    };
    confirms_what_is_refused: |nth, out| {
        Frame::Refused { link, last, code: ErrorCode::QUEUE_FULL, .. } => {
            say(out, &Frame::Confirmed { link, upto: last });
        },
    };
    tells_no_cause: |nth, out| {
        Frame::DeliveryWith { link, tag, count, options, payload, .. } if options.cause.is_some() => {
            say(out, &Frame::Delivery { link, tag, count, payload });
        },
    };
    tells_another_cause: |nth, out| {
        Frame::DeliveryWith { link, tag, count, retained, mut options, payload } if options.cause.is_some() => {
            options.cause = options.cause.map(|cause| Cause { reason: ErrorCode::DROPPED, ..cause });
            say(out, &Frame::DeliveryWith { link, tag, count, retained, options, payload });
        },
    };
    tells_one_hop_more: |nth, out| {
        Frame::DeliveryWith { link, tag, count, retained, mut options, payload } if options.cause.is_some() => {
            options.cause = options.cause.map(|cause| Cause { hops: cause.hops + 1, ..cause });
            say(out, &Frame::DeliveryWith { link, tag, count, retained, options, payload });
        },
    };
    counts_no_attempts: |nth, out| {
        Frame::DeliveryWith { link, tag, retained, options, payload, .. } => {
            say(out, &Frame::DeliveryWith { link, tag, count: 1, retained, options, payload });
        },
    };
    asks_with_other_words: |nth, out| {
        Frame::Request { link, number, deadline_ms, .. } => {
            say(out, &Frame::Request { link, number, deadline_ms, payload: Payload::from("what?") });
        },
    };
}

/// Bug by bug: what the host program does with a queue.
macro_rules! acts {
    ($($name:ident: $forgets:ident;)+) => {
        $(
            pub fn $name(
                handler: &mut ConnectionHandler,
                cx: &mut Context<'_>,
                queue: ChannelName<'static>,
                act: HostAct,
                config: &QueueConfig,
            ) -> bool {
                act == HostAct::$forgets || stock_host(handler, cx, queue, act, config)
            }
        )+
    };
}

acts! {
    forgets_to_pause: Pause;
    forgets_to_resume: Resume;
    forgets_to_purge: Purge;
}

/// Bug by bug: what the books say.
macro_rules! says_of_itself {
    ($($name:ident: |$ledger:ident| $body:expr;)+) => {
        $(
            pub fn $name(handler: &ConnectionHandler, name: ChannelName<'_>) -> Option<Account> {
                let mut account = stock_books(handler, name)?;
                let $ledger = &mut account.ledger;
                $body;
                Some(account)
            }
        )+
    };
}

says_of_itself! {
    takes_drops_for_purges: |ledger| {
        ledger.purged += ledger.dropped.oldest + ledger.dropped.newest;
        (ledger.dropped.oldest, ledger.dropped.newest) = (0, 0);
    };
    mixes_up_drops: |ledger| {
        (ledger.dropped.oldest, ledger.dropped.newest) = (ledger.dropped.newest, ledger.dropped.oldest);
    };
    has_more_than_it_may: |ledger| {
        let more = if ledger.ready >= 3 { 20 } else { 0 };
        (ledger.accepted, ledger.ready) = (ledger.accepted + more, ledger.ready + more);
    };
    never_replaces: |ledger| {
        ledger.dropped.newest += ledger.dropped.replaced;
        ledger.dropped.replaced = 0;
    };
    forgets_what_it_dropped: |ledger| {
        ledger.accepted -= ledger.dropped.total();
        ledger.dropped = Default::default();
    };
}

/// Somebody else at the door.
#[derive(Debug)]
pub enum Keeper {
    LetsEverybodyIn,
    SendsFriendsAway,
    ForgetsWhoWaits,
    DoesNotWait,
}

impl Keeper {
    /// The stock handler with it.
    pub fn handler(self, setup: &Setup) -> ConnectionHandler {
        // So that the clients know that there is a door.
        drop(setup.door.keeper());
        ConnectionHandler::with_config(setup.stock.clone()).with_admission(self)
    }
}

macro_rules! doors {
    ($($name:ident: $keeper:ident;)+) => {
        $(
            pub fn $name(setup: &Setup) -> ConnectionHandler {
                Keeper::$keeper.handler(setup)
            }
        )+
    };
}

doors! {
    lets_everybody_in: LetsEverybodyIn;
    sends_friends_away: SendsFriendsAway;
    forgets_who_waits: ForgetsWhoWaits;
    does_not_wait: DoesNotWait;
}

impl Admission for Keeper {
    fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
        let refusal = || Reject::new(ErrorCode::BAD_CREDENTIALS, "a stranger");
        match (&self, hello.credentials) {
            (Keeper::LetsEverybodyIn, _) => Ok(()),
            (Keeper::SendsFriendsAway, b"friend") => Err(refusal()),
            (Keeper::ForgetsWhoWaits, b"unknown") => cx.answer_later(from).map(drop),
            (_, b"stranger") => Err(refusal()),
            _ => Ok(()),
        }
    }
}
