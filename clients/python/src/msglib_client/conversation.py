"""A client's half of the conversation with a broker: what has been said, what may be, and what comes of it."""

from __future__ import annotations

import copy
from typing import Dict, List, NoReturn, Optional, cast

from . import frames
from .decode import Decoder, Located
from .encode import encode
from .errors import Code, ConnectionLost, FeatureNotServed, LinkClosed, MsglibError, ProtocolError, Refused
from .events import Ended, Event, LeaveAnnounced, LinkEnded, LinkOpened, PongReceived, UserReceived, Welcomed
from .features import ALL_FEATURES
from .link import FrameOnLink, Link
from .rules import CONNECTION_RULES, LINK_RULES, ConnectionState, LinkState, Rule, Side


class Conversation:
    """The state of one connection, from HELLO to the end. What can be said in it is in :class:`~.session.Session`."""

    def __init__(
        self,
        *,
        name: str = "",
        mechanism: str = "",
        credentials: bytes = b"",
        max_payload: int = frames.DEFAULT_MAX_PAYLOAD,
        idle_ms: int = 0,
        features: int = ALL_FEATURES,
    ) -> None:
        """Begins with HELLO, which is the first output.

        ``max_payload`` is the largest payload, in bytes, that this side takes. ``idle_ms`` is after how many
        milliseconds without a byte from the broker the connection is given up, 0 for never. ``features`` are those that
        are offered, as bits; 32 to 63 are the user's own.
        Raises ``ValueError`` if the HELLO would be too long.
        """
        self.welcome: Optional[frames.Welcome] = None
        """What the broker said of itself, once it has."""
        self.over = False
        """Whether the connection has ended; what is left of the output may still be sent."""
        self.error: Optional[MsglibError] = None
        """Why it ended, unless that was asked for."""
        self.error_raised = False
        """Whether :meth:`check` has told the user of :attr:`error`."""
        self.nothing_more = False
        """Whether even output that was taken, but not sent, is to be dropped: the broker gave up, or is gone (§8.1)."""
        self._offered = int(features)  # A Feature has no bits but those with a name.
        self._decoder = Decoder(max_payload)
        self._broker_half = ConnectionState.FRESH
        self._goodbye_sent = False
        self._output = bytearray()
        self._sent_early = 0
        self._pong: Optional[int] = None
        self._links: Dict[int, Link] = {}
        self._highest_link = 0
        self._idle_seconds = idle_ms / 1000
        self._last_received: Optional[float] = None
        self._last_sent: Optional[float] = None
        self._send(
            frames.Hello(
                features=features,
                max_payload=max_payload,
                idle_ms=idle_ms,
                name=name,
                mechanism=mechanism,
                credentials=credentials,
            )
        )

    # -- what comes and goes ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float = 0.0) -> List[Event]:
        """Takes bytes from the broker, in any pieces, and says what they mean."""
        events: List[Event] = []
        if self.over:
            return events
        self._last_received = now
        self._decoder.push(data)
        while not self.over:
            # One at a time, for WELCOME says which frames are known behind it.
            located = self._decoder.next_located()
            if located is None:
                if self._decoder.error is not None:
                    self._fail(self._decoder.error, events)
                break
            try:
                self._handle(located, events, now)
            except ProtocolError as error:
                self._fail(error, events)
        return events

    def receive_end(self, reason: str = "the broker closed the connection without a GOODBYE") -> List[Event]:
        """The stream has ended, or failed for a ``reason``."""
        events: List[Event] = []
        if not self.over:
            self._drop_output()
            self._end(ConnectionLost(reason), events)
        return events

    def take_output(self, now: float = 0.0) -> bytes:
        """All bytes that are to be sent, in order; they count as sent ``now``."""
        if self._pong is not None and not self.leaving:
            # Only when the output is fetched: a peer that sends PINGs and does not read makes nothing grow.
            self._send(frames.Pong(self._pong))
        self._pong = None
        output = bytes(self._output)
        self._output.clear()
        if output:
            self._last_sent = now
        return output

    @property
    def pending_output(self) -> int:
        """How many bytes wait in :meth:`take_output`, but for a PONG."""
        return len(self._output)

    def tick(self, now: float) -> List[Event]:
        """Does what is due: a PING before the broker thinks this side dead; the end, if the broker seems to be."""
        events: List[Event] = []
        if self.over or self.welcome is None:
            return events
        if self._idle_seconds and self._last_received is not None and now >= self._last_received + self._idle_seconds:
            text = f"nothing arrived for {self._idle_seconds:g} s"
            if not self.leaving:
                self._send_last(frames.Error(Code.IDLE_TIMEOUT, 0, text))
            self._end(ConnectionLost("the broker seems dead", Code.IDLE_TIMEOUT, text), events)
        elif self._ping_at is not None and now >= self._ping_at and not self.leaving:
            self._send(frames.Ping())
        return events

    def next_tick(self) -> Optional[float]:
        """When :meth:`tick` has something to do; ``None`` if never."""
        if self.over or self.welcome is None:
            return None
        times = [] if self._ping_at is None or self.leaving else [self._ping_at]
        if self._idle_seconds and self._last_received is not None:
            times.append(self._last_received + self._idle_seconds)
        return min(times, default=None)

    # -- its state -------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises the reason if the connection has ended or is about to."""
        if self.error is not None:
            self.error_raised = True
            raise copy.copy(self.error)
        if self.leaving:
            raise ConnectionLost("the connection was closed here")

    @property
    def features(self) -> int:
        """The features that were agreed on, as bits; none before WELCOME."""
        return self.welcome.features if self.welcome is not None else 0

    def require(self, features: int, what: str) -> None:
        """Says that ``what`` cannot be done: for good, unless one of the features was agreed on, or before WELCOME.

        Raises ``FeatureNotServed`` or ``BlockingIOError``.
        """
        self.check()
        if self.welcome is None and self._offered & features:
            raise BlockingIOError(f"whether the broker serves {what} is known when it has answered the HELLO")
        if not self.features & features:
            name = self.welcome.name if self.welcome is not None else ""
            raise FeatureNotServed.of(what, features, self._offered, name)

    @property
    def leaving(self) -> bool:
        """Whether nothing can be sent any more: GOODBYE was, or the connection has ended."""
        return self._goodbye_sent or self.over

    @property
    def broker_is_done(self) -> bool:
        """Whether the broker has sent its last frame, so that nobody waits for more of this side's."""
        return self._broker_half is ConnectionState.OVER

    def fits(self, frame_length: int) -> bool:
        """Whether so many bytes may be sent now: before WELCOME there are 16,384 in all (§4.4)."""
        return self.welcome is not None or self._sent_early + frame_length <= frames.MAX_HELLO

    # -- its end ---------------------------------------------------------------------------------------------------

    def goodbye(self, code: Code = Code.NONE, text: str = "") -> List[Event]:
        """Ends the connection in good order; outcomes still arrive until ``Ended``. Nothing can be sent any more.

        Returns at once what happened if there is no room for a GOODBYE before WELCOME: then that was the end.
        """
        events: List[Event] = []
        if not self.over and not self._goodbye_sent:
            said = self._send_last(frames.Goodbye(code, text))
            self._goodbye_sent = True
            if not said:
                self._end(None, events)
        return events

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _ping_at(self) -> Optional[float]:
        if self.welcome is None or self.welcome.idle_ms == 0 or self._last_sent is None:
            return None
        return self._last_sent + self.welcome.idle_ms / 2000

    def _send(self, frame: frames.Frame) -> None:
        encoded = encode(frame)
        if self.welcome is None:
            if not self.fits(len(encoded)):
                raise BlockingIOError("no more can be sent before WELCOME")
            self._sent_early += len(encoded)
        self._output += encoded

    def _send_last(self, frame: frames.Frame) -> bool:
        """Sends a frame that nothing follows; says no if it does not fit any more before WELCOME."""
        if self._pong is not None and not self.leaving:
            self._send(frames.Pong(self._pong))
            self._pong = None
        encoded = encode(frame)
        if not self.fits(len(encoded)):
            return False
        self._output += encoded
        return True

    def _drop_output(self) -> None:
        self._output.clear()
        self._pong = None
        self.nothing_more = True

    def _fail(self, error: ProtocolError, events: List[Event]) -> None:
        if not self.leaving:
            self._send_last(frames.Error(error.code, error.offset, error.rule))
        self._end(error, events)

    def _end(self, error: Optional[MsglibError], events: List[Event]) -> None:
        self.over = True
        self.error = error
        for link in self._links.values():
            link.error = link.error or error or ConnectionLost("the connection was closed here")
            link.state = LinkState.FREE
        self._links.clear()
        events.append(Ended(error))

    def _handle(self, located: Located, events: List[Event], now: float) -> None:
        offset, frame = located
        key = Side.BROKER, frame.TYPE
        if CONNECTION_RULES[key][self._broker_half] is not Rule.ACCEPT:
            state = self._broker_half.name.lower()
            raise ProtocolError(
                Code.UNEXPECTED_FRAME, offset, f"{frame.TYPE.name} from a broker while the connection is {state}"
            )
        if isinstance(frame, frames.Welcome):
            self._handle_welcome(offset, frame, events, now)
        elif isinstance(frame, frames.Goodbye):
            self._handle_goodbye(frame, events)
        elif isinstance(frame, frames.Error):
            self._handle_error(frame, events)
        elif isinstance(frame, frames.Ping):
            self._pong = frame.token
        elif isinstance(frame, frames.Pong):
            events.append(PongReceived(frame.token))
        elif isinstance(frame, frames.User):
            events.append(UserReceived(frame))
        elif isinstance(frame, frames.GoingAway):
            events.append(LeaveAnnounced(frame.deadline_ms))
        elif key in LINK_RULES:
            self._handle_on_link(offset, frame, events)

    def _handle_welcome(self, offset: int, frame: frames.Welcome, events: List[Event], now: float) -> None:
        if frame.version != 1:
            raise ProtocolError(Code.BAD_FIELD, offset + 12, "this client speaks version 1 alone")
        if frame.features & ~self._offered:
            rule_text = f"this client did not offer the features 0x{frame.features & ~self._offered:x}"
            raise ProtocolError(Code.BAD_FIELD, offset + 14, rule_text)
        self._broker_half = ConnectionState.GREETED
        self.welcome = frame
        self._decoder.features = frame.features
        self._last_sent = now if self._last_sent is None else self._last_sent
        events.append(Welcomed(frame))

    def _handle_goodbye(self, frame: frames.Goodbye, events: List[Event]) -> None:
        self._broker_half = ConnectionState.OVER
        if self._goodbye_sent:
            self._end(None, events)
            return
        self._send_last(frames.Goodbye())
        self._goodbye_sent = True
        self._end(ConnectionLost("the broker ended the connection", frame.code, frame.text), events)

    def _handle_error(self, frame: frames.Error, events: List[Event]) -> None:
        self._drop_output()
        if self._broker_half is ConnectionState.FRESH:
            error: MsglibError = Refused("the broker does not take the connection", frame.code, frame.text)
        else:
            what = f"the broker gave the connection up (byte {frame.offset} of what this side sent)"
            error = ConnectionLost(what, frame.code, frame.text)
        self._broker_half = ConnectionState.OVER
        self._end(error, events)

    def _handle_on_link(self, offset: int, frame: frames.Frame, events: List[Event]) -> None:
        number: int = getattr(frame, "link")
        link = self._links.get(number)
        state = LinkState.FREE if link is None else link.state
        rule = LINK_RULES[Side.BROKER, frame.TYPE][state]
        if rule is Rule.IGNORE:
            return
        if link is None or rule is not Rule.ACCEPT:
            _bad_link(offset, f"{frame.TYPE.name} on link {number}, which is {state.name.lower()}")
        if isinstance(frame, frames.Opened):
            link.state = LinkState.OPEN
            events.append(LinkOpened(link))
        elif isinstance(frame, frames.Closed):
            self._handle_closed(link, frame, events)
        else:
            events.extend(link.receive(offset, cast(FrameOnLink, frame)))

    def _handle_closed(self, link: Link, frame: frames.Closed, events: List[Event]) -> None:
        if link.state is LinkState.OPENING:
            link.error = Refused("the broker does not open the link", frame.code, frame.text)
        elif link.error is None:
            link.error = LinkClosed("the broker closed the link", frame.code, frame.text)
        if link.state is not LinkState.CLOSING and not self.leaving:
            self._send(frames.Close(link.number))
        link.state = LinkState.FREE
        del self._links[link.number]
        events.append(LinkEnded(link, frame.code, frame.text))


def _bad_link(offset: int, rule: str) -> NoReturn:
    raise ProtocolError(Code.BAD_LINK, offset, rule)
