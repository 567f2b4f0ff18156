import pytest
from click.testing import CliRunner

from otel_ml.cli.commands import otel_ml


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize(
    "words",
    [
        ["run", "--print", "--interval"],
        ["doctor", "--list", "--timeout"],
        ["send-test", "--timeout"],
        ["demo", "--speed"],
    ],
)
def test_what_is_no_number_is_refused(words, number):
    """NaN lies in every range, for it is neither above nor below its ends."""
    done = CliRunner().invoke(otel_ml, [*words, number], prog_name="otel-ml")

    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Invalid value for '{words[-1]}'" in done.stderr
