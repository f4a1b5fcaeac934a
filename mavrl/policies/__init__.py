"""Policies: who acts on states and observations; experts/ holds the trained ones that ship with the package."""
