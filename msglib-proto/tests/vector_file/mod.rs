//! Reads the files in `vectors/`, whose format their own headers describe.

use std::collections::BTreeMap;

/// One vector: a stream, and what a receiver makes of it.
#[derive(Debug, Default)]
pub struct Vector {
    pub name: String,
    pub max_payload: u32,
    pub features: u64,
    pub bytes: Vec<u8>,
    pub frames: Vec<Described>,
    pub end: End,
}

/// A frame by its name and its fields.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Described {
    pub name: String,
    pub fields: BTreeMap<String, Field>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field {
    Number(u64),
    Flag(bool),
    Bytes(Vec<u8>),
}

/// What comes behind the last frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum End {
    #[default]
    Nothing,
    NeedMore,
    Error {
        code: String,
        offset: u64,
    },
}

/// Every vector of the file.
///
/// # Panics
///
/// When the text has not the format that its header describes.
pub fn parse(text: &str) -> Vec<Vector> {
    let mut vectors = Vec::new();
    let mut block = Vec::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            if !block.is_empty() {
                vectors.push(vector(&std::mem::take(&mut block)));
            }
        } else if let Some(more) = line.strip_prefix("    ") {
            let last = block.last_mut().unwrap_or_else(|| panic!("goes on with nothing: {line}"));
            *last = format!("{last} {more}");
        } else if !line.starts_with('#') {
            block.push(line.to_owned());
        }
    }
    vectors
}

fn vector(block: &[String]) -> Vector {
    let mut vector = Vector { max_payload: 1024, ..Vector::default() };
    for line in block {
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("not `key: value`: {line}"));
        let value = value.trim();
        match key {
            "name" => vector.name = value.to_owned(),
            "from" => assert!(["client", "broker", "both"].contains(&value), "{line}"),
            "max_payload" => vector.max_payload = number(value),
            "features" => vector.features = number(value),
            "bytes" => vector.bytes = bytes(value),
            "frame" => vector.frames.push(Described { name: value.to_owned(), ..Described::default() }),
            "error" => vector.end = End::Error { code: value.to_owned(), offset: u64::MAX },
            "offset" => match &mut vector.end {
                End::Error { offset, .. } => *offset = number(value),
                end => panic!("an offset after {end:?}, in {}", vector.name),
            },
            "need_more" => vector.end = End::NeedMore,
            _ => {
                let name = key.strip_prefix("field.").unwrap_or_else(|| panic!("an unknown key: {line}"));
                let frame = vector.frames.last_mut().unwrap_or_else(|| panic!("a field without a frame: {line}"));
                let before = frame.fields.insert(name.to_owned(), field(value));
                assert_eq!(before, None, "twice: {line}");
            }
        }
    }
    assert!(!vector.name.is_empty(), "a vector without a name: {block:?}");
    vector
}

fn field(value: &str) -> Field {
    match value {
        "true" => Field::Flag(true),
        "false" => Field::Flag(false),
        _ => match value.strip_prefix("hex(").and_then(|rest| rest.strip_suffix(')')) {
            Some(inside) => Field::Bytes(bytes(inside)),
            None => Field::Number(number(value)),
        },
    }
}

/// Hex pairs and `repeat(0xNN, N)`.
fn bytes(mut text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix("repeat(0x") {
            let (repeat, behind) = rest.split_once(')').expect("repeat( is closed");
            let (byte, times) = repeat.split_once(',').expect("repeat has two arguments");
            let byte = hex(byte.trim());
            bytes.resize(bytes.len() + number::<usize>(times.trim()), byte);
            text = behind;
        } else if let Some((pair, behind)) = text.split_at_checked(2) {
            bytes.push(hex(pair));
            text = behind;
        } else {
            assert!(text.is_empty(), "half a hex pair: {text}");
            return bytes;
        }
    }
}

fn hex(pair: &str) -> u8 {
    u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("not a byte in hex: {pair}"))
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number that fits: {text}"))
}
