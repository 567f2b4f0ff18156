"""What happens to snapshots."""
