"""How often the diagnosis is right: small trainings whose outcome and cause are known by construction.

``python -m benchmarks.verdicts`` trains them, judges them and prints the tables of docs/verdict-suite.md. The families
in ``tune_*.py`` may be read while rules are written; those in ``held_out_*.py`` may not. Those in ``fresh_*.py`` were
written after the rules, those in ``unseen_*.py`` last, without a look at the rules.
"""
