"""Tensors of torch, tensorflow and jax, and of whatever else speaks DLPack: read where a CPU holds them, counted else.

To read a tensor on an accelerator, or one that is spread over several devices, the accelerator's queue would have to
drain first: that is a price the request, or the model, would pay.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_DLPACK_CPU: Final = 1
_PLAIN_TORCH: Final = frozenset(("Tensor", "Parameter"))
"""Subclasses may be spread over machines, or no tensors at all."""


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor, wherever it is; numpy's arrays are none."""
    return is_tensor_type(type(value))


def is_tensor_type(kind: type) -> bool:
    """The same of its class, which is asked because an instance may answer to any name, or fail."""
    if issubclass(kind, (np.ndarray, np.generic)):
        return False
    library = kind.__module__.partition(".")[0]
    if library == "torch":
        return hasattr(kind, "detach")
    if library in ("jax", "jaxlib"):
        return hasattr(kind, "shape") and hasattr(kind, "dtype")
    if library in ("tensorflow", "tf_keras", "keras"):
        return hasattr(kind, "shape") and hasattr(kind, "numpy")
    return hasattr(kind, "__cuda_array_interface__") or (hasattr(kind, "__dlpack__") and hasattr(kind, "shape"))


def array_of(tensor: Any) -> np.ndarray[Any, Any] | None:
    """The tensor as an array, which may share its memory; None when it is not on a CPU, or not dense."""
    kind = type(tensor)
    library = kind.__module__.partition(".")[0]
    if library == "torch":
        return _of_torch(tensor)
    if library in ("jax", "jaxlib"):
        return _of_jax(tensor)
    if library in ("tensorflow", "tf_keras", "keras"):
        return _of_tensorflow(tensor)
    if hasattr(kind, "__cuda_array_interface__"):
        return None
    if hasattr(kind, "__dlpack_device__") and tensor.__dlpack_device__()[0] != _DLPACK_CPU:
        return None
    return np.from_dlpack(tensor)


def rows_in(tensor: Any) -> int:
    """Rows of a tensor; 1 where its shape does not tell."""
    shape = getattr(tensor, "shape", None)
    try:
        return int(shape[0]) if shape is not None and len(shape) else 1
    except Exception:  # of a shape that is not known before the model runs
        return 1


def never_changes(tensor: Any) -> bool:
    """Whether nobody can change the tensor, so that keeping a reference is as good as a copy."""
    kind = type(tensor)
    library = kind.__module__.partition(".")[0]
    return library in ("jax", "jaxlib") or (library == "tensorflow" and kind.__name__ == "EagerTensor")


def _of_torch(tensor: Any) -> np.ndarray[Any, Any] | None:
    if (
        type(tensor).__name__ not in _PLAIN_TORCH
        or tensor.device.type != "cpu"
        or str(tensor.layout) != "torch.strided"
    ):
        return None
    if tensor.is_quantized:
        return None
    tensor = tensor.detach()
    if str(tensor.dtype) == "torch.bfloat16" or "float8" in str(tensor.dtype):  # numpy has no such numbers
        tensor = tensor.float()
    array: np.ndarray[Any, Any] = tensor.resolve_conj().resolve_neg().numpy()
    return array


def _of_jax(array: Any) -> np.ndarray[Any, Any] | None:
    devices = array.devices()
    if len(devices) != 1 or next(iter(devices)).platform != "cpu":
        return None
    return np.asarray(array)


def _of_tensorflow(tensor: Any) -> np.ndarray[Any, Any] | None:
    if "CPU" not in str(getattr(tensor, "device", "")).upper():
        return None
    array = tensor.numpy()
    return array if isinstance(array, np.ndarray) else np.asarray(array)
