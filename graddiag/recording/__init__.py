"""What is recorded beside the layers: the manifest of a run, gradients of parameters, outputs, faults and events; and
the buffer that writes rows."""
