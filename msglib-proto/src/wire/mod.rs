//! The wire: frames, their bytes, their rules. Everything here is normative in PROTOCOL.md, which the code cites by
//! section.

pub(crate) mod channel;
pub(crate) mod code;
pub(crate) mod decoder;
pub(crate) mod encode;
mod encode_with;
pub(crate) mod feature;
pub(crate) mod frame;
pub(crate) mod frame_type;
pub(crate) mod limits;
pub(crate) mod parse;
mod parse_with;
pub(crate) mod payload;
pub(crate) mod rules;
pub(crate) mod send_queue;
pub(crate) mod settings;
pub(crate) mod violation;
pub(crate) mod with;
