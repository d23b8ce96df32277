"""A student: a bundle loaded into memory, which turns responses into scores."""

from pathlib import Path

from app.scoring.bundle import Bundle, read_bundle
from app.scoring.conditions import Examination, Examiner
from app.scoring.decoding import Score, decode
from app.scoring.errors import refusing
from app.scoring.featurizer import Ids
from app.scoring.network import PROBE_RESPONSES, Network

# Approximate memory of a loaded student, measured on students of 100 to 200 kB.  Session and tokenizer take several
# times the size of their files; the cache of words takes most of the rest.
OVERHEAD, TIMES_FILES = 2**20, 4


class Student:
    """Scores responses to one item.  Safe to share between threads."""

    def __init__(self, bundle: Bundle, network: Network, metadata_sha256: str, size: int = 0) -> None:
        """Build a student from its parts.  `size` is the size of its files, in bytes."""
        self.bundle = bundle
        self.bytes = OVERHEAD + TIMES_FILES * size  # approximate memory
        self.metadata_sha256 = metadata_sha256  # of bundle.json; ACTIVE names it too
        self.network = network
        self.examiner = Examiner(bundle.limits, bundle.item, network.featurizer)

    @classmethod
    def load(cls, folder: Path) -> "Student":
        """Read, check and probe a bundle.  Raises BadBundle with the reason."""
        files = read_bundle(folder)
        bundle = files.bundle
        network = Network.from_bytes(files.tokenizer, files.student, bundle.max_tokens, bundle.item)
        size = len(files.tokenizer) + len(files.student) + files.metadata_bytes
        with refusing("the student fails on a probe response", code="probe_failed"):
            student = cls(bundle, network, files.metadata_sha256, size)
            student.examine(PROBE_RESPONSES[1], student.read(PROBE_RESPONSES)[1])
        return student

    def read(self, responses: list[str]) -> list[Ids]:
        """Return the ids of each response, for `examine` and `score_read`.

        Both need the ids, and reading takes as long as scoring.
        """
        return self.network.featurizer.read(responses)

    def examine(self, response: str, read: Ids) -> Examination:
        """Return the condition or the flags of a response, given its text and its ids from `read`."""
        return self.examiner.examine(response, read)

    def score(self, responses: list[str]) -> list[Score]:
        """Return the score of each response, in order."""
        return self.score_read(self.read(responses))

    def score_read(self, read: list[Ids]) -> list[Score]:
        """Return the score of each response, in order, given the ids from `read`."""
        return decode(self.network.outputs_of(read), self.bundle.item, self.bundle.head)
