//! Rung 2 of the ladder of control: one decision of the stock broker is yours. Here: who may come in, which takes a slow look into a directory,
//! on a thread of its own, while the broker goes on.
//!
//! Run it with `cargo run --example admission`; it plays a small scene over sockets and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{
    Admission, Broker, ConnectionHandler, ConnectionId, Context, ErrorCode, Hello, Identity, Open, PendingAnswer,
    Reject,
};
use msglib_client::Connection;
use msglib_io_epoll::{EpollSocketManager, connect};
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

/// Hands the question over to whoever can answer it.
struct Directory(Sender<(Vec<u8>, PendingAnswer)>);

impl Admission for Directory {
    fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
        let answer = cx.answer_later(from)?;
        // If nobody is there to answer, that is a refusal.
        let _ = self.0.send((hello.credentials.to_vec(), answer));
        Ok(())
    }
    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        match cx.identity(from).map(Identity::name) {
            Some("guest") if open.publishes => Err(Reject::new(ErrorCode::NOT_ALLOWED, "guests only listen")),
            _ => Ok(()),
        }
    }
}

/// As slow as it likes.
fn look_up(credentials: &[u8]) -> Result<Identity, Reject> {
    match credentials {
        b"open sesame" => Ok(Identity::new("ali")),
        b"" => Ok(Identity::new("guest")),
        _ => Err(Reject::new(ErrorCode::BAD_CREDENTIALS, "not the word")),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let (directory, questions) = channel::<(Vec<u8>, PendingAnswer)>();
    thread::spawn(move || {
        for (credentials, answer) in questions {
            match look_up(&credentials) {
                Ok(identity) => answer.accept(identity),
                Err(reject) => answer.refuse(reject),
            }
        }
    });
    let sockets = EpollSocketManager::bind("[::1]:0")?;
    let address = sockets.local_addr().ok_or("it has a listener")?;
    let mut broker = Broker::new(ConnectionHandler::new().with_admission(Directory(directory)), sockets);
    let stop = broker.stopper();
    let clients = thread::spawn(move || {
        for word in ["open sesame", "abracadabra", ""] {
            match bring_gold(address, word) {
                Ok(()) => println!("{word:?}: the gold is in the cave"),
                Err(error) => println!("{word:?}: {error}"),
            }
        }
        stop.stop();
    });
    broker.run()?;
    broker.shutdown(Duration::from_secs(1))?;
    clients.join().map_err(|_| "a client panicked")?;
    Ok(())
}

fn bring_gold(cave: SocketAddr, word: &str) -> Result<(), Failure> {
    let stream = connect(cave, Duration::from_secs(10))?;
    let client = Connection::builder().credentials("word", word.as_bytes()).build(stream)?;
    Ok(client.publish_to_q_confirmed("cave", "gold")?.wait()?)
}
