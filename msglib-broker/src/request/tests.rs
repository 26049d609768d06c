use super::*;
use msglib_proto::ErrorCode;

/// A service with a store of its own, and a clock; callers and responders are letters.
struct Fixture {
    store: Store,
    requests: Requests<char>,
    now: Instant,
}

impl Fixture {
    fn new(config: RequestsConfig) -> Fixture {
        Fixture { store: Store::new(), requests: Requests::new(config), now: Instant::ZERO }
    }

    fn request(&mut self, caller: CallerId, number: u64, within_ms: u64) -> Result<(), RequestsFull> {
        let within = Some(Duration::from_millis(within_ms));
        self.requests.request(&mut self.store, self.now, caller, number, within, "request")
    }

    fn advance(&mut self, ms: u64) -> usize {
        self.now += Duration::from_millis(ms);
        self.requests.expire(&mut self.store, self.now, usize::MAX)
    }

    /// Hands over all that can be: responder and tag.
    fn handed(&mut self) -> Vec<(char, u64)> {
        let mut handed = Vec::new();
        self.requests.dispatch(&mut self.store, self.now, usize::MAX, |offer| {
            handed.push((*offer.responder, offer.tag));
            Ok(())
        });
        handed
    }

    /// Tells all that can be: caller, number, outcome.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        self.requests.dispatch_outcomes(&mut self.store, usize::MAX, |offer| {
            told.push(format!("{}{} {:?}", offer.caller, offer.number, offer.outcome));
            Ok(())
        });
        assert!(self.requests.ledger().is_balanced(), "{:?}", self.requests.ledger());
        told
    }
}

fn service() -> Fixture {
    Fixture::new(RequestsConfig::default())
}

#[test]
fn responders_take_turns_as_far_as_their_credit_goes() {
    let mut service = service();
    let (a, x, y) =
        (service.requests.add_caller('a'), service.requests.add_responder('x'), service.requests.add_responder('y'));
    for number in 1..=5 {
        service.request(a, number, 100).unwrap();
    }
    assert!(!service.requests.can_dispatch());
    service.requests.allow(x, 10);
    service.requests.allow(y, 2);
    assert_eq!(service.handed(), [('x', 1), ('y', 1), ('x', 2), ('y', 2), ('x', 3)]);
}

#[test]
fn each_outcome_in_its_words() {
    let mut service = service();
    let a = service.requests.add_caller('a');
    service.request(a, 1, 100).unwrap();
    let x = service.requests.add_responder('x');
    service.requests.allow(x, 3);
    for number in 2..=5 {
        service.request(a, number, 100).unwrap();
    }
    service.handed();
    service.requests.reply(&mut service.store, x, 1, "yes").unwrap();
    service.requests.refuse(&mut service.store, x, 2, ErrorCode::NOT_ALLOWED, "no").unwrap();
    service.requests.remove_responder(&mut service.store, x);
    let y = service.requests.add_responder('y');
    service.request(a, 6, 100).unwrap();
    assert_eq!(service.advance(100), 1);
    assert!(service.handed().is_empty());
    assert_eq!(service.requests.reply(&mut service.store, y, 1, "never asked"), Err(Late));
    let told = service.told();
    assert_eq!(
        told,
        [
            "a1 NoResponder",
            "a2 Reply(\"yes\")",
            "a3 Refused { code: NOT_ALLOWED (0x0302), text: \"no\" }",
            "a4 ResponderGone",
            "a5 NoResponder",
            "a6 TimedOut"
        ]
    );
    assert!(service.requests.is_empty());
}

#[test]
fn a_late_answer_has_no_effect_and_is_counted() {
    let mut service = service();
    let (a, x) = (service.requests.add_caller('a'), service.requests.add_responder('x'));
    service.requests.allow(x, 9);
    service.request(a, 1, 5).unwrap();
    service.request(a, 2, 9).unwrap();
    service.handed();
    service.advance(5);
    assert_eq!(service.requests.reply(&mut service.store, x, 1, "late"), Err(Late));
    assert_eq!(service.requests.reply(&mut service.store, x, 2, "in time"), Ok(()));
    assert_eq!(service.requests.reply(&mut service.store, x, 2, "twice"), Err(Late));
    assert_eq!(service.requests.refuse(&mut service.store, x, 0, ErrorCode::NONE, "no tag"), Err(Late));
    assert_eq!(service.told(), ["a1 TimedOut", "a2 Reply(\"in time\")"]);
    assert_eq!(service.requests.ledger().late, 3);
    assert_eq!(service.store.payloads(), 0);
}

#[test]
fn what_is_over_holds_neither_credit_nor_span() {
    let mut service = Fixture::new(RequestsConfig::default().with_max_in_hand(1));
    let (a, b) = (service.requests.add_caller('a'), service.requests.add_caller('b'));
    let x = service.requests.add_responder('x');
    service.requests.allow(x, 9);
    service.request(a, 1, 5).unwrap();
    service.request(b, 1, 100).unwrap();
    service.request(a, 2, 100).unwrap();
    assert_eq!(service.handed(), [('x', 1)]);
    service.advance(5);
    assert_eq!(service.handed(), [('x', 2)], "the first has timed out");
    service.requests.remove_caller(&mut service.store, b);
    assert_eq!(service.handed(), [('x', 3)], "the second has nobody who waits for it");
    assert_eq!(service.requests.ledger().abandoned, 1);
}

#[test]
fn a_caller_that_goes_away_is_told_nothing() {
    let mut service = service();
    let (a, x) = (service.requests.add_caller('a'), service.requests.add_responder('x'));
    service.requests.allow(x, 2);
    for number in 1..=3 {
        service.request(a, number, 100).unwrap();
    }
    service.handed();
    service.requests.reply(&mut service.store, x, 1, "unheard").unwrap();
    assert!(service.requests.remove_caller(&mut service.store, a));
    assert_eq!(service.requests.reply(&mut service.store, x, 2, "to whom?"), Err(Late));
    assert!(service.told().is_empty() && service.requests.is_empty());
    let ledger = service.requests.ledger();
    assert_eq!((ledger.abandoned, ledger.unheard, service.store.payloads()), (2, 1, 0));
    service.request(a, 4, 100).unwrap();
    assert_eq!(service.requests.ledger().requested, 3, "and cannot ask any more");
}

#[test]
fn limits_hold_at_n_and_at_n_and_one() {
    let size = "request".len() + OVERHEAD;
    for config in [RequestsConfig::default().with_max_pending(2), RequestsConfig::default().with_max_bytes(2 * size)] {
        let mut service = Fixture::new(config);
        let (a, x) = (service.requests.add_caller('a'), service.requests.add_responder('x'));
        service.request(a, 1, 100).unwrap();
        service.request(a, 2, 100).unwrap();
        assert_eq!(service.request(a, 3, 100), Err(RequestsFull { requests: 2, bytes: 2 * size }));
        assert_eq!(service.requests.ledger().turned_away, 1);
        service.requests.remove_responder(&mut service.store, x);
        service.told();
        service.request(a, 4, 100).unwrap();
    }
}

/// Without it a caller that asks where nobody answers, and does not read, would take memory without end.
#[test]
fn outcomes_that_nobody_takes_count_as_requests() {
    let mut service = Fixture::new(RequestsConfig::default().with_max_pending(2));
    let a = service.requests.add_caller('a');
    service.request(a, 1, 100).unwrap();
    service.request(a, 2, 100).unwrap();
    assert!(service.request(a, 3, 100).is_err());
    assert_eq!(service.told().len(), 2);
    service.request(a, 4, 100).unwrap();
}

#[test]
fn replies_that_a_caller_does_not_take_are_bounded_and_it_is_told_so() {
    let mut service = Fixture::new(RequestsConfig::default().with_max_replies(2 * (4 + OVERHEAD)));
    let (a, x) = (service.requests.add_caller('a'), service.requests.add_responder('x'));
    service.requests.allow(x, 9);
    for number in 1..=4 {
        service.request(a, number, 100).unwrap();
    }
    service.handed();
    for tag in 1..=3 {
        service.requests.reply(&mut service.store, x, tag, "1234").unwrap();
    }
    assert_eq!(service.told(), ["a1 Reply(\"1234\")", "a2 Reply(\"1234\")", "a3 CallerTooSlow"]);
    service.requests.reply(&mut service.store, x, 4, &"large".repeat(100)).unwrap();
    assert!(service.told()[0].starts_with("a4 Reply("), "one that is too large waits alone");
}

#[test]
fn no_deadline_is_longer_than_the_services_own() {
    let mut service = Fixture::new(RequestsConfig::default().with_deadline(Duration::from_millis(10)));
    let a = service.requests.add_caller('a');
    service.requests.add_responder('x');
    service.request(a, 1, 1_000_000).unwrap();
    service.requests.request(&mut service.store, service.now, a, 2, None, "").unwrap();
    assert_eq!(service.requests.next_deadline(), Some(Instant::from_nanos(10_000_000)));
    assert_eq!(service.advance(9), 0);
    assert_eq!(service.advance(1), 2);
    assert_eq!(service.requests.next_deadline(), None);
}

#[test]
fn the_blocked_do_not_stop_the_others() {
    let mut service = service();
    let (a, b) = (service.requests.add_caller('a'), service.requests.add_caller('b'));
    service.request(a, 1, 100).unwrap();
    service.request(b, 1, 100).unwrap();
    let mut told = String::new();
    service.requests.dispatch_outcomes(&mut service.store, 10, |offer| match offer.caller {
        'a' => Err(Undeliverable::Full),
        who => {
            told.push(*who);
            Ok(())
        }
    });
    assert_eq!(told, "b");
    assert!(!service.requests.has_outcomes());
    service.requests.unblock_caller(a);
    assert_eq!(service.told(), ["a1 NoResponder"]);
}

#[test]
fn what_comes_and_goes_leaves_nothing_behind() {
    let mut service = service();
    let (a, x) = (service.requests.add_caller('a'), service.requests.add_responder('x'));
    for number in 0..1_000 {
        service.requests.allow(x, number + 1);
        service.request(a, number, 100).unwrap();
        service.handed();
        service.requests.reply(&mut service.store, x, number + 1, "yes").unwrap();
        service.told();
        let (caller, responder) = (service.requests.add_caller('b'), service.requests.add_responder('y'));
        service.requests.allow(responder, 1);
        service.request(caller, 1, 100).unwrap();
        service.requests.remove_caller(&mut service.store, caller);
        service.requests.remove_responder(&mut service.store, responder);
        let lists = [service.requests.waiting.len(), service.requests.eligible.len(), service.requests.to_tell.len()];
        assert!(lists.iter().all(|len| *len <= 70) && service.requests.deadlines.len() <= 70, "{lists:?}");
    }
    assert_eq!(service.requests.ledger().replied, 1_000);
}
