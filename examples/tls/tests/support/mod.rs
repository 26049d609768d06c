//! Certificates made on the spot, and the transports of msglib under TLS as fixtures of its testkit.
#![allow(dead_code, reason = "not every test uses everything")]

use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_testkit::conformance::{Fixture, RawPeer, Skipped};
use msglib_tls::{TlsManager, TlsStream, client_config, server_config};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The broker's name.
pub const NAME: &str = "broker.example";

pub type Chain = Vec<CertificateDer<'static>>;

/// Somebody who signs certificates.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of them are two by their names as well.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().expect("entropy");
        let certificate = params.self_signed(&key).expect("a key of its own");
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a certificate");
        roots
    }

    /// A certificate for `name`, and its key.
    pub fn certify(&self, name: &str) -> (Chain, PrivateKeyDer<'static>) {
        self.certify_with(name, |_| {})
    }

    pub fn certify_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Chain, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a good name");
        change(&mut params);
        let key = KeyPair::generate().expect("entropy");
        let certificate = params.signed_by(&key, &self.issuer).expect("a key to sign with");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the encoding that was written");
        (vec![certificate.der().clone()], key)
    }
}

/// Both ends' configurations, of brokers and clients who show certificates to each other; made once.
pub fn configs() -> &'static (Arc<ServerConfig>, Arc<ClientConfig>) {
    static CONFIGS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let authority = Authority::new();
        let (chain, key) = authority.certify(NAME);
        let server = server_config(chain, key, Some(authority.roots())).expect("a good certificate");
        let client = client_config(authority.roots(), Some(authority.certify("client"))).expect("a good certificate");
        (server, client)
    })
}

pub fn name() -> ServerName<'static> {
    NAME.try_into().expect("a good name")
}

/// Memory with pipes of so many bytes.
pub struct OverMemory<const PIPE: usize = 65_536> {
    transport: Transport,
    manager: TlsManager<InMemoryConnectionManager>,
}

impl<const PIPE: usize> Fixture for OverMemory<PIPE> {
    type Manager = TlsManager<InMemoryConnectionManager>;
    type Peer = Peer<MemoryStream>;

    fn new() -> OverMemory<PIPE> {
        let transport = Transport::builder().pipe_capacity(PIPE).build();
        let inner = InMemoryConnectionManager::new(&transport, "broker").expect("nobody else is bound");
        OverMemory { transport, manager: TlsManager::new(inner, configs().0.clone()) }
    }
    fn manager(&mut self) -> &mut TlsManager<InMemoryConnectionManager> {
        &mut self.manager
    }
    fn connect(&mut self) -> Peer<MemoryStream> {
        self.try_connect().expect("the manager listens")
    }
    fn try_connect(&mut self) -> Option<Peer<MemoryStream>> {
        self.transport.connect("broker").ok().map(Peer::new)
    }
    fn advance(&mut self, by: Duration) {
        self.transport.clock().advance(by);
    }
    fn opens_at_once() -> bool {
        false
    }
    fn skipped(case: &str, why: &Skipped) {
        nothing_else_is_skipped(case, why);
    }
}

/// Sockets on this machine, with the clock on the wall.
pub struct OverEpoll {
    address: SocketAddr,
    manager: TlsManager<EpollSocketManager>,
}

impl Fixture for OverEpoll {
    type Manager = TlsManager<EpollSocketManager>;
    type Peer = Peer<TcpStream>;

    fn new() -> OverEpoll {
        let any_port = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
        let builder = EpollSocketManager::builder().listen(any_port).poll_timeout(Duration::from_secs(10));
        let inner = builder.build().expect("a free port");
        let address = inner.local_addr().expect("it listens");
        OverEpoll { address, manager: TlsManager::new(inner, configs().0.clone()) }
    }
    fn manager(&mut self) -> &mut TlsManager<EpollSocketManager> {
        &mut self.manager
    }
    fn connect(&mut self) -> Peer<TcpStream> {
        self.try_connect().expect("the manager listens")
    }
    fn try_connect(&mut self) -> Option<Peer<TcpStream>> {
        let stream = TcpStream::connect(self.address).ok()?;
        stream.set_nonblocking(true).expect("a mode of every socket");
        Some(Peer::new(stream))
    }
    fn opens_at_once() -> bool {
        false
    }
    fn skipped(case: &str, why: &Skipped) {
        nothing_else_is_skipped(case, why);
    }
}

/// TLS can do everything but one thing.
fn nothing_else_is_skipped(case: &str, why: &Skipped) {
    assert_eq!(case, "t01_a_peer_that_is_gone_already_is_opened", "was skipped: {why}");
}

/// What the kit needs of a stream below TLS.
pub trait Stream: Read + Write {
    fn shutdown_write(&mut self) -> io::Result<()>;
    fn reset(&mut self) -> io::Result<()>;
}

impl Stream for MemoryStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        MemoryStream::shutdown_write(self);
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        MemoryStream::reset(self);
        Ok(())
    }
}

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
    /// A socket that is closed with unread input is reset, so all it takes is to wait for some.
    fn reset(&mut self) -> io::Result<()> {
        self.set_nonblocking(false)?;
        self.set_read_timeout(Some(Duration::from_secs(10)))?;
        self.peek(&mut [0]).map(drop)
    }
}

/// A client's stream as the kit's peer.
pub struct Peer<S: Stream> {
    stream: TlsStream<S>,
    /// Nothing more is to be written …
    ending: bool,
    /// … and that was said.
    ended: bool,
    was_reset: bool,
}

impl<S: Stream> Peer<S> {
    pub fn new(stream: S) -> Peer<S> {
        let stream = TlsStream::new(stream, configs().1.clone(), name()).expect("TLS 1.3");
        Peer { stream, ending: false, ended: false, was_reset: false }
    }
}

impl<S: Stream> RawPeer for Peer<S> {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.ending = true;
        self.drive();
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        self.was_reset = true;
        self.stream.get_mut().reset()
    }
    fn drive(&mut self) {
        // An error shows in the next read or write.
        match self.ending && !self.ended {
            false => drop(self.stream.flush()),
            true => match self.stream.shutdown_write() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => self.ended = self.stream.get_mut().shutdown_write().is_ok(),
            },
        }
    }
}

impl<S: Stream> Drop for Peer<S> {
    fn drop(&mut self) {
        // In good order, as far as there is room.
        if !self.was_reset && !self.ended {
            drop(self.stream.shutdown_write());
        }
    }
}
