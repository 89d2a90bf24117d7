"""Manual as a web site: Markdown pages, and a reference that is made from the code.

```sh
pip install 'pinwheel-async[docs]' && python -m pinwheel_async.docs manual
```

The site needs no server and no network: open `manual/index.html`. It is that of the version that is installed.
"""

from pinwheel_async.docs._build import build

__all__ = ["build"]
