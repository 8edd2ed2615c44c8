"""Pure rules: tiers, recipients, what a tenant sees."""
