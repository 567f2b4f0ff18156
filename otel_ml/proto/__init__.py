"""The published format of snapshots: snapshot.proto, its generated code, and README.md for other languages."""
