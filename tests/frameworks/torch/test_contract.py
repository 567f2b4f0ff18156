"""A watched PyTorch model keeps the contract of every library."""

import pytest
import torch
from contracts.instrumentation import ModelContract

import otel_ml
from otel_ml.instrumentation.models.torch import TorchInstrumentor

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of its own and of Python's deprecations

ROWS = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


class Net(torch.nn.Module):
    """A model of models."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU())
        self.head = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(x))


class TestWatched(ModelContract):
    """Called as any module is."""

    instrumentor = TorchInstrumentor
    reported_as = "Net"
    operation = "forward"
    system = "pytorch"

    def model(self):
        torch.manual_seed(0)
        model = Net().eval()
        otel_ml.watch(model)
        otel_ml.watch(model.body)
        return model

    def infer(self, model):
        with torch.no_grad():
            return model(ROWS).tolist()

    def fail(self, model):
        model(torch.ones(3, 5))


class TestCompiledAfterwards(TestWatched):
    """`torch.compile` makes another module of it, whose calls are the model's."""

    def model(self):
        return torch.compile(super().model(), backend="eager")


class TestCompiledBefore(TestWatched):
    """What is watched is what is called."""

    def model(self):
        torch.manual_seed(0)
        model = torch.compile(Net().eval(), backend="eager")
        otel_ml.watch(model)
        return model


class TestCompiledInPlace(TestWatched):
    """`Module.compile()` takes the place that we need, and gets it."""

    def model(self):
        model = super().model()
        model.compile(backend="eager")
        return model
