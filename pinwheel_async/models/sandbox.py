"""Sandbox controls."""

from typing import Literal, TypeAlias

from attrs import frozen

from pinwheel_async._core.model import Model

SandboxMonitoringStatus: TypeAlias = Literal["user_action_required"]
"""Monitoring status that the sandbox can be put into."""


@frozen(kw_only=True, repr=False)
class SandboxMonitoringStatusRequest(Model):
    """Overrides the monitoring status of a sandbox account."""

    monitoring_status: SandboxMonitoringStatus | None = None
    """State of background monitoring to put the account into."""
