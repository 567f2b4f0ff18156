"""Features, predictions and scores in what frameworks exchange: JSON bodies, messages, tensors, boosters' outputs."""
