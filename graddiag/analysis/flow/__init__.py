"""The gradient's way back through time and down the layers: gains, reach, exponents, truncation, credit."""
