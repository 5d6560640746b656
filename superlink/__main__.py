"""`python -m superlink`, which launchers of several processes start."""

from .cli.main import app

if __name__ == "__main__":
    app(prog_name="superlink")
