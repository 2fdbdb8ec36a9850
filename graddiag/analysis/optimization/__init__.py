"""What the optimizer sees: loss, gradient norm, updates, noise, and what the numbers cannot hold."""
