"""cattrs converters for models, events, pages, snapshots and reports.

```python
from pinwheel_async.converters import make_converter
from pinwheel_async.models import Paystub

converter = make_converter()
plain = converter.unstructure(paystub)  # JSON-ready: wire names, RFC 3339 moments, ISO days
assert converter.structure(plain, Paystub) == paystub
```

`paystub.to_dict()` and `to_json()`, `Paystub.from_dict(...)` and `from_json(...)` do the same without a converter of
yours.
"""

from pinwheel_async._core.converter import Serializable, make_converter

__all__ = ["Serializable", "make_converter"]
