"""Tests of the doors to the web."""
