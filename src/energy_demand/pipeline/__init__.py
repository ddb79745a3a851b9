"""The stages of `dvc.yaml`: ingest → features → train → evaluate, from files to files, for offline study.

No database and no registry; the stages call the same functions as the service.
"""
