"""Did it help? Arms, seeds and lengths become trainings, and these a table with its statistics."""
