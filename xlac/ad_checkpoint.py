"""`xlac.ad_checkpoint`: values computed again for gradients, and names by which policies know those to be kept."""

from __future__ import annotations

from xlac.api import checkpoint
from xlac.frontend.checkpoint import checkpoint_name, checkpoint_policies

remat = checkpoint

__all__ = ["checkpoint", "checkpoint_name", "checkpoint_policies", "remat"]
