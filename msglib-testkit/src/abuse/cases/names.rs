//! Names and settings (PROTOCOL §5.1, §15.1, §16.1), at their ends and beyond.

use crate::abuse::raw::{self, MANY, QUEUE, TOPIC, frame, hello, hello_with_features};
use crate::abuse::stage::{AttackerKey, Counter, Heard, Setup, Stage};
use crate::conformance::{Fixture, Outcome};
use msglib_proto::{ErrorCode, FrameType};

/// Where the first frame behind a HELLO begins.
const AT: usize = 44;

/// The name of a queue is any bytes, 1 to 255 of them: each is served.
pub fn names_of_queues_are_any_bytes<F: Fixture>(fixture: &mut F) -> Outcome {
    let names: [&[u8]; 7] = [b"a", &[b'n'; 255], &[0], &[0; 255], &[0xff; 255], b"\xc3\x28", &[b'/'; 255]];
    let mut stage = Stage::new(fixture);
    for name in names {
        let key = stage.connect();
        let open = raw::open_named(1, 3, QUEUE, name, b"");
        stage.send(key, &[hello(), open, raw::publish(1, 1, b"?"), raw::credit(1, 1)].concat());
        stage.hear(key, Heard::Delivery { tag: 1, count: 1 });
        stage.send(key, &raw::ack(1, 1, 1));
        stage.is_served(key);
    }
    let queues = stage.handler().queues().count();
    stage.check(queues == 1 + names.len(), "a queue for each name, and the witnesses'", queues);
    stage.finish(0, 0);
    Ok(())
}

/// Names that are none end the connection (PROTOCOL §3); where one byte too many is something else, that is what is wrong.
pub fn names_that_are_too_short_or_too_long<F: Fixture>(fixture: &mut F) -> Outcome {
    let open = |name: &[u8]| raw::open_named(1, 3, QUEUE, name, b"");
    let separators = raw::open_named(1, 3, TOPIC, &[b'/'; 65_400], b"");
    let cut_off = frame(raw::OPEN, 3, 1, &[&[0, 1, 1, 255][..], &[b'n'; 254]].concat());
    let cases = [
        (open(b""), ErrorCode::FRAME_LENGTH, 0),
        (frame(raw::OPEN, 3, 1, &[0, 1, 1, 0, b'?']), ErrorCode::BAD_FIELD, 15),
        (cut_off, ErrorCode::BAD_FIELD, 15),
        (open(&[b'n'; 255 + 4_097]), ErrorCode::FRAME_LENGTH, 0),
        (separators, ErrorCode::FRAME_LENGTH, 0),
    ];
    let mut stage = Stage::new(fixture);
    for (bytes, code, at) in &cases {
        stage.offends(&[&hello()[..], bytes].concat(), *code, AT + at);
    }
    // 256 bytes are a name of 255, and arguments that are none.
    is_closed(&mut stage, &open(&[b'n'; 256]), ErrorCode::BAD_ARGUMENTS);
    stage.finish_counting(&[(Counter::ProtocolErrors, cases.len() as u64), (Counter::Rejected, 1)]);
    Ok(())
}

/// The client's own name is text, and so is its mechanism (PROTOCOL §4.1).
pub fn names_of_clients_that_are_no_text<F: Fixture>(fixture: &mut F) -> Outcome {
    let mut stage = Stage::new(fixture);
    let mut named = hello();
    named[41] = 0xff;
    stage.offends(&named, ErrorCode::BAD_FIELD, 41);
    let mut with_mechanism = hello();
    // Of four bytes, two are the name's.
    with_mechanism[36..38].copy_from_slice(&[2, 2]);
    with_mechanism[42..].copy_from_slice(&[0xc3, 0x28]);
    stage.offends(&with_mechanism, ErrorCode::BAD_FIELD, 42);
    // NUL is text, if none that one would choose.
    let mut nul = hello();
    nul[40..].fill(0);
    let key = stage.connect();
    stage.send(key, &nul);
    stage.is_served(key);
    stage.finish(2, 0);
    Ok(())
}

/// What is no name of a topic, and no filter, is refused, and the connection goes on (PROTOCOL §16.1).
pub fn names_of_topics_that_are_none<F: Fixture>(fixture: &mut F) -> Outcome {
    let deep = ["a"; 33].join("/");
    let names: [&[u8]; 13] = [
        &[b'/'; 255],
        b"/",
        b"/a",
        b"a/",
        b"a//b",
        b"\xff",
        b"a/\xc3\x28",
        deep.as_bytes(),
        b"a+",
        b"a/#/b",
        b"##",
        b"+#",
        &[b'#'; 255],
    ];
    let mut stage = Stage::new(fixture);
    for name in names {
        is_closed(&mut stage, &raw::open_named(1, 2, TOPIC, name, b""), ErrorCode::BAD_NAME);
    }
    stage.finish_counting(&[(Counter::Rejected, names.len() as u64)]);
    Ok(())
}

/// There are no headers in this protocol, and of optional fields no more than its settings: one that comes twice, or out of its order, or that
/// nobody knows, is refused, however many follow.
pub fn names_of_settings_without_end<F: Fixture>(fixture: &mut F) -> Outcome {
    let arguments: [Vec<u8>; 5] = [
        [1, 0, 1, 0].repeat(1_024),
        [7, 0, 0].repeat(1_365),
        (1..=255).rev().flat_map(|id| [id, 0, 0]).collect(),
        (12..=255).flat_map(|id| [id, 0, 0]).collect(),
        [&[6, 0xff, 0xff][..], &[1; 4_093]].concat(),
    ];
    let mut stage = Stage::new(fixture);
    for arguments in &arguments {
        for kind in [QUEUE, TOPIC] {
            is_closed(&mut stage, &raw::open_named(1, 2, kind, b"abuse", arguments), ErrorCode::BAD_ARGUMENTS);
        }
    }
    let key = stage.connect();
    let fields = raw::publish_with(1, 1, 0xffff, &[0; 4_096]);
    stage.send(key, &[hello_with_features(), raw::open(1, 1)].concat());
    stage.send(key, &fields);
    stage.is_told(key, ErrorCode::BAD_FIELD, AT + raw::open(1, 1).len() + 20);
    stage.finish_counting(&[(Counter::ProtocolErrors, 1), (Counter::Rejected, 2 * arguments.len() as u64)]);
    Ok(())
}

/// Every filter of eight levels that are `a` or `+`, and each with `#` at its end: the walk visits each level of the name once for all of them, so a
/// message comes once to each, soon.
pub fn names_with_nested_wildcards<F: Fixture>(fixture: &mut F) -> Outcome {
    const LEVELS: u32 = 8;
    const FILTERS: u64 = 2 << LEVELS;
    const MESSAGES: u64 = 5;
    let mut stage = Stage::with(fixture, Setup::default().with_max_links(FILTERS as u32 + 1));
    let key = stage.connect();
    let mut said = hello_with_features();
    for filter in 0..FILTERS {
        let level = |at: u32| if filter >> at & 1 == 0 { "a" } else { "+" };
        let mut levels: Vec<&str> = (0..LEVELS).map(level).collect();
        levels.extend((filter >> LEVELS & 1 == 1).then_some("#"));
        let link = filter as u32 + 1;
        said.extend(raw::open_named(link, 2, TOPIC, levels.join("/").as_bytes(), b""));
        said.extend(raw::credit(link, u64::MAX));
    }
    let link = FILTERS as u32 + 1;
    greet(&mut stage, key, &said[..AT]);
    stage.send(key, &said[AT..]);
    stage.send(key, &raw::open_named(link, 1, TOPIC, ["a"; LEVELS as usize].join("/").as_bytes(), b""));
    (1..=MESSAGES).for_each(|number| stage.send(key, &raw::publish(link, number, b"all")));
    stage.hear(key, Heard::Confirmed { upto: MESSAGES });
    stage.until("each message once for each filter", |stage| {
        (stage.handler().topic_ledger().delivered == MESSAGES * FILTERS).then_some(())
    });
    let ledger = stage.handler().topic_ledger();
    stage.check(ledger.copies == MESSAGES * FILTERS && ledger.lost == 0, "no more, and none lost", ledger);
    stage.is_served(key);
    stage.finish(0, 0);
    Ok(())
}

/// Names and names: of queues that nobody has a link to no more are kept than there may be, of subscriptions none.
pub fn names_without_end<F: Fixture>(fixture: &mut F) -> Outcome {
    const MOST: usize = 100;
    const LINKS: u32 = 1_000;
    let stock = Setup::default().stock.with_max_queues(MOST);
    let mut stage = Stage::with(fixture, Setup { stock, ..Setup::default().with_max_links(4 * LINKS) });
    let key = stage.connect();
    greet(&mut stage, key, &hello_with_features());
    let mut closed = 0;
    for batch in 0..MANY.div_ceil(LINKS as usize) {
        let kind = [QUEUE, TOPIC][batch % 2];
        for link in 1..=LINKS {
            let name = format!("{batch}/{link}");
            stage.send(key, &[raw::open_named(link, 3, kind, name.as_bytes(), b""), raw::close(link)].concat());
        }
        closed += LINKS as usize;
        stage.until("each link opened and closed", |stage| {
            let ends = |heard: &&Heard| matches!(heard, Heard::Closed { code: ErrorCode::NONE, .. });
            (stage.heard(key).iter().filter(ends).count() == LINKS as usize).then_some(())
        });
        stage.forget_heard(key);
        let kept = (stage.handler().queues().count(), stage.handler().subscriptions().count());
        stage.check(kept.0 <= MOST && kept.1 == 0, "no more names than there may be", (closed, kept));
    }
    // All at once: those that there is no room for are told so, and the rest is served.
    for link in 1..=3 * LINKS {
        stage.send(key, &raw::open_named(link, 3, QUEUE, format!("at once {link}").as_bytes(), b""));
    }
    let room = MOST - 1;
    let too_many = 3 * LINKS as usize - room;
    stage.until("an answer to each", |stage| {
        let heard = stage.heard(key);
        let refused = |heard: &&Heard| matches!(heard, Heard::Closed { code: ErrorCode::TOO_MANY_CHANNELS, .. });
        let opened = heard.iter().filter(|heard| **heard == Heard::Other(FrameType::Opened)).count();
        (opened == room && heard.iter().filter(refused).count() == too_many).then_some(())
    });
    stage.is_served(key);
    stage.finish_counting(&[(Counter::Rejected, too_many as u64)]);
    Ok(())
}

/// The OPEN is answered with CLOSED and the code, and its client is served.
fn is_closed<F: Fixture>(stage: &mut Stage<'_, F>, open: &[u8], code: ErrorCode) {
    let key = stage.connect();
    stage.send(key, &[&hello_with_features()[..], open].concat());
    stage.hear(key, Heard::Closed { link: 1, code });
    stage.is_served(key);
}

/// Before it is greeted a client may not have more than sixteen links.
fn greet<F: Fixture>(stage: &mut Stage<'_, F>, key: AttackerKey, hello: &[u8]) {
    stage.send(key, hello);
    stage.hear(key, Heard::Other(FrameType::Welcome));
}
