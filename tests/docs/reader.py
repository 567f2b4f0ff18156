"""Somebody who follows a page: types its commands in a folder of their own, with ports that are free."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from docs.documents import free_ports

BIN = Path(sys.executable).parent
GRPC, HTTP, WEB, STATUS, CONSOLE = "4317", "4318", "8000", "13133", "13180"
STAYS = {"otel-ml processor": (CONSOLE, "models.json"), "otel-ml run": (WEB, "openapi.json")}


class Reader:
    """A reader; what stays in the foreground runs in a terminal of its own until they leave.

    Args:
        faster: What the page says, and what is typed instead so that nobody has to wait so long.
    """

    def __init__(self, folder, faster):
        self.folder = folder
        self._faster = faster
        shown = (GRPC, HTTP, WEB, STATUS, CONSOLE)
        self._ports = dict(zip(shown, map(str, free_ports(len(shown))), strict=True))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        self._running = []

    def save(self, name, text):
        """Save a file that the page shows."""
        (self.folder / name).write_text(self._here(text), encoding="utf-8")

    def type(self, command):
        """What a command printed; nothing of one that stays."""
        stays = next((up for start, up in STAYS.items() if command.startswith(start)), None)
        if stays:
            self._leave_running(command, *stays)
            return ""
        done = subprocess.run(
            self._here(command), shell=True, cwd=self.folder, env=self._environment, capture_output=True, text=True,
            timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}\n{self.terminals()}"
        if "config init" in command:
            self._move_ports()
        return done.stdout

    def terminals(self):
        """What stands in the other terminals."""
        return "\n".join(Path(log.name).read_text(encoding="utf-8") for _, log in self._running)

    def leave(self):
        """Press Ctrl-C in every terminal, the last one first."""
        for process, log in reversed(self._running):
            process.send_signal(signal.SIGINT)
            process.wait(30)
            log.close()

    def _here(self, text):
        text = re.sub("|".join(rf"\b{port}\b" for port in self._ports), lambda port: self._ports[port[0]], text)
        for pattern, instead in self._faster.items():
            text = re.sub(pattern, instead, text)
        return text

    def _move_ports(self):
        # The console is where the page says unless that is taken; here it must not be where another test's is.
        file = self.folder / "processor.yaml"
        console = f'service:\n  console: {{endpoint: "127.0.0.1:{self._ports[CONSOLE]}"}}'
        text = self._here(file.read_text(encoding="utf-8")).replace("service:", console)
        file.write_text(text, encoding="utf-8")

    def _leave_running(self, command, port, path):
        log = (self.folder / f"terminal-{len(self._running)}.log").open("w", encoding="utf-8")
        process = subprocess.Popen(
            ["sh", "-c", f"exec {self._here(command)}"],
            cwd=self.folder, env=self._environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._running.append((process, log))
        for _ in range(400):
            assert process.poll() is None, self.terminals()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._ports[port]}/{path}", timeout=2).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(self.terminals())
