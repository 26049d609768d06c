//! The conformance kit over every transport of this workspace, and over a decorator of each.

#[path = "fixtures/mod.rs"]
mod fixtures;

use fixtures::{
    MemoryBesideMemory, MemoryBesideSockets, OverEpoll, OverMemory, OverUnix, Plain, Recorded, SideBySide,
    SocketsBesideSilence, SocketsBesideSockets, Stingy, Transformed, Unpleasant,
};

mod memory {
    msglib_testkit::conformance!(super::OverMemory<super::Plain>);
}

mod narrow_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Plain, 256>);
}

mod epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Plain>);
}

mod unix {
    msglib_testkit::conformance!(super::OverUnix<super::Plain>);
}

mod faulty_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Unpleasant>);
}

mod faulty_narrow_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Unpleasant, 256>);
}

/// Without spurious reports, which would make good for one that is missing.
mod stingy_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Stingy>);
}

mod stingy_narrow_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Stingy, 256>);
}

mod faulty_epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Unpleasant>);
}

mod transform_over_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Transformed>);
}

mod transform_over_narrow_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Transformed, 256>);
}

mod transform_over_epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Transformed>);
}

mod recorder_over_memory {
    msglib_testkit::conformance!(super::OverMemory<super::Recorded, 256>);
}

mod recorder_over_epoll {
    msglib_testkit::conformance!(super::OverEpoll<super::Recorded>);
}

mod memory_beside_sockets {
    msglib_testkit::conformance!(super::SideBySide<super::MemoryBesideSockets>);
}

mod sockets_beside_sockets {
    msglib_testkit::conformance!(super::SideBySide<super::SocketsBesideSockets>);
}

mod sockets_beside_silence {
    msglib_testkit::conformance!(super::SideBySide<super::SocketsBesideSilence>);
}

mod memory_beside_memory {
    msglib_testkit::conformance!(super::SideBySide<super::MemoryBesideMemory>);
}
