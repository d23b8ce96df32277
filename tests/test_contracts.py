"""The contracts in pyproject.toml name every module that they are about."""

import pkgutil
import tomllib
from pathlib import Path

import app

SERVICE = {f"app.{module.name}" for module in pkgutil.iter_modules(app.__path__)}
PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
CONTRACTS = {contract["name"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}


def test_every_module_of_the_service_has_a_layer() -> None:
    layers = CONTRACTS["The service is layered"]["layers"]

    assert sorted(name for layer in layers for name in layer.split(" | ")) == sorted(SERVICE)


def test_all_of_the_service_but_its_scoring_core_and_settings_is_closed_to_training() -> None:
    closed = CONTRACTS["Training knows the service's scoring core and its settings only"]["forbidden_modules"]

    assert closed == sorted(SERVICE - {"app.scoring", "app.settings"})
