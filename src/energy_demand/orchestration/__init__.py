"""What runs when: the jobs behind commands and flows, their turns, and the replay of past years."""
