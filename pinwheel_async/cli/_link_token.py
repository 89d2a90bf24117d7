"""Command `pinwheel-async link-token`: makes a Link token and prints it."""

import sys
from typing import Annotated

from cyclopts import Parameter

from pinwheel_async._core.converter import encode
from pinwheel_async.cli._options import Connection, Json
from pinwheel_async.models.enums import JobType
from pinwheel_async.models.link_token import Solution


async def link_token(
    *,
    org_name: str,
    solution: Solution,
    feature: Annotated[tuple[JobType, ...], Parameter(consume_multiple=True, show_default=False)] = (),
    end_user_id: str | None = None,
    account_id: str | None = None,
    employer_id: str | None = None,
    platform_id: str | None = None,
    json: Json = False,
    connection: Connection | None = None,
) -> None:
    """Make a Link token and print it.

    Parameters
    ----------
    org_name:
        App name shown in Link; 3 to 30 characters.
    solution:
        Product that Link shows, such as Verify.
    feature:
        Jobs to run, such as paystubs; needed unless there is an account id.
    end_user_id:
        Your own id of the user, no personal data; needed unless there is an account id.
    account_id:
        Account to use again.
    employer_id:
        Employer to open Link at.
    platform_id:
        Platform to open Link at.
    """
    async with (connection or Connection()).open() as pinwheel:
        made = await pinwheel.link_tokens.create(
            org_name=org_name,
            solution=solution,
            features=feature or None,
            end_user_id=end_user_id,
            account_id=account_id,
            employer_id=employer_id,
            platform_id=platform_id,
        )
    print("pinwheel-async: a Link token is a secret; it works once, for about an hour", file=sys.stderr)
    print(encode(made, nulls=True).decode() if json else made.token)
