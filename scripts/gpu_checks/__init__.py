"""What only a machine with a GPU can tell: one table, one report. Run by scripts/gpu_check."""
