"""What the commands and flows run: each job reads, calls the rooms below and stores what it found.

A job is the only place where database, registry and model meet.
"""
