//! Sequence diagrams of real conversations, and of words that mean something to those who draw them.

use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{Connection, publish_to_q};
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::Instant;
use msglib_testkit::diagram::Diagram;
use msglib_testkit::faults::{Fault, FaultPlan, Faulty};
use msglib_testkit::{Harness, Tap, Transcript};
use roxmltree::Document;

/// What would end a label, an element, an attribute or a line.
const NASTY: &str = "a; b # c %% d \"e\" <f> & 'g' --> \\ \u{1} \u{fffe} end\nnext: line \u{1f600}";

/// The texts of an SVG with their classes, which also checks that it is well-formed.
fn texts(svg: &str) -> Vec<(String, String)> {
    let document = Document::parse(svg).expect("well-formed XML");
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts
        .map(|node| {
            (node.attribute("class").unwrap_or_default().to_owned(), node.text().unwrap_or_default().to_owned())
        })
        .collect()
}

#[test]
fn a_conversation_is_drawn_in_its_order() {
    let mut harness = Harness::new(ConnectionHandler::new());
    let client = harness.connect();
    publish_to_q(&client, "q", "payload").unwrap();
    harness.settle();
    let mut diagram = harness.transcript().diagram("title");
    diagram.rename("c0", "publisher");

    let mermaid = diagram.mermaid();
    let arrows: Vec<&str> = mermaid.lines().filter(|line| line.contains("->>")).map(str::trim).collect();
    let begins = |line: &str, with: &str| assert!(line.starts_with(with), "{line}, and not {with}\n{mermaid}");
    for (line, with) in
        arrows.iter().zip(["p0->>p1: Hello {", "p0->>p1: Open {", "p0->>p1: Publish {", "p1->>p0: Welcome {"])
    {
        begins(line, with);
    }
    begins(
        &mermaid,
        "sequenceDiagram\n    title title\n    participant p0 as publisher\n    participant p1 as broker\n",
    );

    let svg = texts(&diagram.svg());
    assert_eq!(svg[0].1, "title");
    assert_eq!(svg.iter().filter(|text| text.1 == "publisher").count(), 2, "at the top and at the bottom");
    assert!(svg.iter().any(|text| text.1.contains("payload")), "{svg:?}");
}

#[test]
fn a_fault_is_red_and_what_was_lost_does_not_arrive() {
    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut manager = Transcript::new(Faulty::new(manager, FaultPlan::new(0).at(Fault::Reset, 2)));
    let log = manager.log();
    manager.inner_mut().tell(log.clone());
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let client = Connection::new(transport.connect("broker").unwrap());
    for _ in 0..4 {
        broker.process_connections().unwrap();
    }
    drop(client);
    let diagram = log.diagram("");
    let mermaid = diagram.mermaid();
    assert!(mermaid.contains("    rect rgb(255, 214, 214)\n    Note over p0: reset\n    end\n"), "{mermaid}");
    assert!(mermaid.contains("p0-xp1: (failed"), "{mermaid}");
    let svg = texts(&diagram.svg());
    assert!(svg.contains(&("m f".to_owned(), "reset".to_owned())), "{svg:?}");
    assert!(svg.iter().any(|(class, text)| class == "l f" && text.starts_with("(failed")), "{svg:?}");
}

#[test]
fn a_tap_draws_what_the_handler_saw() {
    let mut harness = Harness::new(Tap::new(ConnectionHandler::new()));
    let client = harness.connect();
    harness.settle();
    let mermaid = harness.handler().diagram("").mermaid();
    assert!(mermaid.contains("participant p0 as handler\n    participant p1 as c0\n"), "{mermaid}");
    assert!(
        mermaid.contains("Note over p1: [0ns] connected from memory:0") || mermaid.contains("connected from memory:0")
    );
    assert!(mermaid.contains("p1->>p0: Hello("), "{mermaid}");
    drop(client);
}

#[test]
fn no_words_break_out_of_their_label() {
    let mut diagram = Diagram::new(NASTY);
    let (a, b) = (diagram.participant(NASTY), diagram.participant("b"));
    diagram.sent(Instant::ZERO, a, b, NASTY);
    diagram.delivered(Instant::ZERO, b, a, NASTY);
    diagram.lost(Instant::ZERO, a, a, NASTY);
    diagram.fault(Instant::ZERO, None, NASTY);
    diagram.note(None, Some(b), "");

    let mermaid = diagram.mermaid();
    // A header, a title, two participants, five events of one line each, and two more around the fault.
    assert_eq!(mermaid.lines().count(), 11, "{mermaid}");
    for line in mermaid.lines() {
        let entities = line
            .split('#')
            .skip(1)
            .filter(|rest| rest.split_once(';').is_some_and(|(code, _)| code.parse::<u32>().is_ok()));
        assert_eq!(entities.count(), line.matches('#').count(), "each # begins an entity: {line}");
        assert_eq!(line.matches('#').count(), line.matches(';').count(), "each ; ends one: {line}");
    }
    let svg = texts(&diagram.svg());
    assert!(svg.iter().any(|text| text.1.contains("<f> & 'g'")), "{svg:?}");
    assert!(svg.iter().all(|text| !text.1.contains('\u{1}')), "{svg:?}");
}

#[test]
fn a_long_run_repeats_the_names_and_can_be_cut() {
    let mut diagram = Diagram::new("");
    let all: Vec<_> = (0..30).map(|n| diagram.participant(format!("client {n}"))).collect();
    for n in 0..400u64 {
        let label = "x".repeat(n as usize);
        diagram.sent(Instant::from_nanos(n / 3 * 1_000_000), all[n as usize % 30], all[7 * n as usize % 30], label);
    }
    let svg = diagram.svg();
    let shown = texts(&svg);
    assert_eq!(shown.iter().filter(|text| text.1 == "client 3").count(), 11, "every 40 rows, and at the end");
    assert_eq!(shown.iter().filter(|text| text.0 == "t").count(), 134, "each time once");
    let widest = shown.iter().map(|text| text.1.chars().count()).max();
    assert!(widest < Some(700), "labels are broken into lines: {widest:?}");

    diagram.keep_last(10);
    assert_eq!(diagram.len(), 10);
    assert!(diagram.mermaid().contains("Note over p0,p29: … 390 before\n"), "{}", diagram.mermaid());
    assert!(texts(&diagram.svg()).iter().any(|text| text.1 == "… 390 before"));
}
