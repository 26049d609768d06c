//! What can be put side by side.

use super::super::ConnectionManager;

/// The members of a [`CompositeConnectionManager`](super::CompositeConnectionManager), by position.
///
/// Implemented for tuples of two to four managers of any types, which stay reachable as what they are; for `Vec` and arrays
/// of one type, `Box<dyn ConnectionManager + Send>` say; and for whatever struct of yours.
pub trait Members {
    /// How many there are. Does not change.
    fn count(&self) -> usize;

    /// The one at `position`, which is below [`count`](Members::count).
    ///
    /// # Panics
    ///
    /// When `position` is not.
    fn member(&self, position: usize) -> &dyn ConnectionManager;

    /// The one at `position`, which is below [`count`](Members::count).
    ///
    /// # Panics
    ///
    /// When `position` is not.
    fn member_mut(&mut self, position: usize) -> &mut dyn ConnectionManager;
}

macro_rules! tuples {
    ($($count:literal: $($manager:ident at $position:tt),+;)+) => {
        $(
            impl<$($manager: ConnectionManager),+> Members for ($($manager,)+) {
                fn count(&self) -> usize {
                    $count
                }
                fn member(&self, position: usize) -> &dyn ConnectionManager {
                    match position {
                        $($position => &self.$position,)+
                        _ => no_such(position, $count),
                    }
                }
                fn member_mut(&mut self, position: usize) -> &mut dyn ConnectionManager {
                    match position {
                        $($position => &mut self.$position,)+
                        _ => no_such(position, $count),
                    }
                }
            }
        )+
    };
}

tuples! {
    2: A at 0, B at 1;
    3: A at 0, B at 1, C at 2;
    4: A at 0, B at 1, C at 2, D at 3;
}

impl<M: ConnectionManager> Members for Vec<M> {
    fn count(&self) -> usize {
        self.len()
    }
    fn member(&self, position: usize) -> &dyn ConnectionManager {
        &self[position]
    }
    fn member_mut(&mut self, position: usize) -> &mut dyn ConnectionManager {
        &mut self[position]
    }
}

impl<M: ConnectionManager, const N: usize> Members for [M; N] {
    fn count(&self) -> usize {
        N
    }
    fn member(&self, position: usize) -> &dyn ConnectionManager {
        &self[position]
    }
    fn member_mut(&mut self, position: usize) -> &mut dyn ConnectionManager {
        &mut self[position]
    }
}

fn no_such(position: usize, count: usize) -> ! {
    panic!("there is no member {position}: there are {count}, the first is 0")
}
