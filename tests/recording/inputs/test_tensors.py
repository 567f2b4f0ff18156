"""Tensors on a CPU are read, others are counted.

The real libraries are tested with the frameworks; here are objects that look like theirs.
"""

import numpy as np
import pytest

from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.capture import capture
from otel_ml.recording.columns import RowsOnly, batch_of
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.recording.inputs.tensors import array_of, is_tensor
from otel_ml.sketch.feature import ModelKey


def names(width):
    return tuple(f"f{index}" for index in range(width))


class Shaped:
    @property
    def shape(self):
        return self._array.shape


class DLPackOnly(Shaped):
    """A tensor that speaks nothing but DLPack."""

    def __init__(self, array, device=1):
        self._array = array
        self._device = device

    def __dlpack__(self, **settings):
        assert self._device == 1, "would have to wait for the accelerator"
        return self._array.__dlpack__(**settings)

    def __dlpack_device__(self):
        return (self._device, 0)


class OnCuda(Shaped):
    """As cupy's: reading it into an array is an error, or worse, a wait."""

    __cuda_array_interface__ = None

    def __init__(self, array):
        self._array = array

    def __array__(self, *_, **__):
        raise AssertionError("read")


class Device:
    def __init__(self, kind):
        self.type = self.platform = kind


class TorchLike(Shaped):
    """What recording asks a tensor of torch."""

    is_quantized = False
    layout = "torch.strided"
    dtype = "torch.float32"

    def __init__(self, array, device="cpu"):
        self._array = array
        self.device = Device(device)

    def __len__(self):
        return len(self._array)

    def detach(self):
        return self

    resolve_conj = resolve_neg = detach

    def numpy(self):
        assert self.device.type == "cpu", "would have to wait for the accelerator"
        return self._array


Tensor = type("Tensor", (TorchLike,), {"__module__": "torch"})
DTensor = type("DTensor", (TorchLike,), {"__module__": "torch.distributed.tensor"})


class JaxLike(Shaped):
    """What recording asks an array of jax."""

    dtype = np.dtype(np.float32)

    def __init__(self, array, devices=("cpu",)):
        self._array = array
        self._devices = {Device(kind) for kind in devices}

    def devices(self):
        return self._devices

    def __array__(self, *_, **__):
        assert [device.platform for device in self._devices] == ["cpu"], "would have to gather"
        return self._array


ArrayImpl = type("ArrayImpl", (JaxLike,), {"__module__": "jaxlib._jax"})


class TensorFlowLike(Shaped):
    """What recording asks a tensor of tensorflow."""

    def __init__(self, array, device="CPU"):
        self._array = array
        self.device = f"/job:localhost/replica:0/task:0/device:{device}:0"

    def numpy(self):
        assert "CPU" in self.device, "would have to wait for the accelerator"
        return self._array


EagerTensor = type("EagerTensor", (TensorFlowLike,), {"__module__": "tensorflow.python.framework.ops"})

MATRIX = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


@pytest.mark.parametrize("make", [DLPackOnly, Tensor, ArrayImpl, EagerTensor])
def test_a_tensor_on_a_cpu_is_read(make, summaries):
    """Like the array it holds."""
    found = summaries(make(MATRIX))

    assert [found[name].content.moments.mean for name in ("f0", "f1")] == [2.0, 3.0]


@pytest.mark.parametrize(
    "tensor",
    [
        DLPackOnly(MATRIX, device=2),
        OnCuda(MATRIX),
        Tensor(MATRIX, device="cuda"),
        Tensor(MATRIX, device="meta"),
        DTensor(MATRIX),
        ArrayImpl(MATRIX, devices=("gpu",)),
        ArrayImpl(MATRIX, devices=("cpu", "cpu")),
        EagerTensor(MATRIX, device="GPU"),
    ],
    ids=["DLPack", "cupy", "torch", "torch meta", "torch distributed", "jax", "jax sharded", "tensorflow"],
)
@pytest.mark.parametrize("captured", [False, True])
def test_a_tensor_elsewhere_is_counted_and_never_read(tensor, captured):
    """To read it the request, or the model, would have to wait."""
    if captured:
        tensor = capture(tensor).value

    batch = batch_of(tensor, names)

    assert isinstance(batch, RowsOnly)
    assert len(batch) == 2


def test_rows_that_are_only_counted_are_neither_missing_nor_unreadable():
    """There is nothing wrong with them."""
    accumulator = ModelAccumulator(ModelKey("m"))
    info = ModelInfo(ModelKey("m"))
    accumulator.add([Inference(info, "predict", np.array([[1.0, 2.0]]))])

    accumulator.add([Inference(info, "predict", RowsOnly(5), RowsOnly(5))])

    drained = accumulator.drain()
    assert (drained.rows, drained.let_go) == (6, {})
    assert {column.summary.counters.rows for column in drained.columns} == {1}


@pytest.mark.parametrize("make", [DLPackOnly, Tensor])
def test_a_tensor_that_may_change_is_copied(make):
    """Its buffer is the caller's."""
    array = MATRIX.copy()

    captured = capture(make(array))
    array[:] = 9.0

    assert captured.value.tolist() == MATRIX.tolist()
    assert captured.rows == 2


@pytest.mark.parametrize("make", [ArrayImpl, EagerTensor])
def test_a_tensor_that_never_changes_is_kept(make):
    """A reference is as good as a copy."""
    tensor = make(MATRIX)

    assert capture(tensor).value is tensor


def test_texts_in_a_tensor_are_categories(summaries):
    """They come as bytes."""
    found = summaries(EagerTensor(np.array([[b"NO"], [b"SE"]], dtype=object)))

    assert found["f0"].content.categories.counts == {"NO": 1, "SE": 1}


def test_rows_of_tensors_are_stacked(summaries):
    """A list with one tensor a row."""
    found = summaries([Tensor(MATRIX[0]), Tensor(MATRIX[1])])

    assert found["f0"].content.moments.mean == 2.0


def test_named_tensors_are_a_feed(summaries):
    """As a network with several inputs takes them."""
    found = summaries({"x": Tensor(MATRIX), "y": Tensor(MATRIX[:, :1])})

    assert set(found) == {"x.0", "x.1", "y"}


def test_an_array_of_numpy_is_no_tensor():
    """It is read as it is."""
    assert not is_tensor(MATRIX)
    assert not is_tensor(np.float32(1.0))


def test_sparse_torch_tensors_are_counted():
    """numpy has nothing like them."""
    tensor = Tensor(MATRIX)
    tensor.layout = "torch.sparse_csr"

    assert array_of(tensor) is None
