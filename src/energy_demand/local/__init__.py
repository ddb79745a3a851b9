"""Everything on one machine: which processes `energy-demand local` runs, and how they are supervised."""
