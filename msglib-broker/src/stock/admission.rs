//! Who may come in, and open what: the user's decision, and what an `OPEN` is while it is being decided.

use crate::core::Context;
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ChannelKind, Hello, LinkNumber, Open, OwnedName};

/// Decides for the stock handler who may come in, and open what; see
/// [`ConnectionHandler::with_admission`](crate::ConnectionHandler::with_admission).
///
/// There are three answers to each question. *Yes* is `Ok`, at the door together with [`Context::set_identity`] for who it is. *No* is a
/// [`Reject`]. *Later* is [`Context::answer_later`], whose [`PendingAnswer`](crate::PendingAnswer) goes to whoever will know, and `Ok`.
/// By default everyone may do everything, and has no identity.
///
/// ```
/// use msglib_broker::{Admission, ConnectionHandler, ConnectionId, Context, ErrorCode, Hello, Identity, Open, Reject};
///
/// struct OnlyAlicePublishes;
///
/// impl Admission for OnlyAlicePublishes {
///     fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
///         match hello.credentials {
///             b"alice's secret" => cx.set_identity(from, Identity::new("alice")),
///             b"" => cx.set_identity(from, Identity::new("guest")),
///             _ => return Err(Reject::new(ErrorCode::BAD_CREDENTIALS, "not a word that I know")),
///         }
///         Ok(())
///     }
///     fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
///         match cx.identity(from).map(Identity::name) {
///             Some("guest") if open.publishes => Err(Reject::new(ErrorCode::NOT_ALLOWED, "guests only listen")),
///             _ => Ok(()),
///         }
///     }
/// }
///
/// let handler = ConnectionHandler::new().with_admission(OnlyAlicePublishes);
/// # let _ = handler;
/// ```
pub trait Admission: Send {
    /// A client says hello: its credentials are in `hello`, its address and the certificate that it has shown in [`Context::peer`].
    ///
    /// # Errors
    ///
    /// It is told why, and its connection ends. Nothing that it has sent has an effect.
    fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
        let _ = (cx, from, hello);
        Ok(())
    }

    /// A client opens a link. Asked once for each link; what goes over it is not asked for again.
    ///
    /// The settings that it wants for a queue are in [`Open::arguments`], for
    /// [`QueueSettings::parse`](msglib_proto::QueueSettings::parse). Who may open a queue can also make it, with a queue for its dead letters
    /// that need not be one that the client may open itself: if that matters, look at it here.
    ///
    /// # Errors
    ///
    /// It is told why, and the link is closed. Its connection goes on.
    fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
        let _ = (cx, from, open);
        Ok(())
    }
}

/// Everyone may do everything.
#[derive(Debug)]
pub(super) struct OpenDoor;

impl Admission for OpenDoor {}

/// An `OPEN` whose answer is put off.
#[derive(Debug)]
pub(super) struct OwnedOpen {
    link: LinkNumber,
    publishes: bool,
    consumes: bool,
    kind: ChannelKind,
    name: OwnedName,
    arguments: Box<[u8]>,
}

impl OwnedOpen {
    pub(super) fn new(open: &Open<'_>) -> OwnedOpen {
        let Open { link, publishes, consumes, kind, .. } = *open;
        OwnedOpen { link, publishes, consumes, kind, name: open.name.to_owned(), arguments: open.arguments.into() }
    }

    pub(super) fn borrow(&self) -> Open<'_> {
        let OwnedOpen { link, publishes, consumes, kind, ref name, ref arguments } = *self;
        Open { link, publishes, consumes, kind, name: name.borrow(), arguments }
    }
}
