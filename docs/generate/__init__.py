"""The documentation site: what generates its pages."""
