"""graddiag beside what people already use: Lightning and transformers while training, trackers and files afterwards.

Each file needs its library alone, and says what to install when it is missing.
"""
