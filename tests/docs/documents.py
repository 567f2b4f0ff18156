"""What the tests of several pages share: a page's blocks, and ports for what it starts."""

import re
import socket
from contextlib import ExitStack


def blocks(language, text):
    """The contents of all fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def shown_files(text):
    """The files a page shows, by the name in their first comment."""
    shown = [block for language in ("python", "yaml") for block in blocks(language, text)]
    return {found[1]: block for block in shown if (found := re.match(r"# ([\w.-]+\.(?:py|yaml))\n", block))}


def free_ports(count):
    """So many ports of the loopback interface that nobody listens at."""
    with ExitStack() as opened:
        probes = [opened.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
