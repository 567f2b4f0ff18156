"""Train a model of 178 wines, and leave model, training data and baseline in a folder: `python train.py /models`."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from otel_ml.baseline import Baseline


def main(folder: Path) -> None:
    """Train, unless the folder holds a model already: a new one would be another version."""
    if (folder / "wine.baseline").exists():
        print(f"{folder}: has a model")
        return
    wine = load_wine(as_frame=True)
    features = wine.data[["alcohol", "malic_acid", "color_intensity"]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, wine.target_names[wine.target])
    joblib.dump(model, folder / "wine.joblib")
    rows = features.assign(cultivar=model.predict(features))
    features.to_csv(folder / "train.csv", index=False)
    Baseline.build(rows, model="wine", version="1", predictions="cultivar").save(folder / "wine.baseline")
    print(f"{folder}: model and baseline of {len(rows)} wines")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
