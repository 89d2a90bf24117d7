"""Page of the models: every class and every alias of `pinwheel_async.models`, with types and units."""

from pinwheel_async.docs import _names
from pinwheel_async.docs._reference.objects import describe

_INTRODUCTION = """# Models

Frozen classes for everything that the API returns and accepts, in `pinwheel_async.models`. Money is `MinorUnits`: whole
cents, for dollars, of the currency that stands beside it. Moments are aware, days are dates, lists are tuples.

An enum is open: `Currency | str` holds every value that is documented, and any other as it came. A field that the API
leaves out, or sends as null, is `None`, also where its type does not say so: see
[versions and drift](../explanation/versions-and-drift.md). `to_dict()`, `to_json()`, `from_dict()` and `from_json()`
of every model turn it into plain JSON values and back.

"""


def models_page() -> str:
    """Return the page."""
    found = _names.described().items()
    return "\n".join(
        [_INTRODUCTION, *(describe(name, value) for name, value in found if name.startswith("pinwheel_async.models."))]
    )
