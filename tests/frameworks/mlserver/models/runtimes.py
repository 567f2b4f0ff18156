"""Models as MLServer's users write them: scikit-learn behind a typed interface, and one that talks."""

import asyncio

import pandas as pd
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.codecs.pandas import PandasCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceResponse
from opentelemetry import trace
from sklearn.linear_model import LogisticRegression

COLUMNS = ["rooms", "area"]
ROWS = [[1.0, 30.0], [2.0, 50.0], [4.0, 90.0], [6.0, 200.0]]


class Flats(MLModel):
    """Whether a flat is dear, of a matrix or of a data frame."""

    async def load(self):
        self.classifier = LogisticRegression().fit(
            pd.DataFrame(ROWS, columns=COLUMNS), ["cheap", "cheap", "dear", "dear"]
        )
        return True

    async def predict(self, payload):
        if payload.inputs[0].name == "windows":
            raise InferenceError("nobody counts windows")
        frame = self._frame(payload)
        labels = self.classifier.predict(frame)
        scores = self.classifier.predict_proba(frame)
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[
                StringCodec.encode_output("predict", labels.tolist()),
                NumpyCodec.encode_output("predict_proba", scores.round(6)),
            ],
        )

    def _frame(self, payload):
        if len(payload.inputs) > 1:
            return PandasCodec.decode_request(payload)[COLUMNS]
        return pd.DataFrame(NumpyCodec.decode_input(payload.inputs[0]), columns=COLUMNS)


class TracedFlats(Flats):
    """The same with a span of the user's own."""

    async def predict(self, payload):
        with trace.get_tracer("the user's").start_as_current_span("asking scikit-learn"):
            return await super().predict(payload)


class Talker(MLModel):
    """Says what it was told, word by word, and takes its time if asked to."""

    async def predict_stream(self, payloads):
        async for payload in payloads:
            (text,) = StringCodec.decode_input(payload.inputs[0])
            for word in text.split():
                await asyncio.sleep(60.0 if word == "wait" else 0.01)
                yield InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("text", [f"{word} "])])
