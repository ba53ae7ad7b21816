"""Reading and copying of files: safe reads, hashing copies, SQLite databases and worker threads."""
