"""Callers that never let go: plain sockets, one request each under way, and a note of all that they were told.

Every other one sends an Idempotency-Key, repeats the call until it gets a 200, and asks again for its last score when a
connection broke.  `attempt_id` is the same word, so that the log shows how often each call was written.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from uuid import uuid4

PATIENCE = 45.0  # seconds for a reply: longer than the service's own; and after the end for a key without a 200
AGAIN = 0.5  # seconds after which what was refused is tried again: what is measured is no machine that is full
RESPONSES = {
    "demo-drying-towel": "The warm air makes the water evaporate faster and the wind blows the wet air away.",
    "demo-steel-ferry": "It pushes away more water than it weighs because there is air inside the hull.",
    "demo-snail-race": "They should use the same snail twice and measure the time on each surface.",
}
Call = tuple[bytes, str | None]  # the request, and its Idempotency-Key


@dataclass(frozen=True, slots=True)
class Reply:
    asked: float
    answered: float
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seconds(self) -> float:
        return self.answered - self.asked


@dataclass
class Told:
    """What all callers were told so far.  Written by their thread only."""

    acknowledged: set[str] = field(default_factory=set)  # prediction ids in whole 200 replies
    by_key: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    repeated: int = 0  # 200 replies to keys that had one already
    broke: int = 0  # connections without a whole reply
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)  # what should never be, in words
    first_given: float = 0.0  # when the first 200 came to a request sent after `since`
    since: float = float("inf")
    slowest: float = 0.0
    slowest_alive: float = 0.0
    slowest_ready: float = 0.0
    readiness: list[tuple[Reply, str]] = field(default_factory=list)  # and what was said of the database

    def watch_for_recovery(self) -> None:
        self.first_given, self.since = 0.0, time.monotonic()

    def note(self, reply: Reply, key: str | None) -> None:
        self.statuses[reply.status] += 1
        self.slowest = max(self.slowest, reply.seconds)
        if reply.status == 200:
            given = json.loads(reply.body)["prediction_id"]
            self.acknowledged.add(given)
            if key is not None:
                self.repeated += key in self.by_key
                self.by_key[key].add(given)
            if reply.asked > self.since and not self.first_given:
                self.first_given = reply.answered
        elif reply.status != 503:
            self.wrong[f"status {reply.status}"] += 1
        elif not reply.headers.get("retry-after", "").isdigit():
            self.wrong["503 without Retry-After"] += 1
        elif reply.headers["content-type"] != "application/problem+json" or b"database-unavailable" not in reply.body:
            self.wrong["503 that is no database-unavailable"] += 1


class Caller:
    """One connection, made anew when it is gone."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Reply:
        """Raises OSError, also TimeoutError, and EOFError when no whole reply came."""
        asked = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(request)
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
                }
                body = await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            self.close()
            raise
        return Reply(asked, time.monotonic(), int(lines[0].split()[1]), headers, body)

    @property
    def is_closed(self) -> bool:
        return self._streams is None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Crowd:
    def __init__(self, port: int, secret: str, clients: int, pause: float) -> None:
        """`pause`: seconds between a reply and the next request of the same caller."""
        self.told = Told()
        self._over, self._patience_ends = Event(), float("inf")
        self._port, self._secret, self._clients, self._pause = port, secret, clients, pause

    def end(self) -> None:
        self._patience_ends = time.monotonic() + PATIENCE
        self._over.set()

    async def run(self) -> None:
        """Until it is over and every call with an Idempotency-Key has its 200."""
        calling = [self._call(number, with_key=number % 2 == 0) for number in range(self._clients)]
        await asyncio.gather(*calling, self._look("/livez", 0.2), self._look("/readyz", 0.5))

    async def _call(self, number: int, *, with_key: bool) -> None:
        caller, item_id = Caller(self._port), list(RESPONSES)[number % len(RESPONSES)]
        given: Call | None = None  # the last one that had its 200
        while not self._over.is_set():
            key = str(uuid4()) if with_key else None
            call: Call = (self._request(item_id, key), key)
            while not await self._given(caller, call, given):
                if self._over.is_set() and (key is None or time.monotonic() > self._patience_ends):
                    break
                await asyncio.sleep(AGAIN)
            if key is not None:
                given = call
                self.told.wrong["a key without a 200"] += key not in self.told.by_key
            await asyncio.sleep(self._pause)
        caller.close()

    async def _given(self, caller: Caller, call: Call, given: Call | None) -> bool:
        """Whether a 200 came.  Over a new connection what was given is asked for again first."""
        asked = [given, call] if given and caller.is_closed else [call]
        try:
            for request, key in asked:
                reply = await caller.ask(request)
                self.told.note(reply, key)
        except TimeoutError:
            self.told.wrong[f"no reply in {PATIENCE:.0f} s"] += 1
            return False
        except (OSError, EOFError):
            self.told.broke += 1
            return False
        return reply.status == 200

    def _request(self, item_id: str, key: str | None) -> bytes:
        body = json.dumps({"item_id": item_id, "response": RESPONSES[item_id], "attempt_id": key}).encode()
        lines = [
            "POST /score HTTP/1.1",
            "Host: 127.0.0.1",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Authorization: Bearer {self._secret}",
            *([f"Idempotency-Key: {key}"] if key else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def _look(self, path: str, seconds: float) -> None:
        """A probe.  What a service that is not there does not answer is no fault."""
        caller, request = Caller(self._port), f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        while not self._over.is_set():
            try:
                reply = await caller.ask(request)
            except TimeoutError:
                self.told.wrong[f"no reply of {path}"] += 1
            except (OSError, EOFError):
                pass
            else:
                self._note(path, reply)
            await asyncio.sleep(seconds)
        caller.close()

    def _note(self, path: str, reply: Reply) -> None:
        if path == "/readyz":
            self.told.slowest_ready = max(self.told.slowest_ready, reply.seconds)
            self.told.readiness.append((reply, json.loads(reply.body)["database"]))
            return
        self.told.slowest_alive = max(self.told.slowest_alive, reply.seconds)
        if reply.status != 200:
            self.told.wrong["/livez is no 200"] += 1


@contextmanager
def crowd(port: int, secret: str, clients: int, pause: float = 0.0) -> Iterator[Told]:
    """At work in a thread of its own while it lasts."""
    callers = Crowd(port, secret, clients, pause)
    thread = Thread(target=asyncio.run, args=(callers.run(),))
    thread.start()
    try:
        yield callers.told
    finally:
        callers.end()
        thread.join()
