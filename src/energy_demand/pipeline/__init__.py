"""The stages of `dvc.yaml`: ingest → features → train → evaluate, from files to files, for offline study.

No database, no registry: what the service does every day is elsewhere, the functions are the same.
"""
