"""Sphinx configuration: MyST pages, numpydoc docstrings, the pydata theme, no network.

`make docs` builds with warnings as errors. The command line's reference, the API pages and the figures are made
from the code by `generate.py` at every build, so that they always agree with the code.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# The examples call the commands of the environment that builds the documentation.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))

import eegprep  # noqa: E402

project = "EEGPT"
author = "The EEGPT developers"
project_copyright = "2026, The EEGPT developers"
release = eegprep.__version__
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "**/.ipynb_checkpoints", "gallery/README.rst"]
templates_path: list[str] = []
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3

autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # scikit-learn puts it into every classifier; its text points into scikit-learn's own pages.
    "exclude-members": "set_score_request",
}
autodoc_typehints = "none"
numpydoc_show_class_members = False
default_role = "code"

# The examples are run when the documentation is built, on recordings in the package.
sphinx_gallery_conf: dict[str, Any] = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": "plot_",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "within_subsection_order": "FileNameSortKey",
    "copyfile_regex": "",
}
copybutton_prompt_text = "$ "

# Exact names: the theme warns where two patterns fit a page.
WIDE = ["performance", "reference/datasets", *(f"results/{p.stem}" for p in sorted((HERE / "results").glob("*.md")))]

html_theme = "pydata_sphinx_theme"
html_title = f"EEGPT {release}"
html_static_path = ["_static"]
html_css_files = ["eegpt.css"]
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    # Pages of wide tables keep the whole width.
    "secondary_sidebar_items": {"**": ["page-toc"], **{page: [] for page in WIDE}},
    "header_links_before_dropdown": 5,
    "logo": {"text": "EEGPT"},
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}


def setup(app: Any) -> dict[str, bool]:
    """Make the generated pages before any is read, and turn Markdown habits in docstrings into reST."""
    import gallery_data
    import generate

    def make(app: Any) -> None:
        generate.generate(Path(app.srcdir))
        os.environ["EEGPT_DEMO"] = str(gallery_data.prepare(HERE / "_build" / "demo"))
        os.environ["EEGPT_CACHE"] = str(HERE / "_build" / "cache")

    app.connect("builder-inited", make, priority=100)  # before the gallery is built
    app.connect("autodoc-process-docstring", generate.plain_docstring, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
