"""Example application: a page where somebody connects with Link, and sees webhooks arrive and pay data appear.

`pinwheel-async quickstart` runs it, against a made-up Pinwheel or the sandbox. Read `app.py` from top to bottom: it is
written as a program of yours would be, with nothing but the public API of the library.
"""

from pinwheel_async.quickstart.app import LINK_SCRIPT, quickstart_app

__all__ = ["LINK_SCRIPT", "quickstart_app"]
