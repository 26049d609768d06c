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

/// In a process of its own, for the limit is the process's.
mod few_descriptors {
    use super::{OverEpoll, Plain};
    use msglib_testkit::abuse::cases;
    use msglib_testkit::conformance::Fixture;
    use std::process::Command;

    #[test]
    fn a_storm_of_connects_and_resets_is_borne() {
        let output = Command::new("sh")
            .args(["-c", r#"ulimit -n 40; exec "$0" --ignored --exact few_descriptors::with_forty"#])
            .arg(std::env::current_exe().expect("this program"))
            .output()
            .expect("sh");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    #[ignore = "a_storm_of_connects_and_resets_is_borne runs it, under a low limit of open files"]
    fn with_forty() {
        let limits = std::fs::read_to_string("/proc/self/limits").expect("/proc");
        let limit = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit of open files");
        assert_eq!(limit.split_whitespace().nth(3), Some("40"), "to be run under `ulimit -n 40`");

        let open = || std::fs::read_dir("/proc/self/fd").expect("/proc").count();
        let before = open();
        let mut fixture = OverEpoll::<Plain>::new();
        let outcome = cases::lifecycle_a_storm_of_connects_and_resets(&mut fixture);
        assert!(outcome.is_ok(), "{outcome:?}");
        let stats = fixture.manager().stats();
        assert!(stats.accept_pauses > 0, "there were enough descriptors: {stats:?}");
        assert!(stats.accepted > 50, "much of the storm came in: {stats:?}");
        drop(fixture);
        assert_eq!(open(), before, "each descriptor is given back");
    }
}
