"""Test the image and the compose file as far as possible without Docker."""

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from app.settings import Settings
from tests.waiting import HANGS

ROOT = Path(__file__).parents[1]
DOCKERFILE, COMPOSE, EXAMPLE = ((ROOT / n).read_text() for n in ("Dockerfile", "docker-compose.yml", ".env.example"))
OURS = ["scorelet", "migrate", "manage"]
SECRET = re.compile("PASSWORD|SECRET|TOKEN|KEY")
INTERPOLATION = re.compile(r"\$\{(\w+)(:?[-+=?])?[^}]*\}|\$(\w+)")


@pytest.fixture
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE)
    return loaded


@pytest.fixture(scope="module")
def specification() -> Draft7Validator:
    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def test_compose_file_follows_the_specification(specification: Draft7Validator, compose: dict[str, Any]) -> None:
    assert [error.message for error in specification.iter_errors(compose)] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("read-only", True),  # no such key
        ("restart", {"policy": "always"}),  # wrong type
        ("depends_on", {"db": {"condition": "service_done"}}),  # no such condition
    ],
)
def test_specification_refuses_mistakes(
    specification: Draft7Validator, compose: dict[str, Any], key: str, value: object
) -> None:
    compose["services"]["scorelet"][key] = value

    assert not specification.is_valid(compose)


def test_no_secret_has_a_default() -> None:
    assert default_secrets(COMPOSE) == []
    assert [line for line in EXAMPLE.splitlines() if SECRET.search(line.split("=")[0]) and "=" in line] == [
        "POSTGRES_PASSWORD=",
        "SCORELET_LEARNER_KEY=",
    ]
    assert not [value for _, value in instructions("ENV", "ARG") if SECRET.search(value)]


@pytest.mark.parametrize(
    "line",
    [
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-postgres}",
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD-}",
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}",  # empty with a warning only
        "POSTGRES_PASSWORD: $POSTGRES_PASSWORD",
        "POSTGRES_PASSWORD: postgres",
        "SCORELET_LEARNER_KEY: 0123456789abcdef",
        "SCORELET_DATABASE_URL: postgresql+psycopg://scorelet:scorelet@db/scorelet",
    ],
)
def test_default_secret_is_detected(line: str) -> None:
    name, value = line.split(": ")

    as_mapping = {"services": {"a": {"environment": {name: value}}}}
    as_list = {"services": {"a": {"environment": [f"{name}={value}"]}}}

    assert default_secrets(yaml.safe_dump(as_mapping))
    assert default_secrets(yaml.safe_dump(as_list))


def test_named_settings_exist() -> None:
    named = set(re.findall(r"SCORELET_\w+", DOCKERFILE + COMPOSE + EXAMPLE))

    assert "SCORELET_DATABASE_URL" in named
    assert named - {f"SCORELET_{name}".upper() for name in Settings.model_fields} == set()


@pytest.mark.parametrize("service", OURS)
def test_containers_have_no_unneeded_privileges(compose: dict[str, Any], service: str) -> None:
    described = compose["services"][service]

    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "network_mode"} & described.keys()
    assert service == "manage" or all(volume.endswith(":ro") for volume in described.get("volumes", []))


def test_manage_container_can_write_bundles_and_backups(compose: dict[str, Any]) -> None:
    """`manage` writes the folders that the service reads, and starts only when a user names it."""
    manage, service = (compose["services"][name] for name in ("manage", "scorelet"))
    mounted = dict(volume.split(":", 1) for volume in manage["volumes"])

    assert mounted == {"./models": "/models", "./backups": "/backups"}
    assert service["volumes"] == ["./models:/models:ro"]
    assert manage["profiles"] == ["manage"]
    assert "command" not in manage  # the image's entry point gets the words after `manage`
    assert manage["environment"] == service["environment"]
    assert manage["env_file"] == service["env_file"]
    assert manage["depends_on"] == service["depends_on"]
    (command,) = re.findall(r"manage (bundle \w+)", COMPOSE)
    assert f"scorelet {command}" in (ROOT / "docs" / "reference" / "commands.md").read_text()


def test_only_the_service_is_published_and_only_to_this_machine(compose: dict[str, Any]) -> None:
    services = compose["services"]
    always = {name: service for name, service in services.items() if "profiles" not in service}
    published = {name: service["ports"] for name, service in always.items() if "ports" in service}

    assert published == {"scorelet": ["${PUBLISH:-127.0.0.1:8000}:8000"]}


def test_tls_proxy_is_optional_and_trusted(compose: dict[str, Any]) -> None:
    tls = compose["services"]["tls"]
    address = tls["networks"]["default"]["ipv4_address"]

    assert tls["profiles"] == ["tls"]
    assert f"#SCORELET_TRUSTED_PROXIES={address}\n" in EXAMPLE
    assert f"SCORELET_TRUSTED_PROXIES={address}," in COMPOSE
    assert (tls["cap_drop"], tls["cap_add"]) == (["ALL"], ["NET_BIND_SERVICE"])


def test_tables_are_created_before_the_service_starts(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert services["migrate"]["command"] == ["db", "upgrade"]
    assert services["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert services["scorelet"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_image_has_the_version_of_the_project(compose: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert {compose["services"][service]["image"] for service in OURS} == {f"scorelet:{version}"}


def test_image_does_not_run_as_root() -> None:
    *_, (_, user) = instructions("USER")

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_signals_reach_the_service() -> None:
    [(_, entrypoint)], [(_, command)] = instructions("ENTRYPOINT"), instructions("CMD")

    assert json.loads(entrypoint) + json.loads(command) == ["scorelet", "serve"]  # without a shell


def test_only_shipped_files_enter_the_build() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for _, value in instructions("COPY", "ADD")
        if not value.startswith("--from=")
        for source in value.split()[:-1]
    }

    folders, files = (
        {"app", "docs", "migrations", "models"},
        {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"},
    )
    assert rules[0] == "*"
    assert allowed == folders | files
    assert copied == allowed


def test_image_has_no_training_and_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies, training = (
        {re.split(r"[^\w-]", dependency)[0] for dependency in some}
        for some in (project["dependencies"], project["optional-dependencies"]["training"])
    )
    installs = [part for _, run in instructions("RUN") for part in run.split("&&") if " install " in part]

    assert "torch" in training
    assert dependencies & training == set()
    assert installs
    assert not [part for part in installs if re.search(r"torch|training|\[", part)]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_health_check_follows_readyz(status: int, healthy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    [(_, check)] = instructions("HEALTHCHECK")
    _, *arguments = json.loads(check[check.index("[") :])

    with answering(status) as port:
        monkeypatch.setenv("SCORELET_PORT", str(port))
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # the check ignores a school's proxy
        done = subprocess.run([sys.executable, *arguments], capture_output=True, timeout=HANGS, check=False)

    assert (done.returncode == 0) is healthy, done.stderr


def default_secrets(text: str) -> list[str]:
    """Return the parts of a compose file that give a secret a value or let it be empty."""
    parts = [
        match[0]
        for match in INTERPOLATION.finditer(text)
        if SECRET.search(match[1] or match[3]) and match[2] != ":?"  # `:?` refuses unset and empty
    ]
    parts += re.findall(r"://[^:/@\s]+:(?!\$\{)[^@\s]+@", text)  # a password in an address
    for service in yaml.safe_load(text)["services"].values():
        given = service.get("environment", {})
        pairs = given.items() if isinstance(given, dict) else (entry.partition("=")[::2] for entry in given)
        parts += [name for name, value in pairs if SECRET.search(name) and not str(value).startswith("${")]
    return parts


def instructions(*names: str) -> list[tuple[str, str]]:
    """Return name and arguments of these instructions, in the order of the Dockerfile."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    pairs = [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in joined)]
    return [pair for pair in pairs if pair[0] in names]


@contextmanager
def answering(status: int) -> Iterator[int]:
    """Run a server on this machine that answers /readyz with a status; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_other_services_never_get_the_address_of_the_proxy(compose: dict[str, Any]) -> None:
    [network] = compose["networks"]["default"]["ipam"]["config"]
    address = ip_address(compose["services"]["tls"]["networks"]["default"]["ipv4_address"])

    assert address in ip_network(network["subnet"])
    assert address not in ip_network(network["ip_range"])
    assert ip_network(network["ip_range"]).subnet_of(ip_network(network["subnet"]))  # type: ignore[arg-type]
    assert f"SCORELET_TRUSTED_PROXIES={address}" in COMPOSE
