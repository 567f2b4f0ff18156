"""What `watch` adds to a model, when its calls are inferences, and that nobody else notices."""

import asyncio
import copy
import io
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
import torch
from contracts.instrumentation import instrumented, rows_of
from torch import nn

import otel_ml
from otel_ml.errors import NotWatchableError
from otel_ml.instrumentation.models.torch import TorchInstrumentor, watching
from otel_ml.recording import guard
from otel_ml.sketch.feature import FeatureRole
from otel_ml.testing import captured_telemetry

pytestmark = pytest.mark.filterwarnings("default")  # torch warns of its own and of Python's deprecations

ROWS = torch.arange(12.0).reshape(6, 2)


class Net(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.linear = nn.Linear(2, outputs)

    def forward(self, x):
        return self.linear(x)


class Giving(nn.Module):
    """Answers with what a function makes of its inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.linear = nn.Linear(2, 3)

    def forward(self, x, scale=1.0, other=None):
        return self.function(x, scale, other)


@pytest.fixture
def telemetry():
    with instrumented(TorchInstrumentor), captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    torch._dynamo.reset()
    if TorchInstrumentor().is_instrumented_by_opentelemetry:
        TorchInstrumentor().uninstrument()


def rows(telemetry):
    return rows_of(telemetry.snapshots())


def seen(telemetry, role):
    return sorted(
        summary.key.name
        for snapshot in telemetry.snapshots()
        for summary in snapshot.features
        if summary.key.role is role
    )


# --- what is watched --------------------------------------------------------------------------------------------------


def test_only_what_is_watched_is_recorded(telemetry):
    """The instrumentor alone records nothing: this is opt-in."""
    watched, other = Net(), Net()
    otel_ml.watch(watched, "fraud", "3")
    watched(ROWS)
    other(ROWS)
    watched.linear(ROWS)

    (snapshot,) = telemetry.snapshots()
    assert (snapshot.model.name, snapshot.model.version, snapshot.rows) == ("fraud", "3", 6)


def test_watching_needs_no_instrument_call():
    """It is a wish in itself."""
    with captured_telemetry() as telemetry:
        assert not TorchInstrumentor.active
        model = Net()
        otel_ml.watch(model)
        model(ROWS)

        assert rows(telemetry) == {"Net": 6}


def test_operators_can_say_no(monkeypatch):
    """OTEL_PYTHON_DISABLED_INSTRUMENTATIONS goes before what the code wants."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests,otel_ml_torch")
    with captured_telemetry() as telemetry:
        model = Net()
        otel_ml.watch(model)
        model(ROWS)

        assert telemetry.snapshots() == []
        assert "_compiled_call_impl" not in vars(model)


def test_watching_twice_is_watching_once(telemetry):
    """The second call may give it another name."""
    model = Net()
    first = otel_ml.watch(model)
    model(ROWS)
    second = otel_ml.watch(model, "renamed")
    model(ROWS)

    assert first is second
    assert rows(telemetry) == {"Net": 6, "renamed": 6}


def test_watching_ends_with_the_block_or_by_hand(telemetry):
    """And leaves the model as it was."""
    model = Net()
    before = dict(vars(model))
    with otel_ml.watch(model):
        model(ROWS)
    model(ROWS)
    handle = otel_ml.watch(model)
    handle.remove()
    handle.remove()
    model(ROWS)

    assert rows(telemetry) == {"Net": 6}
    assert vars(model) == before
    assert watching.watches == {}


def test_switched_off_a_model_carries_nothing_and_switched_on_it_is_watched_again(telemetry):
    """`uninstrument()` takes the attribute off every model; `instrument()` puts it back on those not collected."""
    model = Net()
    otel_ml.watch(model)
    TorchInstrumentor().uninstrument()
    assert "_compiled_call_impl" not in vars(model)
    model(ROWS)
    TorchInstrumentor().instrument(skip_dep_check=True)
    model(ROWS)

    assert rows(telemetry) == {"Net": 6}


@pytest.mark.parametrize("wrong", [None, "model", lambda x: x, Net])
def test_something_else_than_a_module_is_refused(wrong):
    """At once and by name, where the mistake is."""
    with pytest.raises(NotWatchableError, match=type(wrong).__qualname__):
        otel_ml.watch(wrong)


def test_names_come_from_set_model_too(telemetry):
    """Unless `watch` was given one."""
    model = Net()
    otel_ml.set_model(model, "named")
    otel_ml.watch(model)
    model(ROWS)

    assert rows(telemetry) == {"named": 6}


# --- which calls are inferences ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("training", "gradients", "counted"), [(True, True, 0), (True, False, 6), (False, True, 6), (False, False, 6)]
)
def test_a_call_that_learns_is_no_inference(telemetry, training, gradients, counted):
    """Training mode while gradients are computed; either alone is not learning."""
    model = Net().train(training)
    otel_ml.watch(model)
    with torch.set_grad_enabled(gradients):
        model(ROWS)

    assert rows(telemetry) == ({"Net": counted} if counted else {})


def test_gradients_flow_as_ever(telemetry):
    """Explaining a prediction by its gradients, in eval mode."""
    model = Net().eval()
    otel_ml.watch(model)
    x = ROWS.clone().requires_grad_()
    with torch.enable_grad():
        model(x).sum().backward()

    assert torch.equal(x.grad, model.linear.weight.sum(0).expand_as(x))
    assert rows(telemetry) == {"Net": 6}


def test_tracing_exporting_and_transforming_are_no_inferences(telemetry):
    """And give what they would have given."""
    model = Net().eval()
    bare = Net().eval()
    bare.load_state_dict(model.state_dict())
    otel_ml.watch(model)
    outer = nn.Sequential(model).eval()

    traced = torch.jit.trace(model, ROWS, check_trace=False)
    scripted = torch.jit.script(model)
    exported = torch.export.export(model, (ROWS,)).module()
    symbolic = torch.fx.symbolic_trace(outer)
    batched = torch.func.vmap(model)(ROWS)
    per_row = torch.func.vmap(torch.func.grad(lambda x: model(x).sum()))(ROWS)

    assert telemetry.snapshots() == []
    expected = bare(ROWS)
    for form in (traced, scripted, exported, symbolic):
        assert torch.allclose(form(ROWS), expected)
    assert torch.allclose(batched, expected)
    assert per_row.shape == ROWS.shape
    assert all(node.op != "call_function" for node in symbolic.graph.nodes)


def test_scripted_and_exported_models_can_be_watched(telemetry):
    """They are modules too."""
    for name, model in {
        "traced": torch.jit.trace(Net().eval(), ROWS),
        "scripted": torch.jit.script(Net().eval()),
        "exported": torch.export.export(Net().eval(), (ROWS,)).module(),
        "symbolic": torch.fx.symbolic_trace(Net().eval()),
    }.items():
        otel_ml.watch(model, name)
        assert model(ROWS).shape == (6, 3)
        copy.deepcopy(model)(ROWS)

        assert rows(telemetry)[name] == 6


def test_a_watched_part_of_a_watched_whole_is_counted_with_the_whole(telemetry):
    """And by itself when called by itself."""
    model = nn.Sequential(Net(2), Net())
    otel_ml.watch(model, "whole")
    otel_ml.watch(model[0], "part")
    model(ROWS)
    model[0](ROWS)

    assert rows(telemetry) == {"whole": 6, "part": 6}


def test_threads_and_tasks_count_apart_from_each_other(telemetry):
    """The outermost call is one of its own thread or task."""
    model = Net().eval()
    otel_ml.watch(model)

    async def ask():
        return await asyncio.gather(*(asyncio.to_thread(model, ROWS) for _ in range(20)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(model, [ROWS] * 20))
    asyncio.run(ask())

    assert rows(telemetry) == {"Net": 240}


# --- torch.compile ----------------------------------------------------------------------------------------------------


def compiled_frames(make, *, calls=2):
    """Graphs and breaks that `make(backend)`'s module has after some calls."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    counter = torch._dynamo.testing.CompileCounter()
    module = make(counter)
    for _ in range(calls):
        module(ROWS)
    return counter.frame_count, counter.op_count, dict(torch._dynamo.utils.counters["graph_break"])


def test_compile_counters_can_be_used():
    """So that the next tests count something."""
    import torch._dynamo.testing

    def broken(x):
        torch._dynamo.graph_break()
        return x + 1

    frames, _, breaks = compiled_frames(lambda backend: torch.compile(Giving(lambda x, *_: broken(x)), backend=backend))

    assert frames >= 1
    assert breaks


@pytest.mark.parametrize("model", [Net, lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU())], ids=["own", "built_in"])
@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("order", ["before", "after", "after_the_original", "in_place", "in_place_before"])
def test_compiling_gives_the_same_graphs_without_a_break(telemetry, model, fullgraph, order):
    """Whether watched first or compiled first; and the calls are recorded all the same."""
    import torch._dynamo.testing

    def bare(backend):
        return torch.compile(model().eval(), backend=backend, fullgraph=fullgraph)

    def make(backend):
        module = model().eval()
        if order == "before":
            otel_ml.watch(module, "compiled")
        if order == "in_place_before":
            otel_ml.watch(module, "compiled")
        if order.startswith("in_place"):
            module.compile(backend=backend, fullgraph=fullgraph)
            compiled = module
        else:
            compiled = torch.compile(module, backend=backend, fullgraph=fullgraph)
        if order in ("after", "in_place"):
            otel_ml.watch(compiled, "compiled")
        if order == "after_the_original":
            otel_ml.watch(module, "compiled")
        keep.append(module)
        return compiled

    keep = []
    expected = compiled_frames(bare)
    assert expected[0] == 1

    assert compiled_frames(make) == expected
    if order == "after_the_original" and model is not Net:
        return  # PyTorch compiles its own modules together with the call: what is watched is not called any more
    assert rows(telemetry) == {"compiled": 12}


def test_compiled_with_inductor_it_answers_and_counts(telemetry):
    """The usual backend, which needs a C++ compiler."""
    model = Net().eval()
    otel_ml.watch(model)
    expected = model(ROWS)
    compiled = torch.compile(model)
    try:
        answer = compiled(ROWS)
    except Exception as error:
        pytest.skip(f"no inductor here: {type(error).__name__}")
    compiled(ROWS)

    assert torch.allclose(answer, expected, atol=1e-5)
    assert rows(telemetry) == {"Net": 18}


@pytest.mark.parametrize("with_hook", [False, True])
def test_inside_of_a_compiled_function_there_is_no_call_and_no_break(telemetry, with_hook):
    """With hooks of the user's, too, for which the compiler reads `Module.__call__` and us with it."""
    model = Net().eval()
    otel_ml.watch(model)
    if with_hook:
        model.register_forward_hook(lambda module, args, result: result * 2)
    compiled = torch.compile(lambda x: model(x) + 1, backend="eager", fullgraph=True)
    answer = compiled(ROWS)

    assert telemetry.snapshots() == []
    assert torch.allclose(answer, model(ROWS) + 1)


def test_explain_finds_no_break(telemetry):
    """In PyTorch's own words."""
    model = Net().eval()
    otel_ml.watch(model)

    explanation = torch._dynamo.explain(model)(ROWS)

    assert explanation.graph_break_count == 0
    assert explanation.graph_count == 1


# --- copies -----------------------------------------------------------------------------------------------------------


def test_saved_and_copied_models_do_not_carry_us(telemetry):
    """Whoever loads them need not have us installed, and is not watched."""
    model = Net()
    bare = pickle.dumps(model)
    otel_ml.watch(model)
    saved = io.BytesIO()
    torch.save(model, saved)

    assert pickle.dumps(model) == bare
    assert b"otel_ml" not in saved.getvalue()
    saved.seek(0)
    for copied in (torch.load(saved, weights_only=False), pickle.loads(bare), copy.deepcopy(model), copy.copy(model)):
        assert copied(ROWS).shape == (6, 3)
    assert telemetry.snapshots() == []
    assert set(model.state_dict()) == {"linear.weight", "linear.bias"}


def test_a_class_that_pickles_everything_it_has_does_not_carry_us_either(telemetry):
    """Its own `__getstate__` knows nothing of PyTorch's."""

    model = Everything()
    otel_ml.watch(model)
    data = pickle.dumps(model)
    loaded = pickle.loads(data)
    loaded(ROWS)
    copy.deepcopy(model)(ROWS)

    assert b"otel_ml" not in data
    assert telemetry.snapshots() == []


class Everything(Net):
    def __getstate__(self):
        return self.__dict__.copy()

    def __deepcopy__(self, memo):
        copied = Everything.__new__(Everything)
        copied.__dict__ = copy.deepcopy(self.__dict__, memo)
        return copied


def test_replicas_for_other_devices_answer_for_themselves(telemetry):
    """DataParallel copies all attributes of a module: a replica that called ours would run on the wrong device."""
    model = Net()
    otel_ml.watch(model)
    replica = model._replicate_for_data_parallel()
    replica.linear = Net().linear

    assert torch.equal(replica(ROWS), replica.linear(ROWS))
    assert not torch.equal(replica(ROWS), model(ROWS))
    assert rows(telemetry) == {"Net": 6}


def test_data_parallel_is_counted_once_under_the_models_name(telemetry):
    """Whether it is watched, or what it wraps, or both."""
    model = Net()
    parallel = nn.DataParallel(model)
    otel_ml.watch(parallel)
    parallel(ROWS)
    otel_ml.watch(model, "inner")
    parallel(ROWS)

    assert rows(telemetry) == {"Net": 12}


def test_a_watched_model_can_be_collected_at_once(telemetry):
    """By counting references: the memory of a large model cannot wait for the garbage collector."""
    import gc

    gc.disable()
    try:
        model = Net()
        otel_ml.watch(model)
        model(ROWS)
        gone = weakref.ref(model)
        del model

        assert gone() is None
        assert watching.watches == {}
    finally:
        gc.enable()


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_columns_are_called_as_watch_was_told(telemetry):
    """A tensor has no names of its own."""
    model = Net()
    otel_ml.watch(model, feature_names=["age", "income"])
    model(ROWS)

    assert seen(telemetry, FeatureRole.FEATURE) == ["age", "income"]
    assert seen(telemetry, FeatureRole.SCORE) == ["0", "1", "2"]


class Output(NamedTuple):
    loss: torch.Tensor
    logits: torch.Tensor


@pytest.mark.parametrize(
    ("answer", "predictions", "scores"),
    [
        (lambda x: x[:, 0], ["prediction"], []),
        (lambda x: x[:, :1], ["prediction"], []),
        (lambda x: x, [], ["0", "1"]),
        (lambda x: {"loss": x.sum(), "hidden": x[:, :, None], "logits": x}, [], ["0", "1"]),
        (lambda x: (x, x[:, :, None]), [], ["0", "1"]),
        (lambda x: Output(x.sum(), x), [], ["0", "1"]),
        (lambda x: x[:, :, None], [], []),
        (lambda x: x.sum(), [], []),
        (lambda x: [{"boxes": x[:1]} for _ in range(6)], [], []),
        (lambda x: x.to(torch.bfloat16), [], ["0", "1"]),
        (lambda x: None, [], []),
        (lambda x: "text", [], []),
    ],
)
def test_the_answer_is_found_among_what_a_model_gives(telemetry, answer, predictions, scores):
    """Tensors, dicts, tuples; whatever has no rows and columns is counted and not read."""
    model = Giving(lambda x, *_: answer(x))
    otel_ml.watch(model)
    model(ROWS)

    assert rows(telemetry) == {"Giving": 6}
    assert seen(telemetry, FeatureRole.PREDICTION) == predictions
    if scores or not isinstance(answer(ROWS), list):
        assert seen(telemetry, FeatureRole.SCORE) == scores


@pytest.mark.parametrize(
    ("args", "kwargs", "count", "features"),
    [
        ((ROWS,), {}, 6, ["f0", "f1"]),
        ((), {"x": ROWS}, 6, ["f0", "f1"]),
        ((ROWS, 2.0), {}, 6, ["f0", "f1"]),
        ((ROWS[0],), {}, 1, ["f0", "f1"]),
        ((ROWS[:, :1], 1.0, ROWS[:, 1:]), {}, 6, ["other", "x"]),
        ((ROWS,), {"other": ROWS[:, 0]}, 6, ["other", "x.0", "x.1"]),
        (({"age": ROWS[:, 0], "income": ROWS[:, 1]},), {}, 6, ["age", "income"]),
        ((torch.zeros(4, 3, 8, 8),), {}, 4, []),
        (([torch.zeros(3, 8, 8), torch.zeros(3, 9, 9)],), {}, 2, []),
        ((torch.arange(5),), {}, 5, ["f0"]),
        ((ROWS.to(torch.bfloat16),), {}, 6, ["f0", "f1"]),
        ((ROWS.to_sparse(),), {}, 6, []),
        ((torch.empty(7, 2, device="meta"),), {}, 7, []),
    ],
)
def test_inputs_are_columns_where_they_have_two_dimensions(telemetry, args, kwargs, count, features):
    """Positional or by name, one or several; images, sparse tensors and other devices are rows."""
    model = Giving(lambda x, *_: x)
    otel_ml.watch(model)
    model(*args, **kwargs)

    assert rows(telemetry) == {"Giving": count}
    assert seen(telemetry, FeatureRole.FEATURE) == features


def test_what_has_no_rows_of_its_own_is_counted_by_its_answers(telemetry):
    """A graph, a string, an object of the user's."""

    class Graph:
        def __init__(self, nodes):
            self.nodes = nodes

    model = Giving(lambda x, *_: x.nodes)
    otel_ml.watch(model)
    model(Graph(ROWS))

    assert rows(telemetry) == {"Giving": 6}
    assert seen(telemetry, FeatureRole.SCORE) == ["0", "1"]


def test_values_are_those_of_the_call(telemetry):
    """Servers fill one tensor again and again."""
    model = Giving(lambda x, *_: x[:, 0])
    otel_ml.watch(model)
    buffer = torch.full((2, 2), 7.0)
    model(buffer)
    model(x=buffer, other=buffer[:, 0])
    buffer.fill_(1_000.0)

    (snapshot,) = telemetry.snapshots()
    assert {summary.content.moments.maximum for summary in snapshot.features} == {7.0}
