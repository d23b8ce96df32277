"""What can go wrong in training.

TrainingError
├── BadConfig     a settings file that cannot be understood
├── BadFolder     a folder of data in which a file is missing, or stands twice
├── UnknownItems  items that were named, and of which there is no response
├── NoWeights     the base model of a teacher cannot be had as asked
├── TeacherFailed a model behind an API that cannot be had, or gives no scores
├── TeacherTooLarge  more memory than there is
├── TooFewRows    not enough marked responses to train on and to choose by
├── BadResults    a file among a comparison's results that is none
├── OverBudget    a student with more learned parameters than it may have
└── NoParity      the exported student does not compute what the trained one did
"""

from app.scoring.errors import CodedError


class TrainingError(CodedError):
    """The base of every error that training raises on purpose."""


class BadConfig(TrainingError):
    pass


class BadFolder(TrainingError):
    pass


class UnknownItems(TrainingError):
    pass


class NoWeights(TrainingError):
    pass


class TeacherFailed(TrainingError):
    pass


class TeacherTooLarge(TrainingError):
    pass


class TooFewRows(TrainingError):
    pass


class BadResults(TrainingError):
    pass


class OverBudget(TrainingError):
    pass


class NoParity(TrainingError):
    pass
