//! PROTOCOL.md and the code say the same: sections, tables, limits, and the conversation at its end.

use msglib_proto::{
    ConnectionState, Decoder, ErrorCode, Feature, FrameType, HEADER, INITIAL_PUBLISH_CREDIT, LINKS_BEFORE_WELCOME,
    Limits, LinkState, MAX_ARGUMENTS, MAX_HELLO, MAX_NAME, MAX_SHORT_TEXT, MAX_TEXT, Role, Ruling, Scope, SendQueue,
    Violation, encode, ruling,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document() -> String {
    let path = root().join("PROTOCOL.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The numbers of all headings.
fn sections(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
    headings
        .filter_map(|heading| heading.split([' ', '.']).next()?.parse::<u32>().ok().map(|_| heading))
        .map(number)
        .collect()
}

/// The number at the front of a heading or behind a `§`: `2.3` of `2.3 Type`, `2` of `2. Frames`.
fn number(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.').to_owned()
}

/// The text of one section, up to the next heading of any depth.
fn section<'d>(document: &'d str, which: &str) -> &'d str {
    let start = [format!("\n### {which} "), format!("\n## {which}. ")];
    let at = start.iter().find_map(|heading| document.find(heading)).unwrap_or_else(|| panic!("no section {which}"));
    let body = &document[at + 1..];
    let body = &body[body.find('\n').map_or(0, |end| end + 1)..];
    &body[..body.find("\n## ").into_iter().chain(body.find("\n### ")).min().unwrap_or(body.len())]
}

/// The cells of the rows of a section's first table, without its head.
fn table(text: &str) -> Vec<Vec<&str>> {
    tables(text).into_iter().next().unwrap_or_default()
}

/// All tables of a section, without their heads.
fn tables(text: &str) -> Vec<Vec<Vec<&str>>> {
    let lines: Vec<&str> = text.lines().collect();
    let blocks = lines.split(|line| !line.starts_with('|')).filter(|block| block.len() > 2);
    blocks.map(|block| block[2..].iter().map(|row| cells(row)).collect()).collect()
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split('|').map(str::trim).collect()
}

fn hex_number(cell: &str) -> u16 {
    let digits = cell.trim_matches('`').strip_prefix("0x").unwrap_or_else(|| panic!("not a hex number: {cell}"));
    u16::from_str_radix(digits, 16).unwrap_or_else(|error| panic!("{cell}: {error}"))
}

/// The sections that a text cites: `§` behind `marker`, and those listed with it, as in "PROTOCOL §2, §3 and §5.1".
fn cited(text: &str, marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&format!("{marker}§")) {
        let mut rest = &text[at + marker.len()..];
        while let Some(behind) = rest.strip_prefix('§') {
            let section = number(behind);
            rest = &behind[section.len()..];
            rest = [", ", " and ", " to ", "–", "-"].iter().find_map(|joint| rest.strip_prefix(joint)).unwrap_or("");
            // `§x.y` with letters is how a text speaks of sections in general.
            found.extend((!section.is_empty()).then_some(section));
        }
    }
    found
}

fn source_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.expect("an entry of the directory").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with(['.', '_']) {
            source_files(&path, files);
        } else if name.ends_with(".rs") || name.ends_with(".py") {
            files.push(path);
        }
    }
}

#[test]
fn every_section_that_the_code_cites_exists() {
    let sections = sections(&document());
    assert!(sections.len() > 40, "{sections:?}");
    let mut files = Vec::new();
    source_files(&root(), &mut files);
    let mut citations = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for section in cited(&text, "PROTOCOL ") {
            assert!(sections.contains(&section), "{} cites PROTOCOL §{section}, which there is not", file.display());
            citations += 1;
        }
    }
    assert!(citations > 100, "only {citations} citations were found");
}

#[test]
fn every_section_that_the_document_cites_exists() {
    let document = document();
    let sections = sections(&document);
    for section in cited(&document, "") {
        assert!(sections.contains(&section), "§{section}");
    }
}

/// PROTOCOL §9 names the section of each code's rule, and the code that raises it names the same.
#[test]
fn every_violation_names_the_section_that_the_table_of_codes_names() {
    let document = document();
    let sections = sections(&document);
    let rows = table(section(&document, "9"));
    for violation in violations() {
        let (section, code) = (violation.section(), violation.code());
        assert!(sections.contains(section), "{violation:?} is of §{section}, which there is not");
        let row = rows.iter().find(|row| Some(row[1]) == code.name()).unwrap_or_else(|| panic!("no row for {code}"));
        assert!(
            cited(row[4], "").iter().any(|cited| cited == section),
            "{violation:?} is of §{section}, not so {row:?}"
        );
    }
}

/// One of each kind. The `match` does not compile when a kind is added that is not listed here.
fn violations() -> Vec<Violation> {
    let frame = FrameType::Publish;
    let all = vec![
        Violation::ShorterThanHeader { length: 3 },
        Violation::Length { frame, length: 3, min: 4, max: 5 },
        Violation::TooLarge { frame, length: 9, max: 5 },
        Violation::UnknownType { value: 0x77 },
        Violation::Flags { frame, flags: 2 },
        Violation::LinkField { frame, link: 0 },
        Violation::Field { frame, rule: "a rule" },
        Violation::Magic,
        Violation::Version { min: 2, max: 3 },
        Violation::Unexpected { frame },
        Violation::Link { frame, link: 1 },
        Violation::LinkNumber { link: 9, next: 2 },
        Violation::CreditExceeded { frame, link: 1, number: 17, credit: 16 },
        Violation::CreditWentBack { link: 1, had: 2, now: 1 },
        Violation::Number { frame, link: 1, number: 3, expected: 2 },
    ];
    let kinds: BTreeSet<String> = all.iter().map(|violation| kind_of(&format!("{violation:?}"))).collect();
    let source = std::fs::read_to_string(root().join("msglib-proto/src/wire/violation.rs")).expect("its source");
    let body =
        source.split_once("pub enum Violation {").and_then(|(_, rest)| rest.split_once("\n}\n")).expect("the enum").0;
    let declared =
        body.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with(char::is_uppercase));
    assert_eq!(declared.map(kind_of).collect::<BTreeSet<_>>(), kinds, "a kind of violation is not in this list");
    all
}

fn kind_of(text: &str) -> String {
    text.split([' ', ',', '{']).next().unwrap_or_default().to_owned()
}

/// PROTOCOL §3.
#[test]
fn the_table_of_frames_is_the_frame_types() {
    let document = document();
    let (rows, added) = (table(section(&document, "3")), table(section(&document, "14.2")));
    assert_eq!(rows.len() + added.len(), FrameType::ALL.len());
    let of_version_1 = FrameType::ALL.into_iter().filter(|frame| frame.is_known(0));
    let of_features = FrameType::ALL.into_iter().filter(|frame| !frame.is_known(0));
    for (row, frame) in rows.iter().zip(of_version_1).chain(added.iter().zip(of_features)) {
        let [number, name, from, scope, flags, _body, ref features @ ..] = row[..] else { panic!("{row:?}") };
        let named = features.iter().flat_map(|list| list.split(", ")).map(|name| feature(name).bit());
        assert_eq!(named.sum::<u64>(), frame.features(), "{frame}");
        assert_eq!(name, frame.name());
        let first = number.split('–').next().unwrap_or(number);
        assert_eq!(hex_number(first), frame.value(), "{frame}");
        assert_eq!(scope, scope_name(frame.scope()), "{frame}");
        let senders: Vec<Role> = Role::ALL.into_iter().filter(|role| can_send(*role, frame)).collect();
        let named = match from {
            "client" => vec![Role::Client],
            "broker" => vec![Role::Broker],
            "both" => Role::ALL.to_vec(),
            _ => panic!("{frame} from {from}?"),
        };
        assert_eq!(senders, named, "{frame}");
        let bits = match flags {
            "–" => 0,
            "the user's" => 0xFFFF,
            list => list.split(", ").map(number_in).sum(),
        };
        assert_eq!(bits, frame.flags(), "{frame}");
    }
}

/// PROTOCOL §3, its second table.
#[test]
fn the_table_of_lengths_is_that_of_the_frame_types() {
    let document = document();
    let (tables, added) = (tables(section(&document, "3")), tables(section(&document, "14.2")));
    let mut listed = BTreeMap::new();
    for row in tables[1].iter().chain(&added[1]) {
        for three in row.chunks(3) {
            let [names, least, greatest] = three[..] else { panic!("{row:?}") };
            listed.extend(names.split(", ").map(|name| (name, (least, greatest))));
        }
    }
    assert_eq!(listed.len(), FrameType::ALL.len());
    for frame in FrameType::ALL {
        let (least, greatest) = listed.get(frame.name()).unwrap_or_else(|| panic!("no length of {frame}"));
        let fixed = HEADER + frame.min_body();
        assert_eq!(quantity(least), u64::from(fixed), "{frame}");
        match frame.max_variable() {
            Some(variable) => assert_eq!(quantity(greatest), u64::from(fixed + variable), "{frame}"),
            None => assert_eq!(*greatest, format!("{} + P", fixed + frame.max_options()), "{frame}"),
        }
    }
}

fn feature(name: &str) -> Feature {
    Feature::ALL.into_iter().find(|feature| feature.name() == name).unwrap_or_else(|| panic!("no feature {name}"))
}

/// PROTOCOL §14.1.
#[test]
fn the_table_of_features_is_the_features() {
    let document = document();
    let rows = table(section(&document, "14.1"));
    assert_eq!(rows.len(), Feature::ALL.len());
    for (row, feature) in rows.iter().zip(Feature::ALL) {
        let [bit, name, _section] = row[..] else { panic!("{row:?}") };
        assert_eq!((1 << bit.parse::<u32>().expect("a bit"), name), (feature.bit(), feature.name()));
    }
    assert_eq!(Feature::ALL.map(Feature::bit).iter().sum::<u64>(), Feature::all_bits());
}

fn number_in(flag: &str) -> u16 {
    flag.split(' ').next().and_then(|bit| bit.parse().ok()).unwrap_or_else(|| panic!("not a flag: {flag}"))
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Connection => "connection",
        Scope::Link => "link",
        Scope::Any => "any",
    }
}

/// Whether there is any state in which the frame is not an error by who sent it.
fn can_send(role: Role, frame: FrameType) -> bool {
    ConnectionState::ALL
        .into_iter()
        .flat_map(|connection| LinkState::ALL.map(|link| ruling(role, frame, connection, link)))
        .any(|ruling| ruling == Ruling::Accept)
}

/// PROTOCOL §9.
#[test]
fn the_table_of_codes_is_the_error_codes() {
    let document = document();
    let rows = table(section(&document, "9"));
    let mut listed = Vec::new();
    for row in &rows {
        let [number, name, _in, again, _meaning] = row[..] else { panic!("{row:?}") };
        let is_again = match again {
            "yes" => true,
            "no" => false,
            _ => panic!("{row:?}"),
        };
        if name.is_empty() {
            assert_eq!(hex_number(number.split('–').next().unwrap_or(number)), ErrorCode::USER);
            assert_eq!(ErrorCode::user(0).is_worth_retrying(), is_again);
            continue;
        }
        let code = ErrorCode::new(hex_number(number));
        assert_eq!(code.name(), Some(name), "{number}");
        assert_eq!(code.is_worth_retrying(), is_again, "{code}");
        listed.push(code);
    }
    assert_eq!(listed, ErrorCode::ALL, "the table has every code, in order");
    assert_eq!(rows.len(), listed.len() + 1, "and the user's");
}

/// PROTOCOL §10.2, each cell, in both directions.
#[test]
fn the_table_of_who_may_send_what_is_the_ruling() {
    let document = document();
    let mut rows = BTreeMap::new();
    let rows_of = |which| table(section(&document, which));
    for row in rows_of("10.2").into_iter().chain(rows_of("14.4")) {
        let [from, frame, cells @ ..] = &row[..] else { panic!("{row:?}") };
        assert_eq!(cells.len(), 8, "{row:?}");
        assert!(rows.insert((*from, *frame), cells.to_vec()).is_none(), "{from} {frame} is there twice");
    }
    assert_eq!(rows.len(), Role::ALL.len() * FrameType::ALL.len());
    for role in Role::ALL {
        let from = match role {
            Role::Client => "client",
            Role::Broker => "broker",
        };
        for frame in FrameType::ALL {
            let cells = rows.get(&(from, frame.name())).unwrap_or_else(|| panic!("no row for {from} {frame}"));
            check_row(role, frame, cells);
        }
    }
}

fn check_row(role: Role, frame: FrameType, cells: &[&str]) {
    let has_link_cells = frame.scope() == Scope::Link && cells[1] == "A";
    assert!(cells[3..].iter().all(|cell| cell.is_empty() != has_link_cells), "{role:?} {frame}: {cells:?}");
    for connection in ConnectionState::ALL {
        for link in LinkState::ALL {
            let by_link = has_link_cells && connection == ConnectionState::Greeted;
            let cell = if by_link { cells[3 + link as usize] } else { cells[connection as usize] };
            let letter = match ruling(role, frame, connection, link) {
                Ruling::Accept => "A",
                Ruling::Ignore => "I",
                Ruling::Unexpected => "U",
                Ruling::BadLink => "B",
            };
            assert_eq!(letter, cell, "{frame} from {role:?} when {connection:?} and {link:?}");
        }
    }
}

/// PROTOCOL §11.
#[test]
fn the_table_of_limits_is_the_constants() {
    let document = document();
    let rows = table(section(&document, "11"));
    let limits: BTreeMap<&str, &str> = rows.iter().map(|row| (row[0], row[1])).collect();
    let defaults = Limits::default();
    let expected = [
        ("a frame's header", u64::from(HEADER)),
        ("payload of PUBLISH, DELIVERY, USER", u64::from(defaults.max_payload)),
        ("HELLO; all before WELCOME", u64::from(MAX_HELLO)),
        ("a text", u64::from(MAX_TEXT)),
        ("name and mechanism in HELLO, name in WELCOME", MAX_SHORT_TEXT as u64),
        ("a channel's name", MAX_NAME as u64),
        ("arguments of an OPEN", u64::from(MAX_ARGUMENTS)),
        ("links at once", u64::from(defaults.max_links)),
        ("links before WELCOME", u64::from(LINKS_BEFORE_WELCOME)),
        ("publishes before the first CREDIT", INITIAL_PUBLISH_CREDIT),
    ];
    for (limit, value) in expected {
        let said = limits.get(limit).unwrap_or_else(|| panic!("no limit {limit:?} in the table"));
        assert_eq!(quantity(said), value, "{limit}");
    }
    // One is the broker's alone: the handshake's 10 s.
    assert_eq!(rows.len(), expected.len() + 1, "a limit is not looked at here");
    let code = include_str!("../src/wire/limits.rs");
    for row in &rows {
        let name = row[3].trim_matches('`');
        let field = name.strip_prefix("Limits::").unwrap_or(name);
        assert!(code.contains(field) || name.starts_with("CoreConfig::"), "{name} is not a name in the code");
        assert!(!name.is_empty(), "{} has no name in the code", row[0]);
    }
}

/// `16,384 bytes`, `16 MiB`, `65,536`.
fn quantity(text: &str) -> u64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: u64 = number.replace(',', "").parse().unwrap_or_else(|_| panic!("not a quantity: {text}"));
    match unit {
        "" | "bytes" => number,
        "MiB" => number << 20,
        _ => panic!("an unknown unit: {text}"),
    }
}

/// PROTOCOL §13: each block of hex is the frame that its headline says.
#[test]
fn the_conversation_is_made_of_the_frames_that_it_names() {
    let document = document();
    let text = section(&document, "13");
    let mut frames: Vec<(&str, Vec<u8>)> = Vec::new();
    for line in text.lines().skip_while(|line| *line != "```").skip(1).take_while(|line| *line != "```") {
        match line.strip_prefix("    ") {
            None => frames.push((line, Vec::new())),
            Some(hex) => {
                let bytes = hex.split(' ').map(|pair| u8::from_str_radix(pair, 16).expect("a hex pair"));
                frames.last_mut().expect("hex behind a headline").1.extend(bytes);
            }
        }
    }
    assert_eq!(frames.len(), 11);
    let mut decoders = BTreeMap::from(["C", "B"].map(|side| (side, Decoder::new(&Limits::default()))));
    for (headline, bytes) in &frames {
        let (side, name) = headline.split_once(' ').expect("a side and a name");
        let name = name.split(':').next().unwrap_or(name);
        let decoder = decoders.get_mut(side).unwrap_or_else(|| panic!("neither client nor broker: {headline}"));
        let mut input = &bytes[..];
        let frame =
            decoder.decode(&mut input).expect("a valid frame").unwrap_or_else(|| panic!("too short: {headline}"));
        assert_eq!(frame.frame_type().name(), name, "{headline}");
        assert!(input.is_empty(), "more than a frame: {headline}");
        let role = if side == "C" { Role::Client } else { Role::Broker };
        assert!(can_send(role, frame.frame_type()), "{headline}");
        let mut again = SendQueue::new();
        encode(&frame, &mut again).expect("it has an encoding");
        assert_eq!(again.to_vec(), *bytes, "{headline}");
    }
}
