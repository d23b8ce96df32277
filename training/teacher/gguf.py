"""Models in GGUF files, the one-file form of llama.cpp, unpacked into folders that transformers loads."""

import copy
import hashlib
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.common.cache import default_folder


def unpacked(file: Path) -> Path:
    """Return a folder with the file's tokenizer and its model in float32, made once in the user's cache."""
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    folder = default_folder() / "bases" / sha256[:20]
    if folder.is_dir():
        return folder
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    packed = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    config = copy.deepcopy(packed.config)
    del config.quantization_config  # transformers saves no quantised model
    with torch.device("meta"):  # without random weights, which take longer to draw than the file's to read
        model = type(packed)(config)
    model.load_state_dict(packed.state_dict(), assign=True)
    model.tie_weights()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        unfinished = Path(temporary) / "made"
        model.save_pretrained(unfinished)
        AutoTokenizer.from_pretrained(**source).save_pretrained(unfinished)
        unfinished.replace(folder)
    return folder
