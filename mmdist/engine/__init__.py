"""From a config to a run: launch, preflight, Runner."""
