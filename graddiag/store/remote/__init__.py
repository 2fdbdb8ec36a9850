"""Roots that are no folder: runs in an object store (S3, Google Cloud Storage, ...), by way of fsspec.

A run is recorded into a local folder, the spool, and uploaded from there; it is read through a local mirror. So the
rest of graddiag works on folders alone.
"""
