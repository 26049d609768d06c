//! The broker's word on a settling.

use super::Connection;
use super::consuming::SettlementId;
use crate::error::Error;
use core::fmt;

/// Whether a settling had an effect, sooner or later; made by [`Settler::settle_confirmed`](super::Settler::settle_confirmed).
#[must_use = "whether it had an effect is known after `wait`"]
pub struct Settlement {
    connection: Connection,
    id: SettlementId,
}

impl Settlement {
    pub(super) fn new(connection: Connection, id: SettlementId) -> Settlement {
        Settlement { connection, id }
    }

    /// Waits for the broker's word: whether the delivery was settled by this. Known once, it is said again each time.
    ///
    /// # Errors
    ///
    /// [`Error::LinkClosed`] if the subscription ended first, and as every call: see [`Connection`]. Then it is not known.
    pub fn wait(&self) -> Result<bool, Error> {
        let count = self.connection.call("Settlement::wait").wait(|state| state.settlement(self.id))?;
        Ok(count > 0)
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.connection.shared.lock().consumers.forget_settlement(self.id);
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement").finish_non_exhaustive()
    }
}
