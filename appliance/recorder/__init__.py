"""Clips around events: kept in memory until something happens, written to disk, found again, run again."""
