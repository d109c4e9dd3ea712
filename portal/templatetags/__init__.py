"""What the portal's templates can say beyond Django's own tags."""
