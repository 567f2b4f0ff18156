"""docs/architecture.md names every room, contract and thread that there is."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PACKAGES = ("otel_ml", "collector_processor")
ROOMS = sorted(path.parent for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_every_room_is_on_the_page(room):
    """Who adds a room says in a line what is in it."""
    assert re.search(rf"^\|.*\]\(\.\./{room.relative_to(ROOT)}/\).*\| \S", PAGE, re.MULTILINE)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract["name"])
def test_every_contract_is_on_the_page(contract):
    """The page tells the contracts by their names, as lint-imports does."""
    assert contract["name"] in re.sub(r"\s+", " ", PAGE)


def test_layers_are_those_of_the_contract():
    """Who imports whom within the library stands on the page in the order of the contract."""
    (layers,) = (contract["layers"] for contract in CONTRACTS if contract["name"].startswith("The data walks"))
    names = [name.strip().removeprefix("otel_ml.") for layer in layers for name in layer.split("|")]

    told = re.search(r"imports only what is\s+below it:\s+(.*?)\.\n", PAGE, re.DOTALL)

    assert told is not None
    assert re.findall(r"`(\w+)`", told[1]) == names


def test_threads_have_the_names_that_the_code_gives_them():
    """Every thread that is named in the code is on the page, so that who sees it in a dump finds it there."""
    named = re.compile(r'(?:ThreadPoolExecutor\([^()]*?"|threading\.Thread\([^()]*name=")([\w-]+)"', re.DOTALL)
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    rooms = [path for path in sources if not {"cli", "demo"} & set(path.relative_to(ROOT).parts)]

    names = {name for path in rooms for name in named.findall(path.read_text(encoding="utf-8"))}

    assert names >= {"otel-ml-recording", "log", "evaluation", "store"}
    assert [name for name in sorted(names) if f"| `{name}`" not in PAGE] == []
