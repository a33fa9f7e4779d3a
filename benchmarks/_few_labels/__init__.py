"""Few labels, many images: the benchmark behind docs/en/benchmarks/few_labels.md."""
