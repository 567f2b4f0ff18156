"""What shells complete where click cannot tell."""

from __future__ import annotations

from click import Context, Parameter
from click.shell_completion import CompletionItem


def files(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """Names of files, as the shell itself completes them: for commands that are somebody else's."""
    return [CompletionItem(incomplete, type="file")]
