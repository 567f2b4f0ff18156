"""The digest of what is installed."""

import subprocess
import sys

from otel_ml.recording.packages import packages_digest

SCRIPT = "from otel_ml.recording.packages import packages_digest; print(packages_digest())"


def digest_with(folder):
    """As a process sees it that has this folder on its path too."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(folder)!r}); {SCRIPT}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_every_process_of_an_environment_has_the_same_digest(tmp_path):
    """16 hexadecimal digits that depend on nothing else."""
    assert digest_with(tmp_path) == digest_with(tmp_path) == packages_digest()
    assert len(packages_digest()) == 16


def test_another_version_of_a_package_is_another_digest(tmp_path):
    """A dependency that changed without notice explains many a drift."""
    (tmp_path / "model_lib-1.0.dist-info").mkdir()
    first = digest_with(tmp_path)
    (tmp_path / "model_lib-1.0.dist-info").rename(tmp_path / "model_lib-1.1.dist-info")
    second = digest_with(tmp_path)

    assert len({packages_digest(), first, second}) == 3
