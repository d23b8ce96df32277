"""A student: a bundle loaded whole or not at all, and the step from responses to scores."""

from pathlib import Path

from app.scoring.bundle import Bundle, read_bundle
from app.scoring.conditions import Examination, Examiner
from app.scoring.decoding import Score, decode
from app.scoring.errors import refusing
from app.scoring.featurizer import Ids
from app.scoring.network import PROBE_RESPONSES, Network

# Memory a loaded student takes, about, as measured on students of 100 to 200 kB: session and tokenizer take some times
# their files, words that were read once most of the rest.
OVERHEAD, TIMES_FILES = 2**20, 4


class Student:
    """Scores responses to one item.  Safe to share between threads."""

    def __init__(self, bundle: Bundle, network: Network, metadata_sha256: str, size: int = 0) -> None:
        """`size`: of its files, in bytes."""
        self.bundle = bundle
        self.bytes = OVERHEAD + TIMES_FILES * size
        self.metadata_sha256 = metadata_sha256  # of bundle.json, as ACTIVE has it
        self.network = network
        self.examiner = Examiner(bundle.limits, bundle.item, network.featurizer)

    @classmethod
    def load(cls, folder: Path) -> "Student":
        """Read, check and probe a bundle.  Raises BadBundle with the reason; no half-loaded student exists."""
        files = read_bundle(folder)
        bundle = files.bundle
        network = Network.from_bytes(files.tokenizer, files.student, bundle.max_tokens, bundle.item)
        size = len(files.tokenizer) + len(files.student) + files.metadata_bytes
        with refusing("it cannot look at a probe response", code="probe_failed"):
            student = cls(bundle, network, files.metadata_sha256, size)
            student.examine(PROBE_RESPONSES[1], student.read(PROBE_RESPONSES)[1])
        return student

    def read(self, responses: list[str]) -> list[Ids]:
        """What conditions and scores both rest on: reading costs as much as scoring."""
        return self.network.featurizer.read(responses)

    def examine(self, response: str, read: Ids) -> Examination:
        """Before it is scored."""
        return self.examiner.examine(response, read)

    def score(self, responses: list[str]) -> list[Score]:
        """One score a response, in order."""
        return self.score_read(self.read(responses))

    def score_read(self, read: list[Ids]) -> list[Score]:
        """One score a response that was read, in order."""
        return decode(self.network.outputs_of(read), self.bundle.item, self.bundle.head)
