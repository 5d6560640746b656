"""Image generation and editing for superlink, with the models and pipelines of diffusers."""
