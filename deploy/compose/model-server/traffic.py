"""Ask the model about wines like those it was trained on; for some minutes of each quarter of an hour, in another unit.

Environment variables: SERVER, MODELS, PER_SECOND (requests), SOUND_S and BROKEN_S (how long the data are in order, and
how long they are not). The first drift shows about one window after SOUND_S.
"""

import csv
import json
import os
import random
import time
import urllib.error
import urllib.request
from pathlib import Path

SERVER = os.environ.get("SERVER", "http://127.0.0.1:8000")
MODELS = Path(os.environ.get("MODELS", "/models"))
PER_SECOND = float(os.environ.get("PER_SECOND", "10"))
SOUND_S = float(os.environ.get("SOUND_S", "600"))
BROKEN_S = float(os.environ.get("BROKEN_S", "300"))


def main() -> None:
    """Ask until stopped."""
    with (MODELS / "train.csv").open(encoding="utf-8") as file:
        wines = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    began = time.monotonic()
    while True:
        wine = random.choice(wines)  # noqa: S311 - any wine will do
        ask(as_sent(wine, time.monotonic() - began))
        time.sleep(1 / PER_SECOND)


def as_sent(wine: dict[str, float], after_s: float) -> dict[str, float]:
    """The wine as somebody upstream sends it so long after the start."""
    if after_s % (SOUND_S + BROKEN_S) < SOUND_S:
        return wine
    # Per cent by volume have become degrees proof.
    return {**wine, "alcohol": wine["alcohol"] * 1.75}


def ask(wine: dict[str, float]) -> None:
    """Ask about one wine; a server that is not there yet is asked again, by the next one."""
    body = json.dumps(wine).encode()
    request = urllib.request.Request(f"{SERVER}/predict", body, {"content-type": "application/json"})  # noqa: S310 - as who starts this says
    try:
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - likewise
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"{SERVER}: {error}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
