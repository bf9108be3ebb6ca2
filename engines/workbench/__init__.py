"""Making a model fit, and knowing what it does: explain, split, evaluate, compare, quantize, prune, distill, export.

One file for each verb. What they work on comes in as arrays (`Iterable`), what they found goes out as values and a
`Report`; files of models are written whole or not at all, and none is ever overwritten.
"""
