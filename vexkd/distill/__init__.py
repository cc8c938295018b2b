"""Masked feature distillation: masks, losses, and the composition of a frozen teacher with a student."""
