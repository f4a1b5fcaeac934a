"""Search: the division of a budget, the space of settings, and studies that continue."""
