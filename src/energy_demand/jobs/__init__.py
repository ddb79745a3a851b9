"""What the commands and flows run: each job reads stored data, calls lower packages and stores the result.

Only jobs bring database, registry and model together.
"""
