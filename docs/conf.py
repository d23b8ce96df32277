"""Build the documentation as a site: `make docs`.

docs/explanation/documentation.md has the reasons for Sphinx, MyST and Furo.
"""

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
html_js_files = ["theme.js"]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False

CHAPTERS = {
    "Tutorial": ("tutorial", "first-score first-item"),
    "Connect": ("how-to", "connect-an-lms send-marks score-a-file"),
    "Run": (
        "how-to",
        "run-with-docker run-without-docker install-without-internet serve-other-machines manage-keys "
        "watch-the-service back-up erase-a-learner",
    ),
    "Train": (
        "how-to",
        "prepare-data train-an-item evaluate release-a-version compare-models use-a-larger-teacher write-feedback",
    ),
    "Explanation": ("explanation", "trust distillation feedback architecture documentation"),
    "Reference": (
        "reference",
        "glossary replies errors mark-up commands settings training-settings data-files metrics bundle-format modules "
        "python-scoring python-training",
    ),
    "Results": ("results", "asap-sas other-sets trust ablation tried feedback serving"),
}


def add_contents(_: Sphinx, docname: str, source: list[str]) -> None:
    """Append the table of contents to the start page, which a repository's browser shows without it."""
    if docname == "index":
        source[0] += "".join(chapter(caption, *CHAPTERS[caption]) for caption in CHAPTERS)


def chapter(caption: str, folder: str, names: str) -> str:
    """Return a hidden toctree of one chapter.  A page that stands in none is an error of the build."""
    pages = "\n".join(f"{folder}/{name}" for name in names.split())
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Register the table of contents."""
    app.connect("source-read", add_contents)
