"""Sphinx extension: links between public names, however a page writes them."""

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from pinwheel_async.docs import _names


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension."""
    app.connect("doctree-read", _name_targets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _name_targets(app: Sphinx, doctree: nodes.document) -> None:
    """Give references the public name that they mean, and make text of types that are not of this library.

    Sphinx itself looks for a type in a signature by the ends of all names: that finds some field `date` for `date`, and
    takes more time than all the rest.
    """
    del app
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("refdomain") != "py":
            continue
        target = str(node["reftarget"])
        name = _names.homes().get(target) or _names.by_word().get(target)
        if name is not None:
            node["reftarget"] = name
            node.attributes.pop("refspecific", None)  # whatever its value: that it is there means the long search
        elif "refspecific" in node:
            node.replace_self(_unresolved(node))


def _unresolved(node: addnodes.pending_xref) -> list[nodes.Node]:
    """Return what a reference shows that leads nowhere: of two forms, the one that is meant for this."""
    shown: list[nodes.Node] = []
    for child in node.children:
        if not isinstance(child, addnodes.pending_xref_condition):
            shown.append(child)
        elif child["condition"] == "*":
            shown += child.children
    return shown
