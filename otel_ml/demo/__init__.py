"""`otel-ml demo`: a real model, real flights, a broken feed, and what one sees of it."""
