"""What torch differentiates: each function with its backward pass, which runs sparse products too."""
