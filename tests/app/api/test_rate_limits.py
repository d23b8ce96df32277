import time

import pytest
from starlette.testclient import TestClient

from app.api.rate_limits import FIRST_DELAY, FREE_TRIES, LONGEST_DELAY, MAX_ADDRESSES, MINUTE, FailedLogins, RateLimiter
from tests.app.api.assertions import assert_problem, body
from tests.app.conftest import Logged, MakeKey


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_bucket_holds_a_minute_and_refills_evenly() -> None:
    clock = Clock()
    rates = RateLimiter(clock)

    assert [rates.take("a", 3, 1) for _ in range(3)] == [0, 0, 0]
    assert rates.take("a", 3, 1) == pytest.approx(20)
    assert rates.take("b", 3, 1) == 0
    clock.now += 20
    assert rates.take("a", 3, 1) == 0
    assert rates.take("a", 3, 1) == pytest.approx(20)
    clock.now += 10 * MINUTE
    assert [rates.take("a", 3, 1) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]


def test_batch_is_paid_off_before_the_next_call() -> None:
    clock = Clock()
    rates = RateLimiter(clock)

    assert rates.take("a", 60, 1000) == 0
    assert rates.take("a", 60, 1) == pytest.approx(941)
    clock.now += 941
    assert rates.take("a", 60, 1) == 0


def test_failed_logins_are_delayed_longer_each_time_and_then_forgotten() -> None:
    clock = Clock()
    logins = FailedLogins(clock)

    assert [logins.count("a") for _ in range(FREE_TRIES)] == [0] * FREE_TRIES
    assert [logins.count("a") for _ in range(3)] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert max(logins.count("a") for _ in range(2000)) == LONGEST_DELAY
    assert logins.count("b") == 0
    clock.now += MINUTE
    assert logins.count("a") == 0


def test_number_of_remembered_addresses_is_bounded() -> None:
    logins = FailedLogins(Clock())
    for number in range(MAX_ADDRESSES + 10):
        logins.count(str(number))

    assert len(logins._failed) == MAX_ADDRESSES


def test_rate_limited_reply_has_retry_after(client: TestClient, make_key: MakeKey, logged: Logged) -> None:
    slow = make_key("score", responses_a_minute=2).headers
    free = make_key("score").headers

    assert [client.post("/score", json=body(), headers=slow).status_code for _ in range(2)] == [200, 200]
    refused = client.post("/score", json=body(), headers=slow)
    batch = client.post("/score/batch", json={"responses": [body()]}, headers=slow)

    for reply in (refused, batch):
        assert_problem(reply, 429, "rate-limited")
        assert 1 <= int(reply.headers["retry-after"]) <= 30
    assert client.post("/score", json=body(), headers=free).status_code == 200
    assert client.get("/items", headers=slow).status_code == 200
    assert len(logged()) == 3


def test_every_row_of_a_batch_counts_against_the_rate(client: TestClient, make_key: MakeKey) -> None:
    slow = make_key("score", responses_a_minute=10).headers

    assert client.post("/score/batch", json={"responses": [body()] * 10}, headers=slow).status_code == 200
    assert_problem(client.post("/score", json=body(), headers=slow), 429, "rate-limited")


def test_wrong_keys_are_delayed_and_right_keys_are_not(client: TestClient, make_key: MakeKey) -> None:
    right = make_key("score").headers

    def seconds(headers: dict[str, str]) -> float:
        began = time.monotonic()
        client.get("/items", headers=headers)
        return time.monotonic() - began

    tries = [seconds({"Authorization": "Bearer wrong"}) for _ in range(FREE_TRIES + 3)]

    assert sum(tries[-3:]) >= 7 * FIRST_DELAY
    delayed: list[str] = []
    failed_logins = client.app_state["failed_logins"]
    failed_logins.count = delayed.append
    assert client.get("/items", headers=right).status_code == 200
    assert delayed == []
