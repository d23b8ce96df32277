"""Admit callers: by key and scope, or on loopback while no key was ever made."""

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

PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
bearer = HTTPBearer(auto_error=False, description="A key made by `scorelet keys create`.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


@dataclass(frozen=True, slots=True)
class Caller:
    key_id: str | None  # None: the service is open
    scopes: frozenset[api_keys.Scope]
    responses_a_minute: int | None = None


async def caller_of(request: Request, state: State, *scopes: api_keys.Scope) -> Caller:
    """Return the caller if it has any of the scopes.  Raises Unauthorized and Forbidden."""
    caller = await _authenticated(request, state)
    if caller.scopes.isdisjoint(scopes):
        needed = [scope.value for scope in scopes]
        raise Forbidden(f"this key lacks the scope {' or '.join(needed)}", code="scope_lacking", scopes=needed)
    return caller


async def _authenticated(request: Request, state: State) -> Caller:
    known = state["keys"]
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        try:
            return _caller(await known.find(secret.strip()))
        except Unauthorized:
            address = request.client.host if request.client else "unknown"
            await asyncio.sleep(state["failed_tries"].failed(address))
            raise
    if await known.any_exist():
        raise Unauthorized("a key is needed: Authorization: Bearer <key>", code="key_needed")
    if not _is_local(request):
        sentence = "no key is made yet, and without one the service answers this machine only"
        raise Unauthorized(sentence, code="open_to_this_machine_only")
    return Caller(None, frozenset(api_keys.Scope))


def _caller(key: KnownKey | None) -> Caller:
    if key is None:
        raise Unauthorized("this key is not known", code="key_unknown")
    if key.revoked_at is not None:
        raise Unauthorized("this key was revoked", code="key_revoked")
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        raise Unauthorized(f"this key expired at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}", code="key_expired")
    return Caller(key.caller, key.scopes, key.responses_a_minute)


def take(caller: Caller, state: State, responses: int) -> None:
    """Count responses against the number that the key may have scored in a minute.  Raises RateLimited."""
    if caller.key_id is None or caller.responses_a_minute is None:
        return
    if wait := state["rates"].take(caller.key_id, caller.responses_a_minute, responses):
        raise RateLimited(caller.responses_a_minute, wait)


def _is_local(request: Request) -> bool:
    """Return whether both ends and the host name are this machine's, and no proxy says that it passes a call on.

    A proxy here that says nothing looks like a local caller: README asks for a key before any proxy.
    """
    if any(name in request.headers for name in PASSED_ON):
        return False
    server, client = request.scope.get("server"), request.scope.get("client")
    ends = [address[0] for address in (server, client) if address]
    if request.headers.get("host", request.url.netloc) != request.url.netloc:
        return False  # starlette puts the server's own address where it cannot read the name
    return len(ends) == 2 and all(map(is_loopback, [*ends, request.url.hostname or ""]))


def having(*scopes: api_keys.Scope) -> Callable[[Request, State, Credentials], Awaitable[Caller]]:
    """Return `caller_of` as a dependency that also shows in the OpenAPI document.  Raises Unauthorized, Forbidden."""

    async def check(request: Request, state: StateDep, _: Credentials) -> Caller:
        return await caller_of(request, state, *scopes)

    return check


MetricsCaller = Annotated[Caller, Depends(having(api_keys.Scope.METRICS))]
ReviewCaller = Annotated[Caller, Depends(having(api_keys.Scope.REVIEW))]
ReadingCaller = Annotated[Caller, Depends(having(api_keys.Scope.SCORE, api_keys.Scope.REVIEW))]
