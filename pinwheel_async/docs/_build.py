"""Build of the manual: pages and generated reference into one folder, and that through Sphinx into HTML."""

from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from pinwheel_async._version import __version__
from pinwheel_async.errors import ConfigurationError

PAGES = Path(__file__).parent / "pages"
"""Pages that are written by hand, and the programs of the tutorial beside theirs."""

CONFIG: dict[str, Any] = {
    "project": "pinwheel_async",
    "version": __version__,
    "release": __version__,
    "extensions": ["myst_parser", "pinwheel_async.docs._extension"],
    "html_theme": "furo",
    "smartquotes": False,
    "html_title": f"pinwheel_async {__version__}",
    "html_copy_source": False,
    "html_show_copyright": False,
    # The summaries of hits are fetched, which a browser refuses to a page that was opened as a file.
    "html_show_search_summary": False,
    "html_last_updated_fmt": None,
    "myst_enable_extensions": ["colon_fence", "deflist"],
    "myst_heading_anchors": 3,
    "python_use_unqualified_type_names": True,
    "python_display_short_literal_types": True,
    "toc_object_entries_show_parents": "hide",
}


def build(folder: Path) -> None:
    """Build the manual of this version as HTML pages that need neither a server nor a network.

    Args:
        folder: Where to write it; what is there of an earlier build is replaced.

    Raises:
        ConfigurationError: The extra `docs` is not installed.
        sphinx.errors.SphinxError: A page has a mistake: a warning ends the build.
    """
    try:
        from sphinx.application import Sphinx  # noqa: PLC0415  # only those who build need it
        from sphinx.util.docutils import docutils_namespace  # noqa: PLC0415

        from pinwheel_async.docs._reference import REFERENCE  # noqa: PLC0415  # imports all of the library
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"the manual needs {error.name}: pip install 'pinwheel-async[docs]'") from None
    with TemporaryDirectory() as scratch, docutils_namespace():
        source = Path(scratch) / "source"
        copytree(PAGES, source, ignore=ignore_patterns("__pycache__"))
        for name, make in REFERENCE.items():
            (source / "reference" / f"{name}.md").write_text(make(), encoding="utf-8")
        app = Sphinx(
            source,
            None,
            folder.absolute(),
            Path(scratch) / "doctrees",
            "html",
            confoverrides=CONFIG,
            status=None,
            freshenv=True,
            warningiserror=True,
        )
        app.build(force_all=True)
