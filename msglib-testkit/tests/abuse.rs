//! The abuse suite over the transports of this workspace: plainly, with little room, and with every fault that nobody may
//! notice.

#[path = "fixtures/mod.rs"]
mod fixtures;

use fixtures::{
    MemoryBesideSockets, OverEpoll, OverMemory, OverUnix, Plain, Recorded, SideBySide, Stingy, Transformed, Unpleasant,
};

mod memory {
    msglib_testkit::abuse!(super::OverMemory<super::Plain>);
}

mod narrow_memory {
    msglib_testkit::abuse!(super::OverMemory<super::Plain, 256>);
}

mod epoll {
    msglib_testkit::abuse!(super::OverEpoll<super::Plain>);
}

mod unix {
    msglib_testkit::abuse!(super::OverUnix<super::Plain>);
}

mod faulty_memory {
    msglib_testkit::abuse!(super::OverMemory<super::Unpleasant>);
}

/// Without spurious reports, which would make good for one that is missing.
mod stingy_memory {
    msglib_testkit::abuse!(super::OverMemory<super::Stingy>);
}

mod faulty_epoll {
    msglib_testkit::abuse!(super::OverEpoll<super::Unpleasant>);
}

mod transform_over_memory {
    msglib_testkit::abuse!(super::OverMemory<super::Transformed>);
}

mod recorder_over_memory {
    msglib_testkit::abuse!(super::OverMemory<super::Recorded>);
}

mod memory_beside_sockets {
    msglib_testkit::abuse!(super::SideBySide<super::MemoryBesideSockets>);
}
