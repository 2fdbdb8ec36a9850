"""What clipping did, what another threshold would have done, and which one to choose."""
