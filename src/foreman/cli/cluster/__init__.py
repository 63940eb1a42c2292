"""Commands about the whole cluster: say what it should be, see what it is, drain its nodes, ask it for workers."""

import typer

from foreman.cli.cluster import draining, looking, watching, wishing, workers


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    cluster = typer.Typer(help="Say what the cluster should be, see what it is, and ask it for workers.", no_args_is_help=True)
    for part in (wishing, looking, watching, workers):
        part.add_to(cluster)
    app.add_typer(cluster, name="cluster", rich_help_panel="The cluster")
    node = typer.Typer(help="Take a node out of the cluster's layout, and back.", no_args_is_help=True)
    draining.add_to(node)
    app.add_typer(node, name="node", rich_help_panel="The cluster")
