"""Tests of the configuration: this file is only the mark of a package."""
