"""Storage: the embedded server, tables, migrations, and the only module that speaks SQL."""
