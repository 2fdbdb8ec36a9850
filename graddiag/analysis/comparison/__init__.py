"""Runs against runs: arms over seeds and lengths, effects with intervals, success rates."""
