"""Creation of one backup: find the sources, copy them into a staging folder, publish it by one rename."""
