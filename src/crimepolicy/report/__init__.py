"""Tables, plots, numbers and the site: everything that a reader sees."""
