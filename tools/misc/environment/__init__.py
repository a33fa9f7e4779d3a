"""The steps of ``setup_env.py``. Nothing here needs more than the standard library."""
