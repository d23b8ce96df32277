"""The errors that training raises on purpose.

TrainingError
├── BadConfig        a settings file that cannot be read
├── BadFolder        a folder of data in which a file is missing or stands twice
├── UnknownItems     named items without responses
├── NoWeights        a base model that cannot be loaded
├── TeacherFailed    a model behind an API that cannot be reached or gives no scores
├── TeacherTooLarge  a teacher that needs more memory than there is
├── TooFewRows       too few marked responses to train on and to choose by
├── BadResults       a file among a comparison's results that holds no result
├── OverBudget       a student with more trained parameters than it may have
└── NoParity         an exported student that computes other outputs than the trained one
"""

from app.scoring.errors import CodedError


class TrainingError(CodedError):
    """The base class of all errors of training."""


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
