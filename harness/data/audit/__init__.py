"""The leakage audit: a split checked by ids and by content, the report, and a last look at the loaders."""

from harness.data.audit.counterfactual import crop_level_leak
from harness.data.audit.finding import AUDIT_VERSION, Finding
from harness.data.audit.report import CHECKS, Report, audit, refuse_leaks
from harness.data.audit.runtime import verify_indices
from harness.data.audit.sides import HELD_OUT

__all__ = [
    "AUDIT_VERSION",
    "CHECKS",
    "HELD_OUT",
    "Finding",
    "Report",
    "audit",
    "crop_level_leak",
    "refuse_leaks",
    "verify_indices",
]
