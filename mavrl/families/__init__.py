"""Families of environments: how one simulates, learns, acts and is judged in each; all that differs ends here."""
