"""The forecaster: training, scoring, registry, prediction. The core is data in, data out."""
