"""What is stored, as services and routes see it. Filled by `storage`, imported by everybody above it."""
