"""A certificate's experiment, composed from this checkout."""
