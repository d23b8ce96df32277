"""The page of the bundle's format, written from its closed schema."""

from collections.abc import Iterator

from pydantic import BaseModel

from app.scoring.bundle import Bundle
from app.scoring.live_version import Active
from tests.reference_pages.fields import default, described, nested, type_of

HEAD = """# Bundle format

For developers: the files of one student and every field of `bundle.json` and `ACTIVE`.

```
models/<item_id>/<version>/         version: UTC time and a short content hash
    bundle.json                     the fields below, closed: an unknown field is refused
    tokenizer.json                  text to ids (Hugging Face tokenizers): NFKC, lower case, pieces of Unicode words
    student.onnx                    ids to `logits` (batch, choices), or `mean` and `variance` (batch) of a grade
    card.md                         the model card for people
models/<item_id>/ACTIVE             the live version, replaced atomically; the only truth about what is live
models/_teachers/<name>/<version>/  teacher.json, tokenizer.json, member-1.onnx …, card.md
models/_feedback/<name>/<version>/  feedback.json, base.gguf, adapter.gguf, tokenizer.json, a verdict reader, card.md
```

The service loads a bundle completely or refuses it. It checks the checksums of the bytes it uses, the schema, the place
on disk, and the names, types and shapes of the tensors. Then a probe must get the same score alone and in a batch.
A refused bundle is named with its reason in `/readyz`, `scorelet items` and `scorelet doctor`, and stops no other item.
`mean` and `variance` are shares of the scale.
"""


def page() -> str:
    """Return the whole page."""
    seen: set[type[BaseModel]] = set()
    models = [*nested(Bundle, seen), *nested(Active, seen)]
    return HEAD + "".join("\n".join(section(model)) + "\n" for model in models)


def section(model: type[BaseModel]) -> Iterator[str]:
    """Yield the lines of one model's table."""
    title = {Bundle: "bundle.json", Active: "ACTIVE"}.get(model, model.__name__)
    yield f"\n## {title}\n\n| field | meaning | type | default |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        shown = default(field, "null")
        default_shown = "see its table" if isinstance(field.default, BaseModel) else shown
        yield f"| `{name}` | {described(field)} | {type_of(field.annotation)} | {default_shown} |"
