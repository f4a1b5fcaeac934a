"""Reports: listings, tables, captions and exports of runs and studies; figures/ draws them."""
