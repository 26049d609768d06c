//! Who is let in.

use crate::simulate::checker::{Checker, Seen};
use crate::simulate::facts::Facts;
use crate::simulate::featured::Credentials;
use msglib_proto::{ErrorCode, Frame};
use std::borrow::Cow;

/// The door: nobody comes in who should not, or before it is decided; and nobody is refused who should be let in.
#[derive(Debug, Default)]
pub(super) struct Door;

impl<H> Checker<H> for Door {
    fn name(&self) -> &'static str {
        "admission: who is let in, and when"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
        let Seen::Received(connection, frame) = seen else { return Ok(()) };
        let shown = facts.connection(*connection).credentials;
        let is_right = match frame {
            Frame::Welcome(_) => {
                !matches!(shown, Credentials::Stranger | Credentials::Unknown | Credentials::Decided(false))
            }
            Frame::Error { code: ErrorCode::BAD_CREDENTIALS, .. } => {
                matches!(shown, Credentials::Stranger | Credentials::Decided(false))
            }
            _ => true,
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("{connection} is {shown:?}, and received {frame:?}").into()),
        }
    }
}
