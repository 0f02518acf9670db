"""The replication package: code, data, numbers, and what a data editor and a machine want to know about them."""
