"""``graddiag mcp``: a server of the Model Context Protocol over the runs of a root."""

from pathlib import Path

from graddiag.cli.options import Root


def mcp(root: Root = Path("runs")) -> None:
    """Serve the runs under a root to an agent by the Model Context Protocol, on stdin and stdout.

    Its tools: list_runs, diagnose, compare, figure. None of them changes a run. It needs the extra mcp, and figure also
    the extra figures.
    """
    from graddiag.cli.mcp_server import serve

    serve(root)
