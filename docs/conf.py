"""Configuration of the site. `make docs` builds it; `generate.py` writes the pages that come from the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402
from docutils import nodes  # noqa: E402
from docutils.utils.math.latex2mathml import tex2mathml  # noqa: E402

from gym_stepwise_routing import StepwiseRoutingEnv, __version__  # noqa: E402
from gym_stepwise_routing.reporting.figures import with_palette  # noqa: E402

project = "gym_stepwise_routing"
author = "The gym_stepwise_routing developers"
project_copyright = f"2026, {author}"
version = release = __version__
REPOSITORY = "https://github.com/gym-stepwise-routing/gym_stepwise_routing"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_build",
    "_templates",
    "generated/*.md",
    "generated/included",
    "tutorials/*",
    "gallery/*.ipynb",
    "gallery/*.py",
    "gallery/*.md5",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
suppress_warnings = [
    "myst.header",  # generated parts begin below the title of the page that includes them
    "ref.python",  # two rooms may have a class of one name, such as Selection
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_mock_imports = generate.MOCKED

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "Stepwise routing"
templates_path = ["_templates"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/versions.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["accessible.js", "versions.js"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_theme_options: dict[str, Any] = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
    "navigation_with_keys": True,
}
pygments_style = "default"
pygments_dark_style = "github-dark"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf: dict[str, Any] = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/t\d\d_",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "reset_modules_order": "before",
    "image_scrapers": ("matplotlib",),
    "thumbnail_size": (240, 168),
}


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Where the source of a documented object lies in the repository."""
    return (
        generate.source_address(info["module"], info["fullname"], f"{REPOSITORY}/blob/main") if domain == "py" else None
    )


def links_to_repository(app: Any, name: str, content: list[str]) -> None:
    """Links to files outside ``docs/`` lead to the repository, or to the page that includes the file."""
    content[0] = generate.repository_links(content[0], f"{REPOSITORY}/blob/main", depth=name.count("/"))


def dated(app: Any, name: str, content: list[str]) -> None:
    """A page of results ends with the date and the commit of its last change."""
    told = generate.last_changes("docs/results").get(f"docs/{name}.md")
    if name.startswith("results/") and told is not None:
        content[0] += f"\n\n*This page was last written on {told}.*\n"


def gymnasium_docstring(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """The class docstring of the environment is Markdown, as Gymnasium's are: its page shows it."""
    if obj is StepwiseRoutingEnv:
        lines[:] = [lines[0], "", "See :doc:`/environment`.", ""]


def short_arrays(
    app: Any, what: str, name: str, obj: object, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Signatures say ``NDArray[int64]``, as the code does."""

    def short(text: str | None) -> str | None:
        return text and re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+(?:\[\w+\])?)\]\]", r"NDArray[\1]", text)

    return short(signature), short(returns)


def inline_math(translator: Any, node: nodes.Element) -> None:
    """A formula as MathML, which browsers show without a script from elsewhere."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def displayed_math(translator: Any, node: nodes.Element) -> None:
    """The same of a formula on lines of its own."""
    translator.body.append(tex2mathml(node.astext(), as_block=True))
    raise nodes.SkipNode


def small_pictures(app: Any) -> None:
    """Pictures of tutorials, and their thumbnails, with the colours of the other figures."""
    for picture in (HERE / "gallery" / "images").rglob("*.png"):
        with_palette(picture)


def real_bases(app: Any, name: str, obj: object, options: Any, bases: list[Any]) -> None:
    """Bases that are mocked generics have no name that means anything."""
    bases[:] = [base for base in bases if getattr(base, "__name__", "x").isidentifier()] or [object]


def lighter(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Styles and scripts of cards and of the gallery load only on the pages that use them."""
    body = context.get("body") or ""
    unused = [
        *(("sphinx-design", "design-tabs") if 'class="sd-' not in body else ()),
        *(("sg_gallery", "sg-tags") if "sphx-glr" not in body else ()),
    ]
    for kind in ("css_files", "script_files"):
        context[kind] = [file for file in context[kind] if not any(name in str(file.filename) for name in unused)]


def setup(app: Any) -> None:
    """Write the generated pages, and connect the hooks."""
    generate.write_all(HERE, f"{REPOSITORY}/blob/main")
    app.connect("source-read", links_to_repository)
    app.connect("source-read", dated)
    app.connect("autodoc-process-docstring", gymnasium_docstring, priority=400)
    app.connect("autodoc-process-signature", short_arrays)
    app.connect("autodoc-process-bases", real_bases)
    app.connect("builder-inited", small_pictures, priority=900)  # after the tutorials have run
    app.add_html_math_renderer("mathml", (inline_math, None), (displayed_math, None))
    app.connect("html-page-context", lighter, priority=900)
