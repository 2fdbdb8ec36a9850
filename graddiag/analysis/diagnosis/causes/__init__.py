"""Rules: what in the gradient, the clipping, the optimizer or the numbers explains an outcome; one kind a module."""
