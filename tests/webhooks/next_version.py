"""The version of the library after this one, as far as the tables of an inbox go.

This code is the older one of an upgrade, so what is made up is the newer one: the same code, with one more step, and
with statements that use what the step adds. So it is tested that this code goes on beside the next one, whatever that
one adds: an older wheel could only tell of code that cannot be mended any more.
"""

NEXT = """
from pinwheel_async.webhooks._postgres import schema, statements

schema.VERSION, schema.OLDEST = 2, {oldest}
schema.STEPS = {{2: (
    "ALTER TABLE pinwheel_inbox_deliveries ADD COLUMN IF NOT EXISTS stored_by text",
    "ALTER TABLE pinwheel_inbox_queues ADD COLUMN IF NOT EXISTS changed_by text",
    "CREATE TABLE IF NOT EXISTS pinwheel_inbox_tomorrow (at timestamptz)",
    schema.NewIndex("pinwheel_inbox_by_event", "pinwheel_inbox_deliveries", "(event, seq)"),
)}}
for before, after in (
    ("key_number, body\\n    )", "key_number, body, stored_by\\n    )"),
    ("$11, g.body\\n", "$11, g.body, 'next'\\n"),
):
    assert statements.PUT.count(before) == 1
    statements.PUT = statements.PUT.replace(before, after)
"""

COMMAND = """
import sys
from pinwheel_async.cli import main

sys.exit(main())
"""


def next_version(*, oldest=1):
    """Return a program text that makes the library of a process the next version; *oldest* may still use its tables."""
    return NEXT.format(oldest=oldest)
