"""What a person sees: tables, small plots in the terminal, pictures. No decisions."""
