"""The command line: ``mmdist`` and the scripts in ``tools/``."""
