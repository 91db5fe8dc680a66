"""What a user does, with the real engine: the installed `llmops`, and HTTP."""
