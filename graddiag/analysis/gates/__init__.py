"""What gates and units do: activations, saturation, time constants, dead units."""
