"""Colouring one photograph: its job, its pages, its verification."""
