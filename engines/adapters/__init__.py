"""Adapters: what each kind of network takes as input and how its output becomes chroma; one small file for each.

A new kind is one file with ``recognise`` and an `engines.adapters.base.Adapter`, and one line in
`engines.adapters.registry`.
"""
