"""Migrations of the PostgreSQL schema."""
