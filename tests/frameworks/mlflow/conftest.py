"""MLflow warns about its own type hints when it is imported, which is no error of ours."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc  # noqa: F401 - see above
