"""Commands of graddiag in separate processes, so that they outlive the page that started them.

A job is a folder under ``ROOT/.jobs``: ``job.json`` says what was started and as which process, ``said.log`` is what it
printed, ``asked.json`` that it was asked to stop, ``ended.json`` how it ended. So a job is found again after a reload,
by another page, and by a dashboard that was started anew.
"""
