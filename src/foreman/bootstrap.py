"""Composition root. (Being written.)"""
