"""Faults made on purpose: damaged runs, killed processes, writers side by side, and what each leaves."""
