"""A page that classifies pictures which people drop onto it, on Gradio."""
