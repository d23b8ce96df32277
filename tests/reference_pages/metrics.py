"""The page of figures, written from the functions that compute them and the models that hold them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from app.scoring.agreement import Agreement
from app.scoring.evidence import Evidence
from tests.reference_pages.fields import described, nested
from tests.reference_pages.python_api import documented

ROOT = Path(__file__).parents[2]
HEAD = """# Metrics

For assessment researchers: every figure of reports, bundles and gates with its formula. For a school's IT
person: every figure of `GET /metrics`.

Names and formulas are those of ETS RSMTool, so that figures compare with published ones. H is the human score, M the
machine's. Agreement is measured on responses that a model scored; responses held back by a condition are counted apart.
"""
COUNTS = "app/service/metrics.py"
KINDS = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "Gauge": "gauge",
    "GaugeMetricFamily": "gauge",
    "Histogram": "histogram",
}
FORMULAS = (
    "app/scoring/agreement.py",
    "app/scoring/evidence.py",
    "training/evaluation/truescore.py",
    "training/evaluation/fairness.py",
    "training/evaluation/bootstrap.py",
    "training/evaluation/coverage.py",
    "training/common/within_items.py",
    "training/feedback/measures.py",
)


def page() -> str:
    """Return the whole page."""
    models = list(nested(Evidence, set()))
    ordered: list[type[BaseModel]] = [Agreement, *(model for model in models if model is not Agreement)]
    fields = "".join("\n".join(table(model)) + "\n" for model in ordered)
    return HEAD + "\n## Formulas\n\n" + "\n".join(formulas()) + fields + "\n".join(prometheus()) + "\n"


def formulas() -> Iterator[str]:
    """Yield the entry of each function that computes a figure."""
    for path in FORMULAS:
        for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                yield from documented(node)


def table(model: type[BaseModel]) -> Iterator[str]:
    """Yield the lines of one model's figures."""
    yield f"\n## Fields of {model.__name__}\n\n| figure | meaning |\n|---|---|"
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {described(field)} |"


def prometheus() -> Iterator[str]:
    """Yield the lines of the service's own counts, as its source names them."""
    yield "\n## Counts of the service\n\nA key with the scope `metrics` reads them at `GET /metrics`.\n"
    yield "| name | kind | meaning |\n|---|---|---|"
    for node in ast.walk(ast.parse((ROOT / COUNTS).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            name, meaning = (ast.literal_eval(argument) for argument in node.args[:2])
            yield f"| `{name}` | {KINDS[node.func.id]} | {meaning} |"
