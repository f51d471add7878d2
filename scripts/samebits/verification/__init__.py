"""Whether a certificate holds, level by level."""
