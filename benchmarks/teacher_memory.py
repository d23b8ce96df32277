"""Compare the estimate of a teacher's memory with a real training step, and with tensors on torch's device `meta`.

    python -m benchmarks.teacher_memory [BASE ...]

Each base is estimated as a fully trained teacher, over one batch of the longest responses.  Both figures of an estimate
are shares of the bytes that the real step keeps for its gradients.
"""

import json
import sys

import torch

from app.scoring.item import Item
from training.config import TeacherConfig
from training.teacher.encoder import load_base
from training.teacher.ensemble import as_teacher
from training.teacher.memory_estimate import estimate_activations, saved_bytes, without_content

ITEM = Item(item_id="any", prompt="Why?", scale="points", max_score=3)


def main() -> None:
    for base in sys.argv[1:] or ("minilm", "smollm2"):
        config = TeacherConfig(base=base, batch_size=4)
        _, encoder = load_base(base)
        ids = torch.ones(config.batch_size, config.max_tokens, dtype=torch.long)
        real = saved_bytes(as_teacher(encoder, ITEM, config).train(), ids)
        estimate = estimate_activations(without_content(config, ITEM), config)
        on_meta = saved_bytes(without_content(config, ITEM), ids.to("meta"))
        shares = {"estimate": round(estimate / real, 3), "meta": round(on_meta / real, 3)}
        print(json.dumps({"base": base, "real_mb": round(real / 1e6), **shares}))


if __name__ == "__main__":
    main()
