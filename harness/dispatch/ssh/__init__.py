"""Remote machines over ssh: the project is sent, run there by its own ./inv, and its records are fetched."""
