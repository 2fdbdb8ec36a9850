"""Signals over recorded steps and the timesteps of a sequence: grids, means, profiles, heatmaps, ratios, snapshots."""
