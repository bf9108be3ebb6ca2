"""The remote model service: models in one place, questions from many devices, fair and within their deadlines."""
