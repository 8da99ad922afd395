"""The demo: August 2019 as data, played through the real gateway on a fast clock."""
