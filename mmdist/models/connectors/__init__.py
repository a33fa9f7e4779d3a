"""What stands between a record and a loss."""

from mmdist.models.connectors.align import AlignConnector
from mmdist.models.connectors.resize import ResizeConnector

__all__ = ["AlignConnector", "ResizeConnector"]
