"""Publishing: packs to hand in and pages to read; it reads evidence and points, and changes neither."""
