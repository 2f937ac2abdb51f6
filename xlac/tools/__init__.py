"""Tools for people who work on programs and on the compiler: compare modules, find what differs, shrink what fails."""
