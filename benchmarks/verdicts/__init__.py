"""How often the verdict is right: small trainings whose truth is computed by autograd, cell by cell, in float64.

``python -m benchmarks.verdicts`` runs them and prints the tables of docs/verdict-suite.md.
"""
