"""Pipelines of transformers: one call is one inference, a list its rows, a stream one inference an item.

What a pipeline is asked is text, images or sound. Text becomes a feature of kind text: its length and number of words
are summarised, the words themselves never. Of all else only rows are counted. Of answers: labels with their scores, how
much was found, and the length of what was written.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from pathlib import Path
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation import identity
from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import ModulePatch, Patch
from otel_ml.instrumentation.reading import tensors
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from otel_ml.config import Settings

_WHERE: Final = "transformers hook"
_WRITTEN: Final = ("generated_text", "summary_text", "translation_text", "answer", "text")
"""Keys of an answer that hold what a model wrote."""
_WRITE: Final = frozenset(
    {
        "text-generation",
        "text2text-generation",
        "summarization",
        "image-to-text",
        "image-text-to-text",
        "any-to-any",
        "automatic-speech-recognition",
        "question-answering",
        "document-question-answering",
        "table-question-answering",
    }
)
_LABEL: Final = frozenset({"sentiment-analysis", "visual-question-answering", "vqa"})
_FIND: Final = frozenset(
    {"token-classification", "ner", "object-detection", "zero-shot-object-detection", "image-segmentation"}
)
"""Tasks whose answer is as many things as there are in the input, each with a score."""


class TransformersInstrumentor(MLInstrumentor):
    """Records what pipelines of transformers are asked and what they answer."""

    requires = ("transformers >= 4.40",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """The one method that all pipelines go through."""
        return (Patch("transformers.pipelines.base", "Pipeline.__call__", _recording),)


def _recording(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not TransformersInstrumentor.active:
            return method(self, *args, **kwargs)
        inputs = args[0] if args else kwargs.get("inputs")
        if _is_stream(inputs):
            return _streamed(method, self, args, kwargs)
        features = None
        try:
            features = _features(self, inputs)
        except Exception as error:
            failed(_WHERE, error)
        with ObservedCall(_WHERE, functools.partial(_describe, self), _task(self), features) as call:
            result = method(self, *args, **kwargs)
            call.read(_read, self, features, result)
        return result

    return hook


# --- streams ----------------------------------------------------------------------------------------------------------


def _is_stream(inputs: Any) -> bool:
    """Whether a pipeline answers with an iterator: to a generator, or to a data set of PyTorch's."""
    if isinstance(inputs, GeneratorType):
        return True
    return not isinstance(inputs, (str, dict, list, tuple)) and any(
        cls.__name__ == "Dataset" and cls.__module__.startswith("torch.") for cls in type(inputs).__mro__
    )


def _streamed(method: Callable[..., Any], pipeline: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The pipeline's own iterator, with each item an inference when it is asked for."""
    passed: deque[Any] = deque()
    workers = kwargs.get("num_workers") or getattr(pipeline, "_num_workers", None)
    if not workers:  # in other processes nothing would be remembered
        if args and isinstance(args[0], GeneratorType):
            args = (_remembering(args[0], passed), *args[1:])
        elif isinstance(kwargs.get("inputs"), GeneratorType):
            kwargs = {**kwargs, "inputs": _remembering(kwargs["inputs"], passed)}
    with ObservedCall(_WHERE, functools.partial(_describe, pipeline), _task(pipeline)) as call:
        result = method(pipeline, *args, **kwargs)
        if isinstance(result, (list, dict)):  # the messages of a chat, one by one, are answered at once
            call.read(_read, pipeline, _features(pipeline, list(passed)), result)
        else:
            call.abandon()
            _observe_items(result, pipeline, passed)
    return result


def _remembering(inputs: Iterable[Any], passed: deque[Any]) -> Generator[Any, None, None]:
    for item in inputs:
        passed.append(item)
        yield item


def _observe_items(iterator: Any, pipeline: Any, passed: deque[Any]) -> None:
    try:
        # It stays of its class, for it has a length, say, or is handed to a DataLoader.
        cls: Any = type(iterator)
        iterator.__class__ = _observed_class(cls)
        iterator._otel_ml_stream = (pipeline, passed)  # noqa: SLF001 - ours, on their object
    except Exception as error:
        failed(_WHERE, error)


@functools.lru_cache(maxsize=8)
def _observed_class(cls: Any) -> type:
    """A subclass that records each item. Nothing stays set in the reader's context between two of them."""

    def __next__(self: Any) -> Any:  # noqa: N807 - it is one
        if inside.get() or not TransformersInstrumentor.active:
            return cls.__next__(self)
        pipeline, passed = self._otel_ml_stream
        with ObservedCall(_WHERE, functools.partial(_describe, pipeline), _task(pipeline)) as call:
            try:
                item = cls.__next__(self)
            except StopIteration:
                call.abandon()
                raise
            call.read(_read_item, pipeline, passed, item)
        return item

    return type(cls.__name__, (cls,), {"__next__": __next__, "__module__": cls.__module__})


def _read_item(pipeline: Any, passed: deque[Any], item: Any) -> tuple[Any, Any, Any]:
    given = passed.popleft() if passed else None
    features = _columns([_texts_of(given)]) if given is not None and _reads_text(pipeline) else tensors.rows_only(1)
    return features, *_outputs(pipeline, [item])


# --- what is asked ----------------------------------------------------------------------------------------------------


def _features(pipeline: Any, inputs: Any) -> Any:
    """Texts as columns of kind text, of one row or of each in a list; rows alone for anything but text."""
    is_list = isinstance(inputs, (list, tuple)) and _messages(inputs) is None
    items = inputs if is_list else [inputs]
    if not _reads_text(pipeline):
        return tensors.rows_only(len(items))
    return _columns([_texts_of(item) for item in items])


def _reads_text(pipeline: Any) -> bool:
    """Whether a string is a text: to a pipeline for images or sound it is the name of a file."""
    return (
        getattr(pipeline, "tokenizer", None) is not None
        and getattr(pipeline, "image_processor", None) is None
        and getattr(pipeline, "feature_extractor", None) is None
    )


def _texts_of(item: Any) -> dict[str, str]:
    """Named texts of one input: a text, a pair of texts, a question with its context, words, a chat."""
    if isinstance(item, str):
        return {"text": item}
    messages = _messages(item)
    if messages is not None:  # what the latest message asks; what came before was asked before
        content = messages[-1].get("content")
        return {"text": content} if isinstance(content, str) else {}
    if isinstance(item, dict):
        return {str(name): text for name, text in item.items() if isinstance(text, str)}
    if isinstance(item, (list, tuple)) and item and all(isinstance(word, str) for word in item):
        return {"text": " ".join(item)}
    return {}


def _messages(item: Any) -> list[dict[str, Any]] | None:
    """The messages of a chat, given bare or as transformers' own `Chat`; None for anything else."""
    messages = getattr(item, "messages", item)
    if isinstance(messages, (list, tuple)) and messages and isinstance(messages[0], dict) and "role" in messages[0]:
        return list(messages)
    return None


def _columns(rows: Sequence[dict[str, str]]) -> Any:
    names = list(dict.fromkeys(name for row in rows for name in row))[:16]
    if not names:
        return tensors.rows_only(len(rows))
    from otel_ml.recording.inputs.batches import ColumnBatch  # noqa: PLC0415 - comes with the recorder

    # The kind is said, not found out: short texts might pass for names of categories, which are exported as they are.
    columns = {name: [row.get(name) for row in rows] for name in names}
    return ColumnBatch(columns, len(rows), dict.fromkeys(names, FeatureKind.TEXT))


# --- what is answered -------------------------------------------------------------------------------------------------


def _read(pipeline: Any, features: Any, result: Any) -> tuple[Any, Any, Any]:
    # A list of answers for a list of inputs; for one input its answer, which may be a list by itself.
    rows = len(features) if features is not None else 1
    answers = result if isinstance(result, list) and len(result) == rows and _is_batch(result, rows) else [result]
    return features, *_outputs(pipeline, answers)


def _is_batch(result: list[Any], rows: int) -> bool:
    # The one thing found in the only input looks like the answer to the only one of a list; either is read alike.
    return rows > 1 or isinstance(result[0], list)


def _outputs(pipeline: Any, answers: Sequence[Any]) -> tuple[Any, Any]:
    kind = _output_kind(_task(pipeline))
    read = {
        FeatureKind.TEXT: _written,
        FeatureKind.CATEGORICAL: _label,
        FeatureKind.NUMERIC: _found,
    }.get(kind, _score)  # type: ignore[arg-type]  # None has no reader of its own
    pairs = [read(answer) for answer in answers]
    predictions, scores = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return (
        predictions if any(prediction is not None for prediction in predictions) else None,
        scores if any(score is not None for score in scores) else None,
    )


def _output_kind(task: str) -> FeatureKind | None:
    """How the answers to a task are read, and so what is recorded of them."""
    if task in _FIND:
        return FeatureKind.NUMERIC
    if task in _WRITE or task.startswith("translation"):
        return FeatureKind.TEXT
    if task in _LABEL or task.endswith("classification"):
        return FeatureKind.CATEGORICAL
    return None


def _label(answer: Any) -> tuple[Any, float | None]:
    """Label and score of the best one, which comes first."""
    best = _first(answer)
    if not isinstance(best, dict):
        return None, None
    if isinstance(best.get("labels"), list) and best["labels"]:  # zero-shot
        return best["labels"][0], _number(_first(best.get("scores")))
    return best.get("label", best.get("answer")), _number(best.get("score"))


def _found(answer: Any) -> tuple[Any, float | None]:
    """How many things were found, and how sure the model is of them on average."""
    things = answer if isinstance(answer, list) else [answer]
    scores = [
        score for thing in things if isinstance(thing, dict) and (score := _number(thing.get("score"))) is not None
    ]
    return len(things), sum(scores) / len(scores) if scores else None


def _written(answer: Any) -> tuple[Any, float | None]:
    """What was written, of which length and words are counted, and its score if it has one."""
    first = _first(answer)
    if not isinstance(first, dict):
        return None, None
    text = next((first[key] for key in _WRITTEN if key in first), None)
    messages = _messages(text)
    if messages is not None:
        text = messages[-1].get("content")
    return text if isinstance(text, str) else None, _number(first.get("score"))


def _score(answer: Any) -> tuple[Any, float | None]:
    first = _first(answer)
    return None, _number(first.get("score")) if isinstance(first, dict) else None


def _first(answer: Any) -> Any:
    for _ in range(3):
        if not isinstance(answer, (list, tuple)) or not answer:
            break
        answer = answer[0]
    return answer


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


# --- reading pipelines ------------------------------------------------------------------------------------------------


def _describe(pipeline: Any, settings: Settings) -> ModelInfo | None:
    info = identity.infos.get(id(pipeline))
    if info is None:
        model = pipeline.model
        config = getattr(model, "config", None)
        revision = str(getattr(config, "_commit_hash", None) or "")[:12]
        key = key_of(settings, _name_of(model, config), pipeline, model, default_version=revision)
        info = ModelInfo(key, system="transformers", output_kind=_output_kind(_task(pipeline)))
        identity.remember(pipeline, info)
    return info


def _name_of(model: Any, config: Any) -> str:
    """The name on the hub, or the folder the model was loaded from, else its class."""
    name = str(getattr(config, "name_or_path", "") or "")
    if Path(name).is_absolute() or name.startswith((".", "~")):
        name = Path(name).name
    return name or type(model).__name__


def _task(pipeline: Any) -> str:
    cls: Any = type(pipeline)
    return str(getattr(pipeline, "task", "") or _task_of(cls))


@functools.lru_cache(maxsize=256)
def _task_of(cls: type) -> str:
    """The task by the name of the pipeline's class, which says it when a pipeline is made without the factory."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "-", cls.__name__.removesuffix("Pipeline")).lower() or "pipeline"
