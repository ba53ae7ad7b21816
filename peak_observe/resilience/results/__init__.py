"""Results that serve more than one call: calls under way that others join, and results that are kept for a while."""
