"""The routes: from a body to the pipeline and back. What they are given is made once, when the app is."""
