"""A stand-in for the fuzzed processor that dies at item 2, goes wrong at item 4 and hangs at item 6."""

import argparse
import json
import os
import time
from pathlib import Path

parser = argparse.ArgumentParser()
for option in ("--seed", "--from", "--to", "--report"):
    parser.add_argument(option)
options = vars(parser.parse_args())

with Path(options["report"]).open("w", buffering=1, encoding="utf-8") as report:
    for item in range(int(options["from"]), int(options["to"])):
        print(json.dumps({"at": item}), file=report)
        if item == 2:
            os.abort()
        if item == 4:
            print(json.dumps({"crash": 4, "error": "ValueError"}), file=report)
        if item == 6:
            time.sleep(60)
    print(json.dumps({"grown_kb": 7, "read": 1}), file=report)
