"""Fixtures for the tests of the set-up of the environment."""

from __future__ import annotations

from helpers.env_checkout import checkout, compiler, user_cache

__all__ = ["checkout", "compiler", "user_cache"]
