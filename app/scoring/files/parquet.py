"""Data frames (.parquet), by the extra `parquet`.  A row counts from 1."""

from pathlib import Path

from app.scoring.errors import RowError
from app.scoring.files.cells import typed_fields
from app.scoring.files.content import BadHeader, Columns, Content
from app.scoring.files.options import ReadOptions

INSTALL = (
    "pyarrow, which reads .parquet, is not installed: .venv/bin/pip install '.[parquet]' in the project's folder, or "
    "save the file as .csv"
)
MAX_ROWS = 5_000_000
MAX_TABLE_BYTES = 2 * 2**30  # as the file declares them


def read_parquet(
    path: Path, reading: ReadOptions, max_rows: int = MAX_ROWS, max_bytes: int = MAX_TABLE_BYTES
) -> Content:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        return Content(errors=[RowError(path, 1, INSTALL, "extra_missing", {"extra": "parquet"})])
    found = Content()
    try:
        with ParquetFile(path) as file:
            about = file.metadata
            size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
            if about.num_rows > max_rows or size > max_bytes:
                return Content(errors=[RowError(path, 1, f"has more than {max_rows} rows", "too_many_rows")])
            columns = Columns.of(file.schema_arrow.names)
            line = 0
            for batch in file.iter_batches():
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    line += 1
                    for row in typed_fields(path, line, columns, values, reading):
                        if isinstance(row, RowError):
                            found.errors.append(row)
                        else:
                            found.lines.append(row)
    except BadHeader as error:
        return Content(errors=[RowError.of(path, 1, error)])
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        return Content(errors=[RowError(path, 1, f"not Parquet: {type(error).__name__}", "not_parquet")])
    return found
