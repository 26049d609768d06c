//! What a small broker program does around its broker.

use msglib_broker::{Broker, BrokerConfig, Dialect, Handler};
use msglib_io_epoll::EpollSocketManager;
use std::error::Error;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// How long clients have at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves on the address that is the first argument, or on `default`, until standard input ends; prints where. At the end it goes on
/// until `is_done` says so, but not for long.
pub(crate) fn serve<H: Handler<D>, D: Dialect>(
    handler: H,
    dialect: D,
    default: &str,
    mut is_done: impl FnMut(&mut H) -> bool,
) -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| default.to_owned());
    let sockets = EpollSocketManager::bind(&address)?;
    for address in sockets.local_addrs() {
        println!("listening on {address}");
    }
    std::io::stdout().flush()?;
    let mut broker = Broker::with_config(handler, sockets, dialect, BrokerConfig::default());
    let stop = broker.stopper();
    std::thread::spawn(move || {
        // Its end, or a failure, which is as good.
        while std::io::stdin().read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        stop.stop();
    });
    broker.run()?;
    let end = Instant::now() + GOODBYE;
    while !is_done(broker.handler_mut()) && Instant::now() < end {
        broker.process_connections()?;
    }
    broker.shutdown(GOODBYE)?;
    Ok(())
}
