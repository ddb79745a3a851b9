"""Output for the terminal: tables, text plots and picture files. Makes no decisions."""
