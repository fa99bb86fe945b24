"""Library of the Concept Depth workflow: what two scripts share or a unit test wants to reach.

Importing this package imports nothing heavy; torch is imported only by the modules that run a model.
"""
