//! The conformance kit and the abuse suite of `msglib-testkit` over TLS, over each transport of msglib.

mod support;

mod memory {
    mod conformance {
        msglib_testkit::conformance!(crate::support::OverMemory);
    }
    mod abuse {
        msglib_testkit::abuse!(crate::support::OverMemory);
    }
}

/// Each record in many pieces.
mod narrow_memory {
    mod conformance {
        msglib_testkit::conformance!(crate::support::OverMemory<256>);
    }
    mod abuse {
        msglib_testkit::abuse!(crate::support::OverMemory<256>);
    }
}

mod epoll {
    mod conformance {
        msglib_testkit::conformance!(crate::support::OverEpoll);
    }
    mod abuse {
        msglib_testkit::abuse!(crate::support::OverEpoll);
    }
}
