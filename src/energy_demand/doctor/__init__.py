"""`energy-demand doctor`: looks at machine, upstreams, stores and services. Only reads."""
