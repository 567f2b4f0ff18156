"""A Starlette application with a small model: one row a request."""

import numpy as np
from sklearn.linear_model import LinearRegression
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

model = LinearRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), [1.0, 2.0, 3.0])


async def health(request):
    return JSONResponse("ok")


async def predict(request):
    row = await request.json()
    if "width" not in row:
        raise HTTPException(422)
    return JSONResponse({"area": round(float(model.predict(np.array([[row["width"], row["height"]]]))[0]), 6)})


app = Starlette(routes=[Route("/health", health), Route("/predict", predict, methods=["POST"])])
