"""A client's side of one connection, without a socket, a clock or a thread.

Bytes from the broker go into :meth:`Session.receive`, which says what happened as events; bytes for the broker come out
of :meth:`Session.take_output`. The time is whatever clock the caller reads, in seconds; it only has to go forwards. A
session is not for several threads at once.
"""

from __future__ import annotations

import copy
from typing import Dict, List, NoReturn, Optional, Union

from . import frames
from .decode import Decoder, Located
from .encode import encode
from .errors import Code, ConnectionLost, LinkClosed, MsglibError, ProtocolError, Refused
from .events import (
    LINKS_BEFORE_WELCOME,
    Delivered,
    Ended,
    Event,
    Link,
    LinkEnded,
    LinkOpened,
    PongReceived,
    PublishCredit,
    PublishesConfirmed,
    PublishesRefused,
    UserReceived,
    Welcomed,
)
from .rules import CONNECTION_RULES, LINK_RULES, ConnectionState, LinkState, Rule, Side


class Session:
    """The state of one connection, from HELLO to the end."""

    def __init__(
        self,
        *,
        name: str = "",
        mechanism: str = "",
        credentials: bytes = b"",
        max_payload: int = frames.DEFAULT_MAX_PAYLOAD,
        idle_ms: int = 0,
    ) -> None:
        """Begins with HELLO, which is the first output.

        ``max_payload`` is the largest payload, in bytes, that this side takes. ``idle_ms`` is after how many
        milliseconds without a byte from the broker the connection is given up, 0 for never.
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
                max_payload=max_payload, idle_ms=idle_ms, name=name, mechanism=mechanism, credentials=credentials
            )
        )

    # -- what comes and goes ---------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float = 0.0) -> List[Event]:
        """Takes bytes from the broker, in any pieces, and says what they mean."""
        events: List[Event] = []
        if self.over:
            return events
        self._last_received = now
        for located in self._decoder.feed_located(data):
            try:
                self._handle(located, events, now)
            except ProtocolError as error:
                self._fail(error, events)
            if self.over:
                return events
        if self._decoder.error is not None:
            self._fail(self._decoder.error, events)
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

    # -- what the user can do --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises the reason if the connection has ended or is about to."""
        if self.error is not None:
            self.error_raised = True
            raise copy.copy(self.error)
        if self.leaving:
            raise ConnectionLost("the connection was closed here")

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

    def open(
        self,
        name: Union[int, bytes],
        *,
        publishes: bool = False,
        consumes: bool = False,
        kind: int = frames.QUEUE_KIND,
        arguments: bytes = b"",
    ) -> Link:
        """Opens a link, which can be used at once.

        Raises ``BlockingIOError`` if that has to wait for WELCOME, ``Refused`` if all links are in use, ``ValueError``
        for a name, kind or arguments outside their bounds.
        """
        self.check()
        most = self.welcome.max_links if self.welcome is not None else LINKS_BEFORE_WELCOME
        number = next((n for n in range(1, self._highest_link + 1) if n not in self._links), self._highest_link + 1)
        if number > most:
            if self.welcome is None:
                raise BlockingIOError("no more links before WELCOME")
            raise Refused(f"all {most} links are in use", Code.TOO_MANY_LINKS)
        self._send(frames.Open(number, name, publishes, consumes, kind, arguments))
        link = self._links[number] = Link(number, publishes, consumes)
        self._highest_link = max(self._highest_link, number)
        return link

    def close(self, link: Link) -> None:
        """Gives a link up: deliveries in flight go back, outcomes still arrive. Does nothing the second time."""
        self.check()
        if not link.usable:
            return
        self._send(frames.Close(link.number))
        link.state = LinkState.CLOSING
        link.error = LinkClosed("the link was closed here")

    def may_publish(self, link: Link, payload_length: int) -> bool:
        """Whether :meth:`publish` would not raise ``BlockingIOError``."""
        return link.next_number <= link.publish_upto and self.fits(frames.HEADER_LENGTH + 8 + payload_length)

    def publish(self, link: Link, payload: bytes, confirm: bool = False) -> int:
        """Sends a message and returns its number.

        Raises ``BlockingIOError`` without credit, ``ValueError`` if the payload is above what the broker takes.
        """
        self.check()
        link.check()
        if not link.publishes:
            raise ValueError("this link was not opened to publish")
        if self.welcome is not None and len(payload) > self.welcome.max_payload:
            raise ValueError(f"the payload has {len(payload)} bytes; the broker takes {self.welcome.max_payload}")
        if not self.may_publish(link, len(payload)):
            raise BlockingIOError("the broker does not allow another publish yet")
        number = link.next_number
        self._send(frames.Publish(link.number, number, payload, confirm))
        link.next_number += 1
        return number

    def grant(self, link: Link, upto: int) -> None:
        """Allows deliveries up to the tag ``upto``; what is allowed already stays so."""
        self.check()
        link.check()
        if not link.consumes:
            raise ValueError("this link was not opened to consume")
        if upto > link.delivery_upto:
            self._send(frames.Credit(link.number, upto))
            link.delivery_upto = upto

    def ack(self, link: Link, first: int, last: int) -> None:
        """The deliveries from ``first`` to ``last`` are done with."""
        self.check()
        link.check()
        self._send(frames.Ack(link.number, first, last))

    def refuse(self, link: Link, first: int, last: int, verdict: frames.Verdict) -> None:
        """The deliveries from ``first`` to ``last`` were not done with."""
        self.check()
        link.check()
        self._send(frames.Refuse(link.number, first, last, verdict))

    def ping(self, token: int = 0) -> None:
        """Asks for a sign of life."""
        self.check()
        self._send(frames.Ping(token))

    def send_user(self, frame: frames.User) -> None:
        """Sends a frame of the user's own."""
        self.check()
        if self.welcome is not None and len(frame.body) > self.welcome.max_payload:
            raise ValueError(f"the body has {len(frame.body)} bytes; the broker takes {self.welcome.max_payload}")
        self._send(frame)

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
        elif key in LINK_RULES:
            self._handle_on_link(offset, frame, events)

    def _handle_welcome(self, offset: int, frame: frames.Welcome, events: List[Event], now: float) -> None:
        if frame.version != 1:
            raise ProtocolError(Code.BAD_FIELD, offset + 12, "this client speaks version 1 alone")
        if frame.features != 0:
            raise ProtocolError(Code.BAD_FIELD, offset + 14, "this client offered no features")
        self._broker_half = ConnectionState.GREETED
        self.welcome = frame
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
        elif isinstance(frame, frames.Delivery):
            _check_delivery(offset, link, frame)
            link.next_tag += 1
            events.append(Delivered(link, frame.tag, frame.count, frame.payload))
        else:
            self._handle_for_publisher(offset, link, frame, events)

    def _handle_for_publisher(self, offset: int, link: Link, frame: frames.Frame, events: List[Event]) -> None:
        if not link.publishes:
            _bad_link(offset, f"{frame.TYPE.name} on link {link.number}, which was not opened to publish")
        if isinstance(frame, frames.Credit):
            if frame.upto < link.publish_upto:
                rule_text = f"credit may not go back from {link.publish_upto} to {frame.upto}"
                raise ProtocolError(Code.CREDIT, offset, rule_text)
            link.publish_upto = frame.upto
            events.append(PublishCredit(link))
        elif isinstance(frame, frames.Confirmed):
            events.append(PublishesConfirmed(link, min(frame.upto, link.next_number - 1)))
        elif isinstance(frame, frames.Refused):
            last = min(frame.last, link.next_number - 1)
            if frame.first <= last:
                events.append(PublishesRefused(link, frame.first, last, frame.code, frame.text))

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


def _check_delivery(offset: int, link: Link, frame: frames.Delivery) -> None:
    if not link.consumes:
        _bad_link(offset, f"DELIVERY on link {link.number}, which was not opened to consume")
    if frame.tag != link.next_tag:
        raise ProtocolError(Code.BAD_NUMBER, offset, f"the delivery must have the tag {link.next_tag}")
    if frame.tag > link.delivery_upto:
        raise ProtocolError(Code.CREDIT, offset, f"deliveries are allowed up to the tag {link.delivery_upto}")


def _bad_link(offset: int, rule: str) -> NoReturn:
    raise ProtocolError(Code.BAD_LINK, offset, rule)
