"""Page of the command line: the commands and their options, as the program itself tells them."""

import re

from pinwheel_async.cli._app import app

_INTRODUCTION = """# Command line

`pip install 'pinwheel-async[cli]'` brings the command `pinwheel-async`; `python -m pinwheel_async` is the same. Every
command has `--help`, and most have `--json`, which prints JSON for programs.

Examples, secrets and exit codes: [use the command line](../how-to/command-line.md).

"""


def command_line_page() -> str:
    """Return the page; the program's own list of contents is left to the site."""
    text = app.generate_docs(output_format="markdown", include_hidden=False)
    text = re.sub(r"^# .*\n", "", text, count=1)
    text = re.sub(r"## Table of Contents\n.*?(?=\*\*Commands\*\*)", "", text, flags=re.DOTALL)
    # Links between its headings are made anew by the site, under names of its own.
    text = re.sub(r"\[(`[^`]+`)\]\(#[\w-]+\)", r"\1", text)
    return _INTRODUCTION + text.lstrip()
