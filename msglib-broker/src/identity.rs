//! Who somebody is, as far as a broker's author has decided.

use core::fmt;
use std::sync::Arc;

/// Who is at the other end of a connection: a name, and what else the broker's author wants to know of them. Cheap to clone.
///
/// It comes from whoever decides about a `HELLO` ([`Context::set_identity`](crate::Context::set_identity),
/// [`PendingAnswer::accept`](crate::PendingAnswer::accept)), and is on the connection from then on
/// ([`Context::identity`](crate::Context::identity)). The data are bytes, and not any value, so that a recording of a broker has
/// them too.
///
/// ```
/// use msglib_broker::Identity;
///
/// let alice = Identity::new("alice").with_data(*b"may publish");
/// assert_eq!((alice.name(), alice.data()), ("alice", &b"may publish"[..]));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity(Arc<Inner>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Inner {
    name: Box<str>,
    data: Box<[u8]>,
}

impl Identity {
    /// Somebody by that name, and without data.
    pub fn new(name: impl Into<Box<str>>) -> Identity {
        Identity(Arc::new(Inner { name: name.into(), data: Box::default() }))
    }

    /// With these data, of the broker's author's own: roles, a tenant, a quota.
    pub fn with_data(mut self, data: impl Into<Box<[u8]>>) -> Identity {
        Arc::make_mut(&mut self.0).data = data.into();
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The data.
    pub fn data(&self) -> &[u8] {
        &self.0.data
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Without the data, which may be secret.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, {} bytes)", self.name(), self.data().len())
    }
}
