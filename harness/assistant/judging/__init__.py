"""What runs inside the sandbox: the tests in one process, the answer in another, and plain data between them."""
