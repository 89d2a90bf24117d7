"""Nightly job: copies all accounts into PostgreSQL, and says how it went by its exit code."""

import asyncio
import os
import sys

from pinwheel_async import Pinwheel
from pinwheel_async.sync import SqlSink, SyncReport, sync

PAY_BY_MONTH = """
SELECT date_trunc('month', pay_date)::date AS month, currency, count(*) AS paystubs,
       sum(net_pay_amount) / 100.0 AS net_pay
FROM paystubs
GROUP BY month, currency
ORDER BY month
"""
"""Net pay by month, in whole units of the currency: amounts are stored in cents."""


async def copy(database: str) -> SyncReport:
    """Fetch what changed since the last night; the first night fetches everything."""
    async with Pinwheel(requests_per_s=20) as pinwheel:
        return await sync(pinwheel, SqlSink(database), products=("identity", "employment", "income", "paystubs"))


def main() -> int:
    """Run the job: 0 if everything was copied, 1 if something failed, which the next night tries again."""
    report = asyncio.run(copy(os.environ["DATABASE_URL"]))
    print(report.to_json())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
