"""What becomes of measurements: the manifest of a run, the gradients of parameters, outputs, faults and events, and the
buffer that writes them as rows."""
