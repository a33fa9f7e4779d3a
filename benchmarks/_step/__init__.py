"""What ``benchmarks/step.py`` compares, and how it measures."""

import mmdist  # noqa: F401  (first: it repairs what the imports of mmrazor and torchvision need)
