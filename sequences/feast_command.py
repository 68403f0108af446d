"""`python -m sequences.feast_command -c feature_repo apply`: the program `feast`, imported as in all processes."""

from __future__ import annotations

from sequences.feast_store import import_feast


def main() -> None:
    """Run Feast's command line."""
    import_feast()
    from feast.cli.cli import cli

    cli(prog_name="feast")


if __name__ == "__main__":
    main()
