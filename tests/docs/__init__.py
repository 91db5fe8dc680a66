"""The documents as they are read: links, commands, messages and specs in them are true."""
