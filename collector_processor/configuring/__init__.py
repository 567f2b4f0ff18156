"""What people do with a configuration beside starting with it: check, describe, begin one."""
