"""Write every generated page: `python -m tests.reference_pages`."""

from tests.reference_pages.pages import FOLDER, PAGES

for name, page in PAGES.items():
    (FOLDER / name).write_text(page(), encoding="utf-8")
