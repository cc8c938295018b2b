"""A synthetic data set in nuScenes' own format: roads, traffic, LiDAR and cameras, the same bytes for the same seed."""
