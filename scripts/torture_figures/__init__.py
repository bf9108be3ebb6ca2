"""The figures of reliability, G1 to G34: what is wanted, who shows it, what was reached. Run by scripts/torture."""
