"""Messages to people about forecasts, the model and what failed.

`events` and `messages` are pure, `detection` reads what there is to tell, `sending` talks to the services,
`telling` puts them together.
"""
