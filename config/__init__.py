"""Settings, paths, ports and the environment of tools."""
