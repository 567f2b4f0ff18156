"""PyTorch: `watch(model)` records what one model is asked and answers. Nothing is recorded that nobody watches.

A watched model carries one attribute of its own, `_compiled_call_impl`, which `torch.nn.Module.__call__` looks for and
`Module.compile()` uses. Unlike forward hooks it is left out when a module is pickled, saved or copied, sees exceptions,
is passed by when `torch.compile` reads the model, and costs the submodules nothing.

A call is an inference unless it learns: unless the model is in training mode and gradients are computed. Calls within
tracing, exporting and transforms (`torch.jit.trace`, `torch.export`, `torch.func`) are left alone, as are those inside
of a function that is compiled as a whole: there is no call left to see.
"""

from otel_ml.instrumentation.models.torch.hooks import TorchInstrumentor, watch
from otel_ml.instrumentation.models.torch.watching import Watch

__all__ = ["TorchInstrumentor", "Watch", "watch"]
