"""A student: a bundle loaded whole or not at all, and the step from responses to scores."""

from pathlib import Path

from app.scoring.bundle import Bundle, read_bundle
from app.scoring.conditions import Examiner
from app.scoring.decoding import Score, decode
from app.scoring.errors import refusing
from app.scoring.featurizer import Ids
from app.scoring.network import PROBE, Network


class Student:
    """Scores responses to one item.  Safe to share between threads."""

    def __init__(self, bundle: Bundle, network: Network, metadata_sha256: str) -> None:
        self.bundle = bundle
        self.metadata_sha256 = metadata_sha256  # of bundle.json, as ACTIVE has it
        self.network = network
        self.examiner = Examiner(bundle.limits, bundle.item, network.featurizer)

    @classmethod
    def load(cls, folder: Path) -> "Student":
        """Read, check and probe a bundle.  Raises BadBundle with the reason; no half-loaded student exists."""
        files = read_bundle(folder)
        bundle = files.bundle
        network = Network.from_bytes(files.tokenizer, files.student, bundle.max_tokens, bundle.item)
        with refusing("it cannot look at a probe response"):
            student = cls(bundle, network, files.metadata_sha256)
            student.examiner.examine(PROBE[1], student.read(PROBE)[1])
        return student

    def read(self, responses: list[str]) -> list[Ids]:
        """What conditions and scores both rest on: reading costs as much as scoring."""
        return self.network.featurizer.read(responses)

    def score(self, responses: list[str]) -> list[Score]:
        """One score a response, in order."""
        return self.score_read(self.read(responses))

    def score_read(self, read: list[Ids]) -> list[Score]:
        """One score a response that was read, in order."""
        return decode(self.network.outputs_of(read), self.bundle.item, self.bundle.head)
