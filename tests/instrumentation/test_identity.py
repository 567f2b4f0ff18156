"""Which model is this?"""

import gc

from otel_ml.config import Settings
from otel_ml.instrumentation import identity
from otel_ml.recording import guard
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import ModelKey


class Model:
    pass


def test_a_name_given_to_the_object_goes_before_all_others():
    """set_model > OTEL_PYTHON_ML_MODEL_NAME > what the framework can tell."""
    model, other = Model(), Model()
    settings = Settings(model_name="from the environment", model_version="2")

    identity.set_model(model, "fraud", "3")

    assert identity.key_of(settings, "Model", model) == ModelKey("fraud", "3")
    assert identity.key_of(settings, "Model", other) == ModelKey("from the environment", "2")
    assert identity.key_of(Settings(), "Model", other) == ModelKey("Model", "")


def test_a_name_given_to_a_class_names_its_instances():
    """What is true of every instance can be said once."""

    class Named:
        pass

    identity.set_model(Named, "fraud")

    assert identity.key_of(Settings(), "Named", Named()) == ModelKey("fraud", "")


def test_a_name_given_to_what_a_model_stands_for_is_found():
    """A pipeline is known by its final estimator, unless it has a name itself."""
    pipeline, estimator = Model(), Model()
    identity.set_model(estimator, "inner")

    assert identity.key_of(Settings(), "x", pipeline, estimator) == ModelKey("inner", "")

    identity.set_model(pipeline, "outer")

    assert identity.key_of(Settings(), "x", pipeline, estimator) == ModelKey("outer", "")


def test_what_is_remembered_dies_with_the_model():
    """The next object at the same address is another model."""
    model = Model()
    identity.remember(model, ModelInfo(ModelKey("m")))
    identity.set_model(model, "name")
    identity.remember(model, ModelInfo(ModelKey("m")))
    address = id(model)
    found = identity.infos.get(address)

    del model
    gc.collect()

    assert found is not None
    assert address not in identity.infos
    assert address not in identity._named


def test_naming_a_remembered_model_takes_effect_on_its_next_call():
    """set_model may come after the first predictions."""
    model = Model()
    identity.remember(model, ModelInfo(ModelKey("m")))

    identity.set_model(model, "later")

    assert id(model) not in identity.infos


def test_an_object_that_cannot_be_named_is_said_and_nothing_raised(caplog):
    """set_model is telemetry: it never breaks the program it is called from."""
    guard.reset()

    identity.set_model((1, 2), "tuple")

    assert "cannot be referenced weakly" in caplog.text
    guard.reset()


def test_a_frameworks_own_version_goes_with_its_own_name_only():
    """A name from the settings is another model's: a version that the framework knows says nothing about it."""
    own = identity.key_of(Settings(), "registered", default_version="7")
    settings = identity.key_of(Settings(model_name="mine"), "registered", default_version="7")
    version = identity.key_of(Settings(model_version="8"), "registered", default_version="7")

    assert (own, settings, version) == (ModelKey("registered", "7"), ModelKey("mine"), ModelKey("registered", "8"))
