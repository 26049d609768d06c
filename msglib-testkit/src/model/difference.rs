//! What the queue did, and should not have.

use thiserror::Error;

/// The queue and the model do not agree.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct Difference(String);

impl Difference {
    /// In these words.
    pub fn new(text: impl Into<String>) -> Difference {
        Difference(text.into())
    }

    /// With what was going on.
    #[must_use]
    pub(super) fn during(self, what: impl core::fmt::Debug) -> Difference {
        Difference(format!("{what:?}: {}", self.0))
    }
}

pub(super) fn ensure(is_so: bool, else_says: impl FnOnce() -> String) -> Result<(), Difference> {
    if is_so { Ok(()) } else { Err(Difference(else_says())) }
}

/// Both must be the same.
pub(super) fn same<T: PartialEq + core::fmt::Debug>(what: &str, queue: &T, model: &T) -> Result<(), Difference> {
    ensure(queue == model, || format!("{what}: {queue:?} in the queue, {model:?} in the model"))
}
