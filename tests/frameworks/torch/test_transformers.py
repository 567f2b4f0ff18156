"""Pipelines of transformers keep the contract, and what is special about them."""

import gc

import numpy as np
import pytest
import torch
import transformers
from contracts.instrumentation import ModelContract, instrumented, rows_of
from PIL import Image
from transformers import TextClassificationPipeline, pipeline

import otel_ml
from otel_ml import semconv
from otel_ml.instrumentation.models.torch import TorchInstrumentor
from otel_ml.instrumentation.models.transformers import TransformersInstrumentor
from otel_ml.instrumentation.outermost import inside
from otel_ml.recording import guard
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureKind, FeatureRole
from otel_ml.testing import captured_telemetry
from tests.frameworks.torch import transformers_models as models

pytestmark = pytest.mark.filterwarnings("default")  # transformers and torch warn of their own deprecations

SECRET = "hello secretword world"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return models.tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def classify(tokenizer):
    return pipeline("text-classification", model=models.classifier(), tokenizer=tokenizer, device="cpu")


@pytest.fixture
def telemetry():
    with instrumented(TransformersInstrumentor), captured_telemetry(capture_events=True) as captured:
        yield captured
        assert guard.failures() == {}


def columns(telemetry):
    """Kind and rows by role and name."""
    return {
        (summary.key.role, summary.key.name): (summary.kind, summary.counters.rows)
        for snapshot in telemetry.snapshots()
        for summary in snapshot.features
    }


class TestTextClassification(ModelContract):
    """Several texts in batches."""

    instrumentor = TransformersInstrumentor
    reported_as = "BertForSequenceClassification"
    operation = "text-classification"
    system = "transformers"

    @pytest.fixture(autouse=True)
    def made(self, tokenizer):
        self.tokenizer = tokenizer

    def model(self):
        return TextClassificationPipeline(model=models.classifier(), tokenizer=self.tokenizer, device=-1)

    def infer(self, model):
        return model(["hello world", "good day", "bad"], batch_size=2)

    def fail(self, model):
        model(7)


def test_a_text_is_summarised_and_never_told(telemetry, classify):
    """Its length and words are counted; the words themselves leave the process neither as categories nor in a span."""
    classify(SECRET)
    classify([SECRET, "good day"])
    classify(inputs=SECRET)

    seen = columns(telemetry)
    assert seen[FeatureRole.FEATURE, "text"] == (FeatureKind.TEXT, 4)
    assert seen[FeatureRole.PREDICTION, "prediction"] == (FeatureKind.CATEGORICAL, 4)
    assert seen[FeatureRole.SCORE, "score"] == (FeatureKind.NUMERIC, 4)
    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 4}
    assert all(b"secretword" not in codec.encode(snapshot) for snapshot in telemetry.snapshots())
    assert "secretword" not in str([dict(span.attributes) for span in telemetry.spans()])
    assert {span.attributes[semconv.OPERATION_NAME] for span in telemetry.spans()} == {"text-classification"}


@pytest.mark.parametrize("top_k", [1, 2, None])
def test_the_best_label_is_the_prediction(telemetry, classify, top_k):
    """However many are asked for."""
    answers = classify(["good day", "bad"] * 20, top_k=top_k)
    best = [answer[0] if isinstance(answer, list) else answer for answer in answers]

    (snapshot,) = telemetry.snapshots()
    (labels,) = [summary for summary in snapshot.features if summary.key.role is FeatureRole.PREDICTION]
    (scores,) = [summary for summary in snapshot.features if summary.key.role is FeatureRole.SCORE]
    assert set(labels.content.categories.counts) == {answer["label"] for answer in best}
    assert scores.content.moments.mean == pytest.approx(np.mean([answer["score"] for answer in best]))


def test_pairs_of_texts_are_two_columns(telemetry, classify):
    """As the pipeline takes them."""
    classify({"text": "good day", "text_pair": "bad day"})

    assert columns(telemetry)[FeatureRole.FEATURE, "text_pair"] == (FeatureKind.TEXT, 1)


def test_a_watched_model_below_is_not_counted_again(telemetry, classify):
    """The pipeline is the outermost call; asked by itself, the model counts."""
    with instrumented(TorchInstrumentor):
        otel_ml.watch(classify.model, "inner")
        classify(["good day", "bad"])
        classify.model(input_ids=torch.tensor([[5]]))

    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 2, "inner": 1}


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_generator_is_one_inference_an_item(telemetry, classify, batch_size):
    """Read lazily as before; and the model below, which is watched, is not counted again."""
    with instrumented(TorchInstrumentor):
        otel_ml.watch(classify.model, "inner")
        asked = []

        def texts():
            for text in (SECRET, "good day", "bad"):
                asked.append(text)
                yield text

        answers = classify(texts(), batch_size=batch_size)
        assert len(asked) <= 1
        got = list(answers)

    assert got == [classify(text)[0] for text in (SECRET, "good day", "bad")]
    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 6}
    assert columns(telemetry)[FeatureRole.FEATURE, "text"] == (FeatureKind.TEXT, 6)
    assert len(telemetry.spans()) == 6
    assert not inside.get()


def test_a_stream_may_be_left_early(telemetry, classify):
    """What was read is counted, what was not asked for is not, and nothing stays set."""
    answers = classify(text for text in ["good"] * 10)
    for _ in range(3):
        next(answers) if hasattr(answers, "iterator") else iter(answers).__next__()
    del answers
    gc.collect()

    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 3}
    assert not inside.get()
    assert all(span.status.is_ok or span.status.is_unset for span in telemetry.spans())


def test_between_two_items_other_models_are_recorded(telemetry, classify, tokenizer):
    """A stream that is being read is no call that is going on."""
    other = pipeline("text-classification", model=models.classifier(), tokenizer=tokenizer, device="cpu")
    otel_ml.set_model(other, "other")
    for _ in classify(text for text in ["good", "bad"]):
        other("day")

    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 2, "other": 2}


def test_a_data_set_is_one_inference_an_item_and_keeps_its_length(telemetry, classify):
    """Progress bars ask for it."""

    class Texts(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return ("good", "bad", "day")[index]

    answers = classify(Texts())

    assert len(answers) == 3
    assert isinstance(answers, transformers.pipelines.pt_utils.PipelineIterator)
    assert len(list(answers)) == 3
    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 3}


def test_a_stream_that_fails_is_an_error_of_its_item(telemetry, classify):
    """And the exception is the user's own."""

    def texts():
        yield "good"
        raise KeyError("mine")

    answers = iter(classify(texts()))
    next(answers)
    with pytest.raises(KeyError, match="mine"):
        next(answers)

    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 1}
    assert [span.attributes.get(semconv.ERROR_TYPE) for span in telemetry.spans()] == [None, "KeyError"]


# --- other tasks ------------------------------------------------------------------------------------------------------


def test_zero_shot_labels_are_predictions(telemetry, tokenizer):
    """One call asks the model once a label; it is one inference all the same."""
    model = models.classifier(("contradiction", "entailment"))
    ask = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer, device="cpu")
    ask("good day", candidate_labels=["good", "bad", "world"])
    ask(["good day", "bad day"], candidate_labels=["good", "bad"])

    assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 3}
    seen = columns(telemetry)
    assert seen[FeatureRole.PREDICTION, "prediction"] == (FeatureKind.CATEGORICAL, 3)
    assert seen[FeatureRole.SCORE, "score"] == (FeatureKind.NUMERIC, 3)


def test_of_tagged_words_the_number_is_recorded(telemetry, tokenizer):
    """How many, and how sure the model is; not which."""
    tag = pipeline("token-classification", model=models.tagger(), tokenizer=tokenizer, device="cpu")
    answers = [tag("hello world"), *tag(["good day world", "bad"])]

    (snapshot,) = telemetry.snapshots()
    (found,) = [summary for summary in snapshot.features if summary.key.role is FeatureRole.PREDICTION]
    assert snapshot.rows == 3
    assert found.content.moments.mean == pytest.approx(np.mean([len(answer) for answer in answers]))
    assert columns(telemetry)[FeatureRole.FEATURE, "text"] == (FeatureKind.TEXT, 3)


@pytest.mark.parametrize("chat", [False, True])
def test_what_is_written_is_measured_and_never_told(telemetry, tokenizer, chat):
    """One inference, though the model is called once a token and is watched."""
    with instrumented(TorchInstrumentor):
        tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
        write = pipeline("text-generation", model=models.writer(), tokenizer=tokenizer, device="cpu")
        otel_ml.watch(write.model, "inner")
        message = [{"role": "user", "content": SECRET}]
        write(message if chat else SECRET, max_new_tokens=4)
        write([message, message] if chat else [SECRET, SECRET], max_new_tokens=4)

    assert rows_of(telemetry.snapshots()) == {"GPT2LMHeadModel": 3}
    seen = columns(telemetry)
    assert seen[FeatureRole.FEATURE, "text"] == (FeatureKind.TEXT, 3)
    assert seen[FeatureRole.PREDICTION, "prediction"] == (FeatureKind.TEXT, 3)
    assert all(b"secretword" not in codec.encode(snapshot) for snapshot in telemetry.snapshots())


def test_images_are_rows(telemetry, tmp_path):
    """Also those that are given as the name of a file, which is no text."""
    model, processor = models.image_classifier()
    look = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    image = Image.new("RGB", (40, 40))
    image.save(tmp_path / "secretword.png")
    look(image)
    look([image, image])
    look(str(tmp_path / "secretword.png"))

    assert rows_of(telemetry.snapshots()) == {"ViTForImageClassification": 4}
    seen = columns(telemetry)
    assert {role for role, _ in seen} == {FeatureRole.PREDICTION, FeatureRole.SCORE}
    assert seen[FeatureRole.PREDICTION, "prediction"] == (FeatureKind.CATEGORICAL, 4)
    assert all(b"secretword" not in codec.encode(snapshot) for snapshot in telemetry.snapshots())


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_model_is_called_as_on_the_hub_or_as_its_folder(telemetry, tokenizer, tmp_path):
    """The path before the folder is this machine's business; a commit of the hub is a version."""
    models.classifier().save_pretrained(tmp_path / "sentiment-v2")
    tokenizer.save_pretrained(tmp_path / "sentiment-v2")
    pipeline("text-classification", model=str(tmp_path / "sentiment-v2"), device="cpu")("good")
    hub = pipeline("text-classification", model=models.classifier(), tokenizer=tokenizer, device="cpu")
    hub.model.config.name_or_path = "acme/sentiment"
    hub.model.config._commit_hash = "714eb0fa89d2f80546fda750413ed43d93601a13"
    hub("good")

    keys = {(snapshot.model.name, snapshot.model.version) for snapshot in telemetry.snapshots()}
    assert keys == {("sentiment-v2", ""), ("acme/sentiment", "714eb0fa89d2")}


@pytest.mark.parametrize("of", [lambda made: made, lambda made: made.model])
def test_set_model_names_the_pipeline_or_its_model(telemetry, classify, of):
    """Either is the model to someone."""
    otel_ml.set_model(of(classify), "sentiment", "7")
    classify("good")

    (snapshot,) = telemetry.snapshots()
    assert (snapshot.model.name, snapshot.model.version) == ("sentiment", "7")


# --- watched models of transformers, without a pipeline ---------------------------------------------------------------


def test_a_watched_model_that_writes_is_asked_once(tokenizer):
    """`generate` calls it once a token."""
    with instrumented(TorchInstrumentor), captured_telemetry() as telemetry:
        model = models.writer()
        otel_ml.watch(model)
        tokens = torch.tensor([[5, 6, 7], [7, 8, 9]])
        model.generate(tokens, max_new_tokens=5, pad_token_id=0)
        model.generate(input_ids=tokens, max_new_tokens=5, pad_token_id=0)

        assert rows_of(telemetry.snapshots()) == {"GPT2LMHeadModel": 4}
        assert [span.name for span in telemetry.spans()] == ["generate GPT2LMHeadModel"] * 2


def test_a_watched_model_of_transformers_tells_its_labels(tokenizer):
    """Token ids are no columns; logits are scores by the names of the model's own classes."""
    with instrumented(TorchInstrumentor), captured_telemetry() as telemetry, torch.no_grad():
        model = models.classifier(("negative", "neutral", "positive"))
        otel_ml.watch(model)
        model(**tokenizer(["hello world", "good"], padding=True, return_tensors="pt"))

        assert rows_of(telemetry.snapshots()) == {"BertForSequenceClassification": 2}
        assert set(columns(telemetry)) == {(FeatureRole.SCORE, label) for label in ("negative", "neutral", "positive")}
