"""Models as KServe's users write them: scikit-learn behind a server, and a transformer before it."""

import pandas as pd
from kserve import InferOutput, InferResponse, Model, ModelServer, model_server
from kserve.errors import InvalidInput
from kserve.protocol.rest.multiprocess.server import RESTServerProcess
from sklearn.linear_model import LogisticRegression

COLUMNS = ["rooms", "area"]
ROWS = [[1.0, 30.0], [2.0, 50.0], [4.0, 90.0], [6.0, 200.0]]


class Flats(Model):
    """Whether a flat is dear; of a matrix, a data frame, or version 1's instances."""

    def __init__(self, name):
        super().__init__(name)
        self.load()

    def load(self):
        frame = pd.DataFrame(ROWS, columns=COLUMNS)
        self.classifier = LogisticRegression().fit(frame, ["cheap", "cheap", "dear", "dear"])
        self.version = "v7"
        self.ready = True
        return True

    def predict(self, payload, headers=None, response_headers=None):
        frame = self._frame(payload)
        labels = self.classifier.predict(frame)
        scores = self.classifier.predict_proba(frame).round(6)
        if isinstance(payload, dict):
            return {"predictions": labels.tolist(), "probabilities": scores.tolist()}
        label = InferOutput("label", [len(labels)], "BYTES", labels.tolist())
        if payload.from_grpc:
            label.data = [value.encode() for value in labels.tolist()]
        score = InferOutput("probability", list(scores.shape), "FP64", scores.reshape(-1).tolist())
        return InferResponse(payload.id or "unnamed", self.name, [label, score])

    def explain(self, payload, headers=None):
        self.classifier.predict(self._frame(payload))
        return {"explanations": ["the area"]}

    def _frame(self, payload):
        if isinstance(payload, dict):
            rows = payload.pop("instances")
            return pd.DataFrame(rows, columns=None if isinstance(rows[0], dict) else COLUMNS)[COLUMNS]
        if payload.inputs[0].name == "windows":
            raise InvalidInput("nobody counts windows")
        if len(payload.inputs) > 1:
            return pd.DataFrame({each.name: each.as_numpy().reshape(-1) for each in payload.inputs})[COLUMNS]
        return pd.DataFrame(payload.inputs[0].as_numpy(), columns=COLUMNS)


class InSquareFeet(Model):
    """A transformer: the predictor wants square metres."""

    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    async def preprocess(self, payload, headers=None):
        return {"instances": [[row["rooms"], row["square_feet"] / 10.764] for row in payload["instances"]]}


if __name__ == "__main__":
    # KServe ends workers that do not answer for five seconds; on a busy machine they need longer to import themselves.
    RESTServerProcess.is_alive.__defaults__ = (60.0,)
    arguments, _ = model_server.parser.parse_known_args()
    kind = InSquareFeet if arguments.predictor_host else Flats
    ModelServer().start([kind(arguments.model_name)])
