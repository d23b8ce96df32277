"""A teacher behind an API: the server of llama.cpp with a real small model, and faults on the way."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from app.scoring.item import Item
from app.scoring.student import Student
from tests.programs import environment, free_port
from tests.refusals import refused
from tests.training.example_rows import GRADES, ITEM, LABELS, item_data, marked
from tests.training.inside import call
from tests.waiting import HANGS, until
from training.config import ApiConfig, TrainingConfig
from training.errors import BadConfig, TeacherFailed
from training.pipeline.run import train
from training.teacher import api
from training.teacher.api import TEACHER_KEY, ApiTeacher, _Pace
from training.teacher.api_answers import CERTAIN, ApiAnswer
from training.teacher.api_question import codes, question
from training.teacher.soft_labels import teacher_outputs

TEXTS = [row.text for row in marked(6, seed=5)]
Fault = Callable[[BaseHTTPRequestHandler], bool]  # whether it has answered in the server's place


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.api_server", str(port)],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert process.poll() is None
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=HANGS):  # noqa: S310  # our own address
                break
        except OSError:
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(timeout=HANGS)


class Between(ThreadingHTTPServer):
    """Passes requests on to the server, but for those that a fault answers.

    What the model once replied to a request it replies again: the tests ask for the same texts many times.
    """

    daemon_threads = True
    replies: ClassVar[dict[bytes, bytes]] = {}

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.passed_on_to = server
        self.faults: list[Fault] = []  # one a request, in turn
        self.always: Fault | None = None
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Passing(BaseHTTPRequestHandler):
    server: Between

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        fault = self.server.faults.pop(0) if self.server.faults else self.server.always
        if fault is not None and fault(self):
            return
        self.server.bodies.append(json.loads(body))
        if body not in self.server.replies:
            request = urllib.request.Request(  # noqa: S310  # our own address
                f"{self.server.passed_on_to}{self.path}", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=HANGS) as reply:  # noqa: S310
                self.server.replies[body] = reply.read()
        answer(self, 200, self.server.replies[body])

    def log_message(self, *_: object) -> None:
        pass


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> bool:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    return True


def dropped(handler: BaseHTTPRequestHandler) -> bool:
    handler.connection.close()
    return True


def too_many(handler: BaseHTTPRequestHandler) -> bool:
    return answer(handler, 429, b'{"error": {"message": "slow down"}}', Retry_After="0")


def unwell(handler: BaseHTTPRequestHandler) -> bool:
    return answer(handler, 503, b"{}")


def unknown_key(handler: BaseHTTPRequestHandler) -> bool:
    return answer(handler, 401, b'{"error": {"message": "the canary sings"}}')


def says(text: object, logprobs: object = None) -> Fault:
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "logprobs": logprobs,
        "message": {"role": "assistant", "content": text},
    }
    reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return lambda handler: answer(handler, 200, json.dumps(reply).encode())


def sends(body: bytes) -> Fault:
    return lambda handler: answer(handler, 200, body)


def likely(*tokens: tuple[str, float]) -> dict[str, Any]:
    top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in tokens]
    return {"content": [top[0] | {"top_logprobs": top}]}


@pytest.fixture
def between(server: str) -> Iterator[Between]:
    made = Between(server)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEACHER_KEY, raising=False)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


def a_teacher(
    between: Between, cache: Path, item: Item = ITEM, retries: int = api.RETRIES, **settings: Any
) -> ApiTeacher:
    config = ApiConfig.model_validate(
        {"url": between.url, "model": "smollm2", "requests_per_minute": 60_000} | settings
    )
    return ApiTeacher(item, config, cache, retries)


@pytest.mark.parametrize("item", [ITEM, LABELS])
def test_log_probabilities_of_a_real_model_become_soft_labels(between: Between, tmp_path: Path, item: Item) -> None:
    teacher = a_teacher(between, tmp_path, item)

    outputs = teacher.outputs(TEXTS, question(item))

    assert outputs.shape == (len(TEXTS), item.choices)
    assert np.exp(outputs).sum(1) == pytest.approx(1)
    assert (outputs.max(1) - outputs.min(1) > 0.1).all()  # it has an opinion
    assert len({row.tobytes() for row in outputs}) > 1  # that depends on the text
    assert teacher.counts["calls"] == len(TEXTS)
    assert teacher.counts["tokens"] > 50 * len(TEXTS)
    asked = between.bodies[0]["messages"][1]["content"]
    assert item.prompt in asked
    assert sum(text in asked for text in TEXTS) == 1


def test_no_text_is_asked_for_twice(between: Between, tmp_path: Path) -> None:
    first = a_teacher(between, tmp_path).outputs([*TEXTS, TEXTS[0]], question(ITEM))
    asked = len(between.bodies)
    between.always = unwell

    again = a_teacher(between, tmp_path)
    outputs = again.outputs([TEXTS[0], *TEXTS[::-1]], question(ITEM))

    assert asked == len(TEXTS)
    assert np.array_equal(outputs, np.stack([first[0], *first[:6][::-1]]))
    assert again.counts["calls"] == 0


@pytest.mark.parametrize(
    ("fault", "counted"), [(dropped, {}), (too_many, {"rate limits": 2}), (unwell, {"server errors": 2})]
)
def test_passing_faults_are_retried_and_counted(
    between: Between, tmp_path: Path, fault: Fault, counted: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    between.faults = [fault, fault]
    teacher = a_teacher(between, tmp_path)

    outputs = teacher.outputs(TEXTS, question(ITEM))

    assert (outputs.max(1) - outputs.min(1) > 0.1).all()
    # Nothing was wrong with any answer.
    assert {**teacher.counts, "tokens": 0} == {"calls": 6, "tokens": 0, "calls tried again": 2} | counted
    assert len(between.headers) == 8
    assert re.search(r"\b2\b", capsys.readouterr().err)


@pytest.mark.parametrize("fault", [dropped, too_many, unwell, unknown_key])
def test_lasting_faults_end_the_call_and_the_next_call_goes_on(between: Between, tmp_path: Path, fault: Fault) -> None:
    passed: Fault = lambda _: False  # noqa: E731
    between.faults, between.always = [passed, passed, passed], fault

    with refused(TeacherFailed, "teacher_unreachable", url=between.url, kept=3) as failed:
        a_teacher(between, tmp_path, retries=1, parallel=1).outputs(TEXTS, question(ITEM))
    between.always = None
    rest = a_teacher(between, tmp_path)
    rest.outputs(TEXTS, question(ITEM))

    assert not [word for word in ("canary", *TEXTS) if word in str(failed.value)]
    assert rest.counts["calls"] == 3


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (says("I think", likely((" I", -0.1), ("The", -2.0))), "answers without a score"),
        (says("seven"), "answers without a score"),
        (says(None), "answers without a score"),
        (sends(b'{"choices": []}'), "malformed answers"),
        (sends(b"{}"), "malformed answers"),
        (sends(b'"just text"'), "malformed answers"),
        (sends(b"[1, 2]"), "malformed answers"),
        (sends(b'{"choices": [{"message": {"content": 3}}]}'), "malformed answers"),
        (sends(b"<html>"), "malformed answers"),
    ],
)
def test_unusable_answer_is_counted_and_gives_equal_probabilities(
    between: Between, tmp_path: Path, fault: Fault, what: str
) -> None:
    between.faults = [fault]
    teacher = a_teacher(between, tmp_path, parallel=1)

    outputs = np.exp(teacher.outputs(TEXTS, question(ITEM)))

    assert teacher.counts[what] == 1
    assert [row.tolist() == pytest.approx([0.25] * 4) for row in outputs].count(True) == 1


def test_named_score_is_taken_without_log_probabilities(between: Between, tmp_path: Path) -> None:
    between.always = says(" 2")
    teacher = a_teacher(between, tmp_path)

    outputs = np.exp(teacher.outputs(TEXTS, question(ITEM)))

    assert outputs[0] == pytest.approx([(1 - CERTAIN) / 3] * 2 + [CERTAIN] + [(1 - CERTAIN) / 3])
    assert teacher.counts["answers without probabilities"] == len(TEXTS)


def test_tokens_of_one_score_add_up_and_a_missing_score_gets_the_last_probability(
    between: Between, tmp_path: Path
) -> None:
    log = np.log
    between.always = says("2", likely(("2", log(0.4)), (" 2", log(0.2)), ("1", log(0.2)), ("The", log(0.1))))

    outputs = np.exp(a_teacher(between, tmp_path).outputs(TEXTS[:1], question(ITEM)))

    assert outputs[0] == pytest.approx(np.array([0.1, 0.2, 0.6, 0.1]))


def test_model_that_gives_no_scores_is_refused(between: Between, tmp_path: Path) -> None:
    between.always = says("Well done!")

    wrong = {"answers without a score": 6}
    with refused(TeacherFailed, "unusable_answers", model="smollm2", unusable=6, texts=6, wrong=wrong):
        a_teacher(between, tmp_path).outputs(TEXTS, question(ITEM))


def test_the_key_comes_from_the_environment_alone(
    between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TEACHER_KEY, "a-secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "somebody")  # the library's own, which is not for other servers
    monkeypatch.setenv("OPENAI_PROJECT_ID", "something")

    a_teacher(between, tmp_path).outputs(TEXTS[:1], question(ITEM))

    [headers] = between.headers
    assert headers["authorization"] == "Bearer a-secret"
    assert not [name for name in headers if name.startswith("openai")]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"a-secret" in path.read_bytes()]


def test_unusable_key_or_address_is_refused(between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError):
        ApiConfig(url="http://localhost:port/v1", model="m")
    monkeypatch.setenv(TEACHER_KEY, "ключ")

    with refused(BadConfig, "bad_teacher_key"):
        a_teacher(between, tmp_path)


def test_unusable_answer_is_asked_for_again_by_the_next_run(between: Between, tmp_path: Path) -> None:
    between.always = sends(b"<html>")
    for _ in range(2):
        with refused(TeacherFailed, "unusable_answers", wrong={"malformed answers": 6}):
            a_teacher(between, tmp_path).outputs(TEXTS, question(ITEM))
    between.always = None

    outputs = a_teacher(between, tmp_path).outputs(TEXTS, question(ITEM))

    assert (outputs.max(1) - outputs.min(1) > 0.1).all()


def test_unusable_answers_are_not_cached_and_are_asked_for_alone(between: Between, tmp_path: Path) -> None:
    between.faults = [sends(b"<html>")]
    first = a_teacher(between, tmp_path, parallel=1)

    labels = [teacher_outputs(first, question(ITEM), TEXTS, "labels", tmp_path) for _ in range(2)]
    asked = len(between.headers)
    second = a_teacher(between, tmp_path)
    again = teacher_outputs(second, question(ITEM), TEXTS, "labels", tmp_path)

    assert np.array_equal(labels[0], labels[1])  # training sets do not change within a run
    assert asked == len(TEXTS)
    [unusable] = np.flatnonzero(np.exp(labels[0]).max(1) < 0.26)
    assert second.counts["calls"] == 1
    assert between.bodies[-1]["messages"][1]["content"].count(TEXTS[unusable]) == 1
    assert again[unusable].max() - again[unusable].min() > 0.1
    assert np.array_equal(np.delete(again, unusable, 0), np.delete(labels[0], unusable, 0))


def test_interrupted_call_asks_no_more_and_keeps_its_answers(
    between: Between, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    futures: list[Future[ApiAnswer]] = []

    def stopped(asked: Iterable[Future[ApiAnswer]]) -> Iterator[Future[ApiAnswer]]:
        futures.extend(asked)
        for number, future in enumerate(as_completed(futures)):
            if number == 2:
                raise KeyboardInterrupt
            yield future

    def held(_: BaseHTTPRequestHandler) -> bool:
        """Keep the answer back until the call has been stopped, however slowly its thread runs."""
        until(lambda: futures and futures[-1].cancelled())
        return False

    passed: Fault = lambda _: False  # noqa: E731
    between.faults = [passed, passed, passed, held]
    with monkeypatch.context() as patch:
        patch.setattr("training.teacher.api.as_completed", stopped)
        with pytest.raises(KeyboardInterrupt):
            a_teacher(between, tmp_path, parallel=1).outputs(TEXTS, question(ITEM))
    asked = len(between.bodies)
    a_teacher(between, tmp_path).outputs(TEXTS, question(ITEM))

    assert 3 <= asked < len(TEXTS)
    assert len(between.bodies) == len(TEXTS)  # none twice


@pytest.mark.parametrize(
    ("fault", "row"),
    [
        (says("0", likely(("Sure", 0.0), ("0", -9999.0), ("1", -9999.0))), None),
        (says("B", likely(("The", -0.001), ("I", -7.0), ("A", -8.0))), None),  # an article is no mark
        (says("0", likely(("0", -21.0), ("The", 0.0))), None),
        (says("1", likely(("1", -0.1), (" 1.", -3.0), ("0", -9999.0))), [0, 1, 0, 0]),
        (says("0", [{"token": "0", "logprob": None}]), None),
        (says("Correct"), None),
        (says("1", likely(("1", -0.1), ("T", -9.0), ("0", float("-inf")), ("2", float("nan")))), [0, 1, 0, 0]),
        (says("1", likely(("1", float("nan")))), [0.0167, 0.95, 0.0167, 0.0167]),
        (says("2.\n"), [0.0167, 0.0167, 0.95, 0.0167]),
    ],
)
def test_reply_that_is_no_code_is_unusable(
    between: Between, tmp_path: Path, fault: Fault, row: list[float] | None
) -> None:
    between.faults = [fault]

    [probabilities] = np.exp(a_teacher(between, tmp_path).outputs(TEXTS[:1], question(ITEM)))

    assert probabilities == pytest.approx(row or [0.25] * 4, abs=1e-3)


def test_empty_usage_is_accepted(between: Between, tmp_path: Path) -> None:
    between.always = sends(b'{"choices": [{"message": {"content": "1"}}], "usage": {}}')

    assert a_teacher(between, tmp_path).outputs(TEXTS[:1], question(ITEM)).argmax() == 1


def test_calls_are_spread_over_the_minute() -> None:
    pace = _Pace(6000)
    began = time.monotonic()

    for _ in range(21):
        pace.wait()

    assert time.monotonic() - began >= 0.2


def test_every_score_is_one_character_and_is_explained() -> None:
    ten = ITEM.model_copy(update={"max_score": 10})

    assert codes(ITEM) == ("0", "1", "2", "3")
    assert codes(ten)[-1] == "K"
    assert codes(LABELS)[0] == "A"
    assert "3 = 3 of 3 points" in question(ITEM)
    assert f"A = {(LABELS.labels or ('',))[0]}" in question(LABELS)
    german = ITEM.model_copy(update={"min_score": 1, "max_score": 6, "better": "lower"})
    assert codes(german) == ("1", "2", "3", "4", "5", "6")
    assert "2 = 2 (1 is the best, 6 the worst)" in question(german)
    assert codes(ITEM.model_copy(update={"min_score": -1})) == ("A", "B", "C", "D", "E")
    with_guide = ITEM.model_copy(update={"rubric": "One each.", "references": ("It rises.",), "passage": "On heat."})
    assert all(text in question(with_guide) for text in ("One each.", "It rises.", "On heat.", ITEM.prompt))


@pytest.mark.parametrize("item", [GRADES, ITEM.model_copy(update={"max_score": 26})])
def test_grades_and_very_long_scales_are_refused(item: Item) -> None:
    code = "api_gives_no_grades" if item.is_continuous else "too_many_scores_for_api"
    with refused(BadConfig, code, item_id=item.item_id):
        codes(item)


def test_prompted_model_teaches_a_student_up_to_its_bundle(
    between: Between, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    teacher = {"kind": "api", "api": ApiConfig(url=between.url, model="smollm2", requests_per_minute=60_000)}
    config = tiny_config.model_copy(
        update={
            "teacher": tiny_config.teacher.model_copy(update=teacher),
            "text": tiny_config.text.model_copy(update={"augmented_per_response": 1}),
        }
    )

    [bundle] = train([item_data(16, 4, 2)], tmp_path / "models", config, tmp_path / "cache")

    assert bundle.provenance.teacher == "smollm2"
    assert bundle.provenance.teacher_agreement is not None
    student = Student.load(tmp_path / "models" / bundle.item.item_id / bundle.version)
    assert student.score(["the air gets warm"])[0].confidence > 0
    asked = len(between.bodies)
    assert len({body["messages"][1]["content"] for body in between.bodies}) == asked


def test_teacher_behind_an_api_needs_an_address(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"item_id": "a", "prompt": "Why?", "scale": "points", "max_score": 1}\n')
    (tmp_path / "train.jsonl").write_text('{"item_id": "a", "response": "So.", "score": 1}\n')

    done = call("run", "--data", tmp_path, "--models", tmp_path / "m", "--teacher", "api")

    assert done.code == 2
    assert "teacher.api" in done.stderr
