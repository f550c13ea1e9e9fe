"""`python -m storyline.cli`: how one process of Storyline starts another."""

from storyline.cli import main

if __name__ == "__main__":
    main()
