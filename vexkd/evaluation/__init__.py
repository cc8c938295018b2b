"""Metrics: nuScenes detection through the devkit, matching within a radius, map-segmentation IoU."""
