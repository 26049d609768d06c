//! What a hook of the user's does wrong, or takes long for, stays with whom it is about (I37): two witnesses on a queue notice nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{
    Admission, Channel, ChannelContext, ChannelKind, ChannelLink, ConnectionHandler, ConnectionId, Context, ErrorCode,
    Hello, Identity, Open, Payload, PendingAnswer, Publication, Reject,
};
use msglib_client::{Connection, Error, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_proto::ChannelName;
use msglib_testkit::Harness;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ODD: ChannelKind = ChannelKind(0x8001);

/// Where the odd client meets its fault; to everyone else the hooks are kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hook {
    Admit,
    Open,
    Opened,
    Published,
    Frame,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Refuse,
    Panic,
    Wait,
}

#[derive(Clone)]
struct Hooks {
    at: Hook,
    does: Does,
    waiting: Arc<Mutex<Vec<PendingAnswer>>>,
}

impl Hooks {
    fn reached(&self, hook: Hook) -> Result<(), Reject> {
        match self.does {
            _ if hook != self.at => Ok(()),
            Does::Panic => panic!("the hook {hook:?} panics"),
            Does::Refuse => Err(Reject::new(ErrorCode::NOT_ALLOWED, format!("{hook:?} says no"))),
            Does::Wait => Ok(()),
        }
    }

    fn wait(&self, cx: &mut Context<'_>, from: ConnectionId, hook: Hook) -> Result<(), Reject> {
        if matches!(self.does, Does::Wait) && hook == self.at {
            self.waiting.lock().unwrap().push(cx.answer_later(from)?);
        }
        Ok(())
    }
}

impl Admission for Hooks {
    fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
        cx.set_identity(from, Identity::new(hello.name));
        if hello.name != "odd" {
            return Ok(());
        }
        self.reached(Hook::Admit)?;
        self.wait(cx, from, Hook::Admit)
    }
    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        if open.kind != ODD {
            return Ok(());
        }
        self.reached(Hook::Open)?;
        self.wait(cx, from, Hook::Open)
    }
}

impl Channel for Hooks {
    fn opened(&mut self, _: &mut ChannelContext<'_>, _: ChannelLink, _: &Open<'_>) -> Result<(), Reject> {
        self.reached(Hook::Opened)
    }
    fn published(&mut self, _: &mut ChannelContext<'_>, _: ChannelLink, _: Publication<'_>) -> Result<(), Reject> {
        self.reached(Hook::Published)
    }
    fn frame(
        &mut self,
        _: &mut ChannelContext<'_>,
        _: ChannelLink,
        _: u16,
        _: u16,
        _: Payload<'_>,
    ) -> Result<(), Reject> {
        self.reached(Hook::Frame)
    }
}

/// A broker with the hooks, two witnesses, and the odd client.
struct Scene {
    harness: Harness<ConnectionHandler>,
    hooks: Hooks,
    witnesses: (Connection, msglib_client::Subscription),
    seen: u32,
    odd: Connection,
}

fn client(harness: &Harness<ConnectionHandler>, name: &str) -> Connection {
    Connection::builder().name(name).non_blocking(true).build(harness.connect_raw()).unwrap()
}

impl Scene {
    fn new(at: Hook, does: Does) -> Scene {
        let hooks = Hooks { at, does, waiting: Arc::default() };
        let channel = hooks.clone();
        let handler = ConnectionHandler::new()
            .with_admission(hooks.clone())
            .with_channel(ODD, move |_: ChannelName<'_>| channel.clone());
        let harness = Harness::new(handler);
        let (sender, receiver, odd) =
            (client(&harness, "sender"), client(&harness, "receiver"), client(&harness, "odd"));
        let subscription = blocking_pull_subscribe_to_queue(&receiver, "witnesses").unwrap();
        Scene { harness, hooks, witnesses: (sender, subscription), seen: 0, odd }
    }

    /// The odd client does all that it can.
    fn provoke(&mut self) {
        let _ = self.odd.publish_confirmed(ODD, "odd", "something");
        let _ = self.odd.send_user(0x8000, 0, 1, "a frame on its link");
    }

    /// One message goes from witness to witness.
    fn witness(&mut self) {
        self.seen += 1;
        let text = format!("message {}", self.seen);
        publish_to_q(&self.witnesses.0, "witnesses", &text).unwrap();
        let seen = self.harness.step_until_message(&mut self.witnesses.1);
        assert_eq!((seen.payload(), seen.count()), (text.as_bytes(), 1));
        seen.ack().unwrap();
    }
}

#[test]
fn a_hook_that_refuses_ends_what_it_is_asked_about_and_no_more() {
    for at in [Hook::Admit, Hook::Open, Hook::Opened, Hook::Published, Hook::Frame] {
        let mut scene = Scene::new(at, Does::Refuse);
        scene.witness();
        let outcome = scene.odd.publish_confirmed(ODD, "odd", "something");
        let odd = scene.odd.clone();
        let told = scene.harness.step_until_done("an outcome", || outcome.as_ref().map_err(Clone::clone)?.wait());
        if at == Hook::Frame {
            told.unwrap();
            odd.send_user(0x8000, 0, 1, "a frame on its link").unwrap();
            let ended = scene.harness.step_until_done("the end", || odd.next_user()).unwrap_err();
            assert!(ended.to_string().contains("Frame says no"), "{ended}");
        } else {
            let told = told.unwrap_err();
            assert!(told.to_string().contains(&format!("{at:?} says no")), "{told}");
            let goes_on = scene.harness.step_until_done("another queue", || odd.publish_to_q("else", "x")).is_ok();
            assert_eq!(goes_on, at != Hook::Admit, "{at:?}: only a hello that is refused ends the connection");
        }
        scene.witness();
        assert_eq!(scene.harness.broker().counters().rejected, 1);
    }
}

#[test]
fn a_hook_that_takes_its_time_holds_up_whom_it_is_asked_about_alone() {
    for at in [Hook::Admit, Hook::Open] {
        let mut scene = Scene::new(at, Does::Wait);
        scene.provoke();
        (0..10).for_each(|_| scene.witness());
        assert_eq!(scene.harness.handler().channels(), 0);
        scene.hooks.waiting.lock().unwrap().remove(0).allow();
        scene.harness.settle();
        assert_eq!(scene.harness.handler().channels(), 1, "{at:?}: what it sent meanwhile counts now");
        scene.witness();

        let mut scene = Scene::new(at, Does::Wait);
        scene.provoke();
        scene.witness();
        scene.harness.advance(Duration::from_secs(10));
        scene.witness();
        assert_eq!((scene.harness.handler().channels(), scene.harness.broker().counters().answer_timeouts), (0, 1));
    }
}

/// As the docs of `Handler` say: it unwinds through the broker, which is to be dropped, and everyone learns it.
#[test]
fn a_hook_that_panics_ends_the_step_and_a_broker_that_is_dropped_lets_nobody_wait() {
    for at in [Hook::Admit, Hook::Open, Hook::Opened, Hook::Published, Hook::Frame] {
        let mut scene = Scene::new(at, Does::Panic);
        scene.provoke();
        let panic = catch_unwind(AssertUnwindSafe(|| scene.harness.settle())).unwrap_err();
        assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains(&format!("{at:?} panics"))));
        let Scene { harness, witnesses: (sender, mut subscription), odd, .. } = scene;
        drop(harness);
        for ended in [subscription.next().map(|_| ()).unwrap_err(), odd.ping().unwrap_err(), sender.ping().unwrap_err()]
        {
            assert!(matches!(ended, Error::ConnectionLost { .. } | Error::Io(_)), "{ended:?}");
        }
    }
}
