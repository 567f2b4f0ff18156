"""Programs of others that ours has to get on with: obtained, started and asked."""
