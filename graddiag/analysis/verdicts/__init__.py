"""The rules behind the findings, one a file (those for exploding and vanishing gradients stand beside this folder)."""
