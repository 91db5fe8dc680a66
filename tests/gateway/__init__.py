"""The gateway, attacked and operated: by a raw ASGI driver, by httpx, and over real sockets."""
