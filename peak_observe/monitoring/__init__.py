"""What people look at: dashboards made from the metric catalogue."""
