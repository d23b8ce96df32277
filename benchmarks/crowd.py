"""Persistent callers: plain sockets with a request each in flight, and a record of every reply.

Every other caller sends an Idempotency-Key and repeats the call until it gets a 200.  After a broken connection it also
sends its last successful call again.  `attempt_id` equals the key, so the log shows how often each call was written.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from uuid import uuid4

# Seconds to wait for a reply, and after the end for keys without a 200.  The service's own limits are shorter.
REPLY_TIMEOUT = 45.0
RETRY_DELAY = 0.5  # seconds after a refusal: the benchmark does not measure an overloaded machine
RESPONSES = {
    "demo-drying-towel": "The warm air makes the water evaporate faster and the wind blows the wet air away.",
    "demo-steel-ferry": "It pushes away more water than it weighs because there is air inside the hull.",
    "demo-snail-race": "They should use the same snail twice and measure the time on each surface.",
}
Call = tuple[bytes, str | None]  # the request, and its Idempotency-Key


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP reply, with the times of the request and of the reply."""

    sent_at: float
    received_at: float
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seconds(self) -> float:
        return self.received_at - self.sent_at


@dataclass
class CrowdRecord:
    """All replies that the callers have received so far.  Only the callers' thread writes it."""

    acknowledged: set[str] = field(default_factory=set)  # prediction ids in whole 200 replies
    by_key: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    repeated: int = 0  # 200 replies to keys that already had a 200
    broken_connections: int = 0  # without a whole reply
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)  # forbidden events, in words
    recovered_at: float = 0.0  # time of the first 200 to a request sent after `watched_from`
    watched_from: float = float("inf")
    slowest: float = 0.0
    slowest_livez: float = 0.0
    slowest_readyz: float = 0.0
    readiness: list[tuple[Reply, str]] = field(default_factory=list)  # replies of /readyz, and their `database`

    def watch_for_recovery(self) -> None:
        """Wait for the next 200 from now on."""
        self.recovered_at, self.watched_from = 0.0, time.monotonic()

    def note_score(self, reply: Reply, key: str | None) -> None:
        """Record a reply of POST /score."""
        self.statuses[reply.status] += 1
        self.slowest = max(self.slowest, reply.seconds)
        if reply.status == 200:
            self._note_prediction(reply, key)
        elif reply.status != 503:
            self.faults[f"status {reply.status}"] += 1
        elif not reply.headers.get("retry-after", "").isdigit():
            self.faults["503 without Retry-After"] += 1
        elif reply.headers["content-type"] != "application/problem+json" or b"database-unavailable" not in reply.body:
            self.faults["503 other than database-unavailable"] += 1

    def _note_prediction(self, reply: Reply, key: str | None) -> None:
        prediction_id = json.loads(reply.body)["prediction_id"]
        self.acknowledged.add(prediction_id)
        if key is not None:
            self.repeated += key in self.by_key
            self.by_key[key].add(prediction_id)
        if reply.sent_at > self.watched_from and not self.recovered_at:
            self.recovered_at = reply.received_at

    def note_probe(self, path: str, reply: Reply) -> None:
        """Record a reply of /livez or /readyz."""
        if path == "/readyz":
            self.slowest_readyz = max(self.slowest_readyz, reply.seconds)
            self.readiness.append((reply, json.loads(reply.body)["database"]))
            return
        self.slowest_livez = max(self.slowest_livez, reply.seconds)
        if reply.status != 200:
            self.faults["/livez other than 200"] += 1


class Caller:
    """A connection that is opened again after it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> Reply:
        """Send a request and return the reply.  Raises OSError or EOFError if no whole reply comes."""
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(REPLY_TIMEOUT):
                self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                status, headers = parse_head(head)
                body = await reader.readexactly(int(headers["content-length"]))
        except BaseException:
            self.close()
            raise
        return Reply(sent_at, time.monotonic(), status, headers, body)

    @property
    def is_closed(self) -> bool:
        return self._streams is None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of an HTTP/1.1 reply."""
    first, *lines = head.decode("latin-1").splitlines()
    fields = [line.partition(":") for line in lines]
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in fields}


class Crowd:
    """Callers that score at the same time, and probes beside them."""

    def __init__(self, port: int, secret: str, clients: int, pause: float) -> None:
        """Take the service's port and key, the number of callers, and their pause in seconds after each reply."""
        self.record = CrowdRecord()
        self._over, self._gives_up_at = Event(), float("inf")
        self._port, self._secret, self._clients, self._pause = port, secret, clients, pause

    def end(self) -> None:
        """Let callers without an open key finish, and give the other callers some time."""
        self._gives_up_at = time.monotonic() + REPLY_TIMEOUT
        self._over.set()

    async def run(self) -> None:
        """Call until the end, and until every call with an Idempotency-Key has its 200."""
        calling = [self._call(number, with_key=number % 2 == 0) for number in range(self._clients)]
        await asyncio.gather(*calling, self._probe("/livez", 0.2), self._probe("/readyz", 0.5))

    async def _call(self, number: int, *, with_key: bool) -> None:
        caller, item_id = Caller(self._port), list(RESPONSES)[number % len(RESPONSES)]
        last: Call | None = None  # the last successful call with a key
        while not self._over.is_set():
            key = str(uuid4()) if with_key else None
            call: Call = (self._request(item_id, key), key)
            while not await self._succeeds(caller, call, last):
                if self._over.is_set() and (key is None or time.monotonic() > self._gives_up_at):
                    break
                await asyncio.sleep(RETRY_DELAY)
            if key is not None:
                last = call
                self.record.faults["a key without a 200"] += key not in self.record.by_key
            await asyncio.sleep(self._pause)
        caller.close()

    async def _succeeds(self, caller: Caller, call: Call, last: Call | None) -> bool:
        """Return whether the call got a 200.  A new connection repeats the last successful call first."""
        calls = [last, call] if last and caller.is_closed else [call]
        try:
            for request, key in calls:
                reply = await caller.send(request)
                self.record.note_score(reply, key)
        except TimeoutError:
            self.record.faults[f"no reply in {REPLY_TIMEOUT:.0f} s"] += 1
            return False
        except (OSError, EOFError):
            self.record.broken_connections += 1
            return False
        return reply.status == 200

    def _request(self, item_id: str, key: str | None) -> bytes:
        headers = [f"Authorization: Bearer {self._secret}"]
        if key:
            headers.append(f"Idempotency-Key: {key}")
        return score_request({"item_id": item_id, "response": RESPONSES[item_id], "attempt_id": key}, headers)

    async def _probe(self, path: str, interval: float) -> None:
        """Poll a probe.  A refused connection is no fault, because the service may be down."""
        caller, request = Caller(self._port), f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        while not self._over.is_set():
            try:
                reply = await caller.send(request)
            except TimeoutError:
                self.record.faults[f"no reply of {path}"] += 1
            except (OSError, EOFError):
                pass
            else:
                self.record.note_probe(path, reply)
            await asyncio.sleep(interval)
        caller.close()


def score_request(body: Mapping[str, str | None], headers: list[str]) -> bytes:
    """Return a whole HTTP request to POST /score."""
    content = json.dumps(body).encode()
    lines = [
        "POST /score HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + content


@contextmanager
def crowd(port: int, secret: str, clients: int, pause: float = 0.0) -> Iterator[CrowdRecord]:
    """Run a crowd in a thread of its own, and yield its record."""
    callers = Crowd(port, secret, clients, pause)
    thread = Thread(target=asyncio.run, args=(callers.run(),))
    thread.start()
    try:
        yield callers.record
    finally:
        callers.end()
        thread.join()
