"""Authenticate callers by API key and check their scopes.

While no key was ever made, the service is open to programs on its own machine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.problems import Forbidden, RateLimited, Unauthorized
from app.api.state import State, StateDep
from app.settings import is_loopback
from app.storage import api_keys
from app.storage.key_cache import KnownKey

PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
bearer = HTTPBearer(auto_error=False, description="A key that `scorelet keys create` printed.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request came with, or nobody in particular while the service is open."""

    key_id: str | None  # None: the service is open
    scopes: frozenset[api_keys.Scope]
    responses_a_minute: int | None = None


async def caller_of(request: Request, state: State, *scopes: api_keys.Scope) -> Caller:
    """Return the caller if it has any of the scopes.

    Raises Unauthorized and Forbidden.
    """
    caller = await _authenticate(request, state)
    if caller.scopes.isdisjoint(scopes):
        needed = [scope.value for scope in scopes]
        sentence = f"the key lacks the scope {' or '.join(needed)}: use a key with this scope"
        raise Forbidden(sentence, code="scope_lacking", scopes=needed)
    return caller


async def _authenticate(request: Request, state: State) -> Caller:
    keys = state["keys"]
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        try:
            return _caller_with(await keys.find(secret.strip()))
        except Unauthorized:
            address = request.client.host if request.client else "unknown"
            await asyncio.sleep(state["failed_logins"].count(address))
            raise
    if await keys.any_exist():
        raise Unauthorized("a key is needed: send the header Authorization: Bearer <key>", code="key_needed")
    if not _is_local(request):
        sentence = (
            "the service has no key yet and answers programs on its own machine only: run `scorelet keys create` there"
        )
        raise Unauthorized(sentence, code="open_to_this_machine_only")
    return Caller(None, frozenset(api_keys.Scope))


def _caller_with(key: KnownKey | None) -> Caller:
    """Return the caller that a key stands for.  Raises Unauthorized if the key is unknown, revoked or expired."""
    if key is None:
        raise Unauthorized("the key is unknown: check that it was copied whole", code="key_unknown")
    if key.revoked_at is not None:
        raise Unauthorized("the key was revoked: use another", code="key_revoked")
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        sentence = f"the key expired at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}: use another"
        raise Unauthorized(sentence, code="key_expired")
    return Caller(key.caller, key.scopes, key.responses_a_minute)


def count_responses(caller: Caller, state: State, responses: int) -> None:
    """Count responses against the key's rate.  Raises RateLimited."""
    if caller.key_id is None or caller.responses_a_minute is None:
        return
    if wait := state["rate_limiter"].take(caller.key_id, caller.responses_a_minute, responses):
        raise RateLimited(caller.responses_a_minute, wait)


def _is_local(request: Request) -> bool:
    """Return whether a program on this machine calls this machine by a loopback name, through no proxy.

    A proxy on this machine that adds none of `PROXY_HEADERS` looks like a local caller, so docs/how-to/manage-keys.md
    asks for a key before any proxy.
    """
    if any(header in request.headers for header in PROXY_HEADERS):
        return False
    # Starlette puts the server's own address in place of a host name that it cannot read.
    if request.headers.get("host", request.url.netloc) != request.url.netloc:
        return False
    server, client = request.scope.get("server"), request.scope.get("client")
    if not server or not client:
        return False
    addresses = [server[0], client[0], request.url.hostname or ""]
    return all(map(is_loopback, addresses))


def require(*scopes: api_keys.Scope) -> Callable[[Request, State, Credentials], Awaitable[Caller]]:
    """Return `caller_of` as a dependency that also stands in the OpenAPI document.

    Raises Unauthorized and Forbidden.
    """

    async def check(request: Request, state: StateDep, _: Credentials) -> Caller:
        return await caller_of(request, state, *scopes)

    return check


MetricsCaller = Annotated[Caller, Depends(require(api_keys.Scope.METRICS))]
ReviewCaller = Annotated[Caller, Depends(require(api_keys.Scope.REVIEW))]
ReadingCaller = Annotated[Caller, Depends(require(api_keys.Scope.SCORE, api_keys.Scope.REVIEW))]
