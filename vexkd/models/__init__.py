"""Networks: camera and LiDAR branches, their fusion, the BEV encoder and the heads."""
