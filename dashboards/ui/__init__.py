"""What the pages share: the root of the runs, cached results, pictures with their captions, and text shown as text."""
