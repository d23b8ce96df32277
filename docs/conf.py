"""Build the documentation as a site: `make docs`.

docs/explanation/documentation.md has the reasons for Sphinx, MyST and Furo.
"""

from pathlib import Path

from sphinx.application import Sphinx

project = "scorelet"
copyright = "the scorelet authors"  # noqa: A001  # Sphinx reads this name
extensions = ["myst_parser"]
exclude_patterns = ["_*"]
templates_path = ["_templates"]
myst_heading_anchors = 4  # `page.md#a-heading` resolves here as it does in a repository's browser
pygments_style = "default"
html_theme = "furo"
html_title = "scorelet"
html_static_path = ["_static"]
html_css_files = ["help.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False

ROOMS = {
    "Tutorial": "tutorial",
    "How to": "how-to",
    "Reference": "reference",
    "Explanation": "explanation",
    "Results": "results",
}
# The order of reading; pages that are not named follow by name.
FIRST = (
    "first-score",
    "first-item",
    "connect-an-lms",
    "send-marks",
    "run-with-docker",
    "prepare-data",
    "train-an-item",
)


def add_contents(_: Sphinx, docname: str, source: list[str]) -> None:
    """Append the table of contents to the start page: the folders are the chapters."""
    if docname == "index":
        source[0] += "".join(chapter(caption, folder) for caption, folder in ROOMS.items())


def chapter(caption: str, folder: str) -> str:
    """Return a hidden toctree of one folder."""
    stems = [path.stem for path in (Path(__file__).parent / folder).glob("*.md")]
    ordered = sorted(stems, key=lambda stem: (FIRST.index(stem) if stem in FIRST else len(FIRST), stem))
    pages = "\n".join(f"{folder}/{stem}" for stem in ordered)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Register the table of contents."""
    app.connect("source-read", add_contents)
