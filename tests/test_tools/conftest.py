"""Fixtures for the tests of the tools: made-up data sources, and the set-up of the environment."""

from __future__ import annotations

from helpers.converter_sources import archives, load, sources
from helpers.env_checkout import checkout, compiler, user_cache

__all__ = ["archives", "checkout", "compiler", "load", "sources", "user_cache"]
