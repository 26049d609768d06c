//! What a small broker program does around its broker.

use msglib_broker::{Broker, BrokerConfig, Dialect, Handler};
use msglib_io_epoll::EpollSocketManager;
use std::error::Error;
use std::io::{Read, Write};
use std::time::Duration;

/// Serves on the address that is the first argument, or on `default`, until standard input ends; prints where.
pub(crate) fn serve<D: Dialect>(handler: impl Handler<D>, dialect: D, default: &str) -> Result<(), Box<dyn Error>> {
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
    broker.shutdown(Duration::from_secs(5))?;
    Ok(())
}
