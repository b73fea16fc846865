"""Run the command line as `python -m rvsd_bench`."""

from rvsd_bench.cli import main

if __name__ == "__main__":
    main()
