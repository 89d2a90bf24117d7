"""Imports of pyarrow, which brings no types: everything of it is Any here, and nowhere else."""

from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

arrow: Any = pa
parquet: Any = pq
