"""Read data frames (.parquet).  Needs the extra `parquet`.  Rows count from 1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.scoring.errors import RowError
from app.scoring.files.cells import typed_fields
from app.scoring.files.content import BadHeader, Columns, Content
from app.scoring.files.options import ReadOptions

INSTALL = (
    "reading .parquet needs pyarrow, which is not installed: run .venv/bin/pip install '.[parquet]' in the project's "
    "folder, or save the file as .csv"
)
MAX_ROWS = 5_000_000
MAX_TABLE_BYTES = 2 * 2**30  # as the file declares them


def read_parquet(
    path: Path, reading: ReadOptions, max_rows: int = MAX_ROWS, max_bytes: int = MAX_TABLE_BYTES
) -> Content:
    """Return the content of a .parquet file."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        return Content.refused(RowError(path, 1, INSTALL, "extra_missing", {"extra": "parquet"}))
    content = Content()
    try:
        with ParquetFile(path) as file:
            if file.metadata.num_rows > max_rows or _unpacked_bytes(file.metadata) > max_bytes:
                reason = f"has more than {max_rows} rows or {max_bytes} bytes: divide it into several files"
                error = RowError(path, 1, reason, "too_many_rows")
                return Content.refused(error)
            columns = Columns.of(file.schema_arrow.names)
            for line, values in enumerate(_rows(file), start=1):
                for row in typed_fields(path, line, columns, values, reading):
                    if isinstance(row, RowError):
                        content.errors.append(row)
                    else:
                        content.lines.append(row)
    except BadHeader as error:
        return Content.refused(RowError.of(path, 1, error))
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        return Content.refused(RowError(path, 1, f"not Parquet: {type(error).__name__}", "not_parquet"))
    return content


def _unpacked_bytes(metadata: Any) -> int:
    """Return the size that the file declares for its unpacked content."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return sum(group.total_byte_size for group in groups)


def _rows(file: Any) -> Iterator[tuple[Any, ...]]:
    for batch in file.iter_batches():
        columns = [column.to_pylist() for column in batch.columns]
        yield from zip(*columns, strict=True)
