"""What every request and answer passes: access, limits, request ids, failures in one line, the API's page."""
