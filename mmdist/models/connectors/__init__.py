"""What stands between a record and a loss."""

from mmdist.models.connectors.align import AlignConnector

__all__ = ["AlignConnector"]
