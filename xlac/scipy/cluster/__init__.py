"""`xlac.scipy.cluster`: vector quantisation."""

from xlac.scipy.cluster import vq

__all__ = ["vq"]
