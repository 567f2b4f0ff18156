"""What people do with dead letters: look at them, send them again."""
