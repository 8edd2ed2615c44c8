"""What the operator does: observe, plan again and again, carry decisions out."""
