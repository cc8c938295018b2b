"""Samples in the project's own conventions, from nuScenes or from the synthetic generator."""
