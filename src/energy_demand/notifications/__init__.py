"""Messages to people about forecasts, the model and what failed.

`events` and `messages` are pure, `detection` finds events in the database, `sending` talks to the services,
`notify` puts them together.
"""
