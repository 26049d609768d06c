//! Clients of channels of one's own, a cell that is watched and a barrier, beside those of queues and of the features. Their links are
//! opened at once, later, or not at all.
//!
//! They have a random stream, links and facts of their own, so a run without them is what it was.

mod channels;
mod deed;
mod diary;
mod facts;
mod link;
mod play;

pub use channels::{Barrier, Cell, PARTY};
pub use deed::{Answer, OwnDeed};
pub(super) use deed::{draw, draw_answer};
pub use diary::{Diary, Note, Noted};
pub use facts::{Own, Stage, Write};
pub use link::{Asking, OwnChannel, OwnLink, OwnLinkNumber};

use msglib_proto::ChannelKind;

/// The kind of a cell.
pub const CELL: ChannelKind = ChannelKind(0x8001);
/// The kind of a barrier.
pub const BARRIER: ChannelKind = ChannelKind(0x8002);
/// The cells.
pub const CELLS: [&str; 2] = ["heat", "light"];
/// The barrier.
pub const GATE: &str = "gate";
