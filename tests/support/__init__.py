"""What several tests share: models and machines that are made, never downloaded."""
