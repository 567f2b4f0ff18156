"""What a window is compared with: a baseline, other windows of its model, and other versions at the same time."""
