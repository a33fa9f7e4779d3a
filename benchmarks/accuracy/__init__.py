"""Does distillation help? Methods and seeds on the demo's data sets, beside a tuned student by itself."""
