"""Kernels: ctypes and numpy over ``libvexkd``, their numpy reference beside them; no torch.

Operators: ``voxelize.voxelize``, ``pillar_max.pillar_max``, ``bev_pool.bev_pool``, ``frustum.frustum_index``.
"""
