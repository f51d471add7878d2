"""From evidence to a verdict, a report, statements and their envelopes."""
